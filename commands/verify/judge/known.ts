import { type Checkpoint, parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { isObject, parseJson } from '../../../src/kit/json.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import type { Note } from '../../../src/tlog/note.ts';

/** A checkpoint that was seen outside the service, and where that is written. */
export interface KnownCheckpoint {
  readonly note: Note;
  readonly checkpoint: Checkpoint;
  /** Such as `line 12 of state.jsonl`. */
  readonly where: string;
}

/**
 * Reads a file of checkpoints: lines of JSON with a `note` each, as `--state` writes them and as the service logs them, or notes one
 * after another, as an anchor keeps them.
 *
 * Errors: where the file holds something else.
 */
export function parseKnown(text: string, name: string): Result<readonly KnownCheckpoint[], string> {
  const known: KnownCheckpoint[] = [];
  for (const { note, line } of text.trimStart().startsWith('{') ? jsonNotes(text) : plainNotes(text)) {
    const parsed = note === null ? null : parseCheckpoint(note);
    if (parsed === null) return err(`line ${line} of ${name} is no checkpoint`);
    known.push({ ...parsed, where: `line ${line} of ${name}` });
  }
  return ok(known);
}

interface Found {
  readonly note: string | null;
  readonly line: number;
}

function* jsonNotes(text: string): Generator<Found> {
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const value = parseJson(line);
    yield { note: isObject(value) && typeof value['note'] === 'string' ? value['note'] : null, line: index + 1 };
  }
}

/** A note ends with the last of its signature lines. */
function* plainNotes(text: string): Generator<Found> {
  const lines = text.split('\n');
  let begin = 0;
  let isSigned = false;
  for (const [index, line] of [...lines, ''].entries()) {
    if (line.startsWith('\u2014 ')) isSigned = true;
    else if (isSigned) {
      yield { note: `${lines.slice(begin, index).join('\n')}\n`, line: begin + 1 };
      begin = line === '' ? index + 1 : index;
      isSigned = false;
    } else if (line === '' && index === begin) begin = index + 1;
  }
  if (begin < lines.length) yield { note: null, line: begin + 1 };
}

/** The line of a state file. */
export const stateLine = (note: string, { origin, size, root }: Checkpoint, seenAt: string): string =>
  `${JSON.stringify({ seen_at: seenAt, origin, size, root: Buffer.from(root).toString('base64'), note })}\n`;

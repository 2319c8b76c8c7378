import { decodePaddedBase64 } from '../kit/bytes.ts';
import type { Hash } from './merkle.ts';
import { isKeyName, parseNote, type Note } from './note.ts';

/** What a log says of itself (C2SP tlog-checkpoint): so many entries under this root. */
export interface Checkpoint {
  /** A URL without its scheme, which names the log. Its key has the same name. */
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

/** The body of the note. */
export const checkpointBody = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;

/** Reads the body of a checkpoint; null where the text is none. Extension lines are passed over. */
export function parseCheckpointBody(body: string): Checkpoint | null {
  const [origin = '', size = '', root = ''] = body.split('\n');
  const hash = decodePaddedBase64(root);
  if (!isKeyName(origin) || !/^(?:0|[1-9]\d{0,15})$/.test(size) || hash === null || hash.length !== 32) return null;
  return body.endsWith('\n') && Number.isSafeInteger(Number(size)) ? { origin, size: Number(size), root: hash } : null;
}

/** Reads a signed checkpoint; null where the text is none. Nothing of it is checked. */
export function parseCheckpoint(text: string): { readonly note: Note; readonly checkpoint: Checkpoint } | null {
  const note = parseNote(text);
  const checkpoint = note === null ? null : parseCheckpointBody(note.body);
  return note === null || checkpoint === null ? null : { note, checkpoint };
}

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { errorCode, reasonOf, UserError } from '../../local/errors.ts';
import { writeOutFile } from '../out-file.ts';
import { printable } from '../terminal-text.ts';

/** What is followed: a cursor goes on only with the filters that it was made with. */
interface Question {
  readonly url: string;
  readonly parameters: object;
}

/** The place of a follower in the trail, which outlives it. */
export interface Place {
  /** The cursor behind the last events that were shown, or null if none were. */
  readonly cursor: string | null;
  save(cursor: string): Promise<void>;
}

const PlaceFile = z.strictObject({
  url: z.string(),
  parameters: z.record(z.string(), z.string()),
  cursor: z.string().min(1),
  /** How much of the file that `--out` names the cursor stands behind. */
  bytes: z.int().min(0).optional(),
});

/**
 * Opens the file that keeps the place of a follower. It is made by the first page.
 *
 * @param grown the file that the events go into, if one is named.
 * @throws UserError if it cannot be read, is no such file, or belongs to another question.
 */
export function openPlace(file: string, question: Question, grown: GrowingFile | null = null): Place {
  const kept = readPlace(file, question);
  grown?.begin(kept?.bytes ?? null);
  return {
    cursor: kept?.cursor ?? null,
    save: async (cursor) => {
      const bytes = grown === null ? {} : { bytes: grown.settle() };
      const text = `${JSON.stringify({ ...question, cursor, ...bytes })}\n`;
      await writeOutFile(file, true, async (write) => await write(text), '--cursor-file');
    },
  };
}

function readPlace(file: string, question: Question): z.infer<typeof PlaceFile> | null {
  let text: string;
  try {
    // To read a pipe is to wait for ever.
    text = statSync(file).isFile() ? readFileSync(file, 'utf8') : '';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw new UserError(`${printable(file)} cannot be read: ${reasonOf(error)}.`, { cause: error });
  }
  const read = PlaceFile.safeParse(jsonOf(text));
  if (!read.success) {
    throw new UserError(`${printable(file)} does not keep a place in the trail. Name another with --cursor-file.`);
  }
  const { url, parameters } = read.data;
  if (isDeepStrictEqual({ url, parameters }, { url: question.url, parameters: { ...question.parameters } })) {
    return read.data;
  }
  throw new UserError(
    `${printable(file)} keeps the place of another question: other filters, or another service. Name another with --cursor-file.`,
  );
}

/** The file that a follower writes to. */
export interface GrowingFile {
  /** Opens it. What stands behind the place was being written when a follower was killed, and comes again. */
  begin(bytes: number | null): void;
  write(text: string): void;
  /** Brings what was written to the disk. @returns how many bytes the file has. */
  settle(): number;
  close(): void;
}

/**
 * A file that grows by events, of its owner alone. Together with the place in the trail it is exact: a follower that is killed leaves
 * out no event and repeats none.
 *
 * @param isReplacing whether a file that belongs to no place may be emptied.
 */
export function growingFile(file: string, isReplacing: boolean): GrowingFile {
  let descriptor: number | null = null;
  const opened = (): number => {
    if (descriptor === null) throw new Error('The file is not open.');
    return descriptor;
  };
  const failed = (error: unknown): UserError =>
    new UserError(`${printable(file)} cannot be written: ${reasonOf(error)}. Name another with --out.`, {
      cause: error,
    });
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw error instanceof UserError ? error : failed(error);
    }
  };
  return {
    begin: (bytes) =>
      attempt(() => {
        const isNew = bytes === null && !isReplacing;
        descriptor = openSync(file, isNew ? 'ax' : 'a', 0o600);
        const { size } = fstatSync(descriptor);
        if (size < (bytes ?? 0)) {
          throw new UserError(
            `${printable(file)} lacks events that --cursor-file stands behind. Name another --cursor-file, to begin again.`,
          );
        }
        ftruncateSync(descriptor, bytes ?? 0);
      }),
    write: (text) =>
      attempt(() => {
        const bytes = Buffer.from(text);
        for (let at = 0; at < bytes.length;) at += writeSync(opened(), bytes, at);
      }),
    settle: () =>
      attempt(() => {
        fsyncSync(opened());
        return fstatSync(opened()).size;
      }),
    close: () => {
      if (descriptor !== null) closeSync(descriptor);
      descriptor = null;
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

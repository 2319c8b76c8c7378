import { readFileSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { errorCode, reasonOf, UserError } from '../../local/errors.ts';
import { writeOutFile } from '../out-file.ts';
import { printable } from '../terminal-text.ts';
import type { Place } from './show.ts';

/** What is followed: a cursor goes on only with the filters that it was made with. */
interface Question {
  readonly url: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const PlaceFile = z.strictObject({
  url: z.string(),
  parameters: z.record(z.string(), z.string()),
  cursor: z.string().min(1),
});

/**
 * Opens the file that keeps the place of a follower. It is made by the first page.
 *
 * @throws UserError if it cannot be read, is no such file, or belongs to another question.
 */
export function openPlace(file: string, question: Question): Place {
  return {
    cursor: readCursor(file, question),
    save: async (cursor) => {
      const text = `${JSON.stringify({ ...question, cursor })}\n`;
      await writeOutFile(file, true, async (write) => await write(text), '--cursor-file');
    },
  };
}

function readCursor(file: string, question: Question): string | null {
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
  const { cursor, ...asked } = read.data;
  if (isDeepStrictEqual(asked, { ...question, parameters: { ...question.parameters } })) return cursor;
  throw new UserError(
    `${printable(file)} keeps the place of another question: other filters, or another service. Name another with --cursor-file.`,
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

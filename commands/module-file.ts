import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { errorCode } from '../local/errors.ts';
import { CHECKOUT } from '../local/settings.ts';
import { jsonFault } from '../src/kit/json.ts';
import { redact } from '../src/kit/redaction.ts';
import { err, ok, type Result } from '../src/kit/result.ts';
import { printable } from './terminal-text.ts';

/**
 * Reads what a file exports as its default: a module that Node runs, or the value of a `.json` file.
 *
 * Errors: what is wrong with the file, such as `is not there`, with line and column where it says what it says wrongly.
 */
export async function readModuleFile(file: string): Promise<Result<unknown, string>> {
  const failed = (problem: string): Result<unknown, string> => err(problem);
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    return failed(errorCode(error) === 'ENOENT' ? 'is not there' : `cannot be read: ${messageOf(error)}`);
  }
  if (file.endsWith('.json')) {
    const fault = jsonFault(source);
    if (fault !== null) return failed(`is not JSON: ${fault.reason} at line ${fault.line}, column ${fault.column}`);
    return ok(JSON.parse(source) as unknown);
  }
  try {
    const module: unknown = await import(pathToFileURL(file).href);
    if (typeof module === 'object' && module !== null && 'default' in module) return ok(module.default);
    return failed('has no default export');
  } catch (error) {
    const place = placeOf(error);
    const where =
      place === null
        ? ''
        : ` at ${place.file === file ? '' : `${shownPath(place.file)}, `}line ${place.line}, column ${place.column}`;
    return failed(`cannot be loaded: ${messageOf(error)}${where}`);
  }
}

/** A file of the checkout by its path in it, and any other by its whole path. */
export function shownPath(file: string): string {
  const relative = path.relative(CHECKOUT, file);
  return relative.startsWith('..') ? file : relative;
}

interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Where a module failed; null if the error does not say it. Node puts the place in front of the stack, or into its first frame. */
function placeOf(error: unknown): Place | null {
  if (!(error instanceof Error) || error.stack === undefined) return null;
  return placeInFront(error.stack) ?? placeOfFrame(error.stack) ?? placeOfImport(error.message);
}

/** A fault that Node finds before it runs the module: file and line, the source, and carets under what it means. */
function placeInFront(stack: string): Place | null {
  const [first = '', ...lines] = stack.split('\n');
  const { file, line } = /^(?<file>(?:file:\/\/)?\/.*|[A-Z]:\\.*):(?<line>\d+)$/.exec(first)?.groups ?? {};
  if (file === undefined || line === undefined) return null;
  const carets = lines.map((text) => /^\s*(?=\^)/.exec(text)?.[0].length).find((indent) => indent !== undefined);
  const place = { file: pathOf(file), line: Number(line) };
  // There are no carets under the end of the file.
  return { ...place, column: (carets ?? lineOf(place).length) + 1 };
}

/** A fault while the module runs. */
function placeOfFrame(stack: string): Place | null {
  const { url, line, column } =
    /^\s+at (?:.*\()?(?<url>file:\/\/.*?):(?<line>\d+):(?<column>\d+)\)?$/m.exec(stack)?.groups ?? {};
  if (url === undefined) return null;
  return { file: pathOf(url), line: Number(line), column: Number(column) };
}

/** The import of a file that is not there. */
function placeOfImport(message: string): Place | null {
  const { wanted, file } = /'(?<wanted>[^']+)' imported from (?<file>.+)$/.exec(message)?.groups ?? {};
  if (wanted === undefined || file === undefined) return null;
  const lines = textOf(file).split('\n');
  const index = lines.findIndex((text) => text.includes('import') && text.includes(path.basename(wanted)));
  if (index < 0) return null;
  return { file, line: index + 1, column: (lines[index]?.search(/["'][^"']*["']/) ?? 0) + 1 };
}

const pathOf = (file: string): string => (file.startsWith('file://') ? fileURLToPath(file) : file);

const lineOf = ({ file, line }: { readonly file: string; readonly line: number }): string =>
  textOf(file).split('\n')[line - 1] ?? '';

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The first line of an error's message. A policy is no place for secrets, but one may have got into it. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return printable(redact(message.split('\n', 1)[0] ?? '')).replace(/\.$/, '');
}

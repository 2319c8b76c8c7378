import { readFileSync, writeFileSync } from 'node:fs';

const DOCUMENT = new URL('../docs/performance.md', import.meta.url);
/** `--write`: what is printed replaces what docs/performance.md shows of it. */
export const WRITE = '--write';
const isWritten = process.argv.includes(WRITE);

type Cell = string | number;

/** Prints rows as a table, each with the columns of the first. In the document it stands between the comments of its name. */
export function printTable(name: string, rows: readonly Readonly<Record<string, Cell>>[]): void {
  console.table(rows);
  const [first] = rows;
  if (first === undefined) return;
  const columns = Object.keys(first);
  const line = (cells: readonly Cell[]): string => `| ${cells.join(' | ')} |`;
  const aligned = columns.map((column) => (typeof first[column] === 'number' ? '---:' : '---'));
  const body = rows.map((row) => line(columns.map((column) => row[column] ?? '')));
  write(name, [line(columns), `|${aligned.join('|')}|`, ...body]);
}

/** Prints a line, as a table. */
export function printLine(name: string, line: string): void {
  console.log(line);
  write(name, [line]);
}

function write(name: string, lines: readonly string[]): void {
  if (!isWritten) return;
  const [begin, end] = [`<!-- bench: ${name} -->`, '<!-- /bench -->'];
  const [before = '', rest] = readFileSync(DOCUMENT, 'utf8').split(begin);
  const after = rest?.split(end).slice(1).join(end);
  if (after !== undefined) writeFileSync(DOCUMENT, `${before}${begin}\n\n${lines.join('\n')}\n\n${end}${after}`);
}

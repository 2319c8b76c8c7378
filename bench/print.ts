const isMarkdown = process.argv.includes('--markdown');

type Cell = string | number;

/** Prints rows as a table: with `--markdown` as one that a document takes as it is. Each row has the columns of the first. */
export function printTable(rows: readonly Readonly<Record<string, Cell>>[]): void {
  const [first] = rows;
  if (first === undefined) return;
  if (!isMarkdown) {
    console.table(rows);
    return;
  }
  const columns = Object.keys(first);
  const line = (cells: readonly Cell[]): string => `| ${cells.join(' | ')} |`;
  const aligned = columns.map((column) => (typeof first[column] === 'number' ? '---:' : '---'));
  const lines = [
    line(columns),
    `|${aligned.join('|')}|`,
    ...rows.map((row) => line(columns.map((name) => row[name] ?? ''))),
  ];
  console.log(`\n${lines.join('\n')}\n`);
}

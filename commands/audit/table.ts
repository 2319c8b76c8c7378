import * as z from 'zod';
import { fit, printable, widthOf } from '../terminal-text.ts';

const text = z.string().nullish();

/** The fields of an event of the API that a line shows. */
const ShownEvent = z.object({
  occurred_at: z.string(),
  action: z.string(),
  status: z.string(),
  count: z.number().default(1),
  actor: z.object({ type: z.string(), subject: text, label: text }),
  token_id: text,
  error_code: text,
});

interface Column {
  readonly title: string;
  /** The least width in cells: a narrower column says nothing. */
  readonly least: number;
  /** The width in tables of `--follow`, where later lines are not known yet. */
  readonly usual: number;
  /** Columns with a higher number are narrowed first. */
  readonly yields: number;
  readonly cut: 'end' | 'beginning';
}

const COLUMNS = [
  { title: 'TIME', least: 8, usual: 20, yields: 0, cut: 'end' },
  // Actions on tokens all begin with `service_account_token.`, so the end tells them apart.
  { title: 'ACTION', least: 14, usual: 28, yields: 4, cut: 'beginning' },
  { title: 'STATUS', least: 7, usual: 9, yields: 0, cut: 'end' },
  { title: 'ACTOR', least: 8, usual: 24, yields: 1, cut: 'end' },
  { title: 'TOKEN', least: 8, usual: 36, yields: 2, cut: 'end' },
  { title: 'CODE', least: 6, usual: 16, yields: 3, cut: 'end' },
] as const satisfies readonly Column[];

const GAP = '  ';

/** The width of each column in cells. */
export type Layout = readonly number[];

/** The texts of an event's line, one a column. */
export function cellsOf(event: unknown): readonly string[] {
  const { occurred_at, action, status, count, actor, token_id, error_code } = ShownEvent.parse(event);
  return [
    // To the second, in UTC.
    occurred_at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
    count > 1 ? `${action} ×${count}` : action,
    status,
    actor.label ?? actor.subject ?? actor.type,
    token_id ?? '',
    error_code ?? '',
  ].map(printable);
}

/** The layout for lines that are all known. */
export const layoutOf = (lines: readonly (readonly string[])[], terminalCells: number): Layout =>
  narrow(
    COLUMNS.map(({ title }, index) => Math.max(title.length, ...lines.map((line) => widthOf(line[index] ?? '')))),
    terminalCells,
  );

/** The layout for lines that are not known yet. */
export const usualLayout = (terminalCells: number): Layout =>
  narrow(
    COLUMNS.map(({ usual }) => usual),
    terminalCells,
  );

export const titleLine = (layout: Layout, terminalCells: number): string =>
  lineOf(
    COLUMNS.map(({ title }) => title),
    layout,
    terminalCells,
  );

/** Writes one line, never wider than the terminal. */
export function lineOf(cells: readonly string[], layout: Layout, terminalCells: number): string {
  const line = COLUMNS.map(({ cut }, index) => fit(cells[index] ?? '', layout[index] ?? 0, cut))
    .join(GAP)
    .trimEnd();
  return widthOf(line) <= terminalCells ? line : fit(line, terminalCells);
}

/** Narrows the columns that yield first: all of them to their usual width, and then, if need be, to their least. */
function narrow(wanted: Layout, terminalCells: number): Layout {
  const widths = [...wanted];
  let excess = widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1)) - terminalCells;
  const columns = COLUMNS.map((column, index) => ({ ...column, index })).toSorted((a, b) => b.yields - a.yields);
  for (const floor of ['usual', 'least'] as const) {
    for (const column of columns) {
      const width = widths[column.index] ?? 0;
      const less = Math.max(0, Math.min(excess, width - column[floor]));
      widths[column.index] = width - less;
      excess -= less;
    }
  }
  return widths;
}

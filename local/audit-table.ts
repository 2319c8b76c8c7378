import * as z from 'zod';
import { fit, printable, widthOf } from './audit-text.ts';

const text = z.string().nullish();

/** What a line shows of an event, as the API gives it. */
const ShownEvent = z.object({
  occurred_at: z.string(),
  action: z.string(),
  status: z.string(),
  count: z.number().default(1),
  actor: z.object({ type: z.string(), subject: text, label: text }),
  token_id: text,
  error_code: text,
});

/** `least`: narrower, and it says nothing. A column with a larger `yields` is narrowed before the others. */
interface Column {
  readonly title: string;
  readonly least: number;
  readonly yields: number;
  /** In the tables of `--follow`, whose later lines are not known yet. */
  readonly usual: number;
}

const COLUMNS = [
  { title: 'TIME', least: 8, yields: 0, usual: 20 },
  { title: 'ACTION', least: 12, yields: 2, usual: 28 },
  { title: 'STATUS', least: 7, yields: 1, usual: 9 },
  { title: 'ACTOR', least: 8, yields: 4, usual: 24 },
  { title: 'TOKEN', least: 8, yields: 1, usual: 36 },
  { title: 'CODE', least: 6, yields: 3, usual: 16 },
] as const satisfies readonly Column[];

const GAP = '  ';

/** How many cells each column has. */
export type Layout = readonly number[];

/** The texts of a line. */
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

/** The layout of lines that are known. */
export const layoutOf = (lines: readonly (readonly string[])[], terminalCells: number): Layout =>
  narrow(
    COLUMNS.map(({ title }, index) => Math.max(title.length, ...lines.map((line) => widthOf(line[index] ?? '')))),
    terminalCells,
  );

/** A layout for lines to come. */
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

/** One line, never wider than the terminal. */
export function lineOf(cells: readonly string[], layout: Layout, terminalCells: number): string {
  const line = layout
    .map((width, index) => fit(cells[index] ?? '', width))
    .join(GAP)
    .trimEnd();
  return widthOf(line) <= terminalCells ? line : fit(line, terminalCells);
}

/** Takes what is too much from the columns that yield first, down to what each needs. */
function narrow(wanted: Layout, terminalCells: number): Layout {
  const widths = [...wanted];
  let excess = widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1)) - terminalCells;
  const order = COLUMNS.map((column, index) => ({ ...column, index })).toSorted((a, b) => b.yields - a.yields);
  for (const { index, least } of order) {
    const width = widths[index] ?? 0;
    const less = Math.max(0, Math.min(excess, width - least));
    widths[index] = width - less;
    excess -= less;
  }
  return widths;
}

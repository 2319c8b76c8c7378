import { fit, widthOf } from './terminal-text.ts';

// Tables for a terminal: they are as wide as what is in them where there is room, and never wrap.

export interface Column {
  readonly title: string;
  /** The least width in cells: a narrower column says nothing. */
  readonly least: number;
  /** The width in tables whose later lines are not known yet. */
  readonly usual: number;
  /** Columns with a higher number are narrowed first. */
  readonly yields: number;
  readonly cut: 'end' | 'beginning';
  /** It is shown only where something is in it and there is room. A lower number is shown first. */
  readonly room?: number;
}

/** The texts of a line, one a column. */
export type Line = readonly string[];

/** The width of each column in cells; null: it is not shown. */
export type Layout = readonly (number | null)[];

const GAP = '  ';

/** The layout for lines that are all known. Without an end of the terminal each column has all the room it needs. */
export function layoutOf(columns: readonly Column[], lines: readonly Line[], terminalCells: number): Layout {
  const wanted = columns.map(({ title, room }, index) => {
    const widest = Math.max(0, ...lines.map((line) => widthOf(line[index] ?? '')));
    return room !== undefined && widest === 0 ? null : Math.max(widthOf(title), widest);
  });
  return fitting(columns, wanted, terminalCells);
}

/** The layout for lines that are not known yet. */
export const usualLayout = (columns: readonly Column[], terminalCells: number): Layout =>
  fitting(
    columns,
    columns.map(({ usual }) => usual),
    terminalCells,
  );

export const titleLine = (columns: readonly Column[], layout: Layout, terminalCells: number): string =>
  lineOf(
    columns,
    columns.map(({ title }) => title),
    layout,
    terminalCells,
  );

/** Writes one line, never wider than the terminal. */
export function lineOf(columns: readonly Column[], cells: Line, layout: Layout, terminalCells: number): string {
  const shown = columns.flatMap(({ cut }, index) => {
    const width = layout[index] ?? null;
    return width === null ? [] : [fit(cells[index] ?? '', width, cut)];
  });
  const line = shown.join(GAP).trimEnd();
  return widthOf(line) <= terminalCells ? line : fit(line, terminalCells);
}

/** Leaves out what there is no room for, the least important column first, and then narrows the rest. */
function fitting(columns: readonly Column[], wanted: Layout, terminalCells: number): Layout {
  const layout = wanted.map((width, index) => (columns[index]?.room === undefined ? width : null));
  const optional = columns
    .map((column, index) => ({ index, room: column.room, usual: column.usual }))
    .filter(({ room }) => room !== undefined)
    .toSorted((one, other) => (one.room ?? 0) - (other.room ?? 0));
  for (const { index, usual } of optional) {
    const width = wanted[index] ?? null;
    if (width === null) continue;
    const taken = totalOf(layout) + GAP.length;
    if (taken + width <= terminalCells) layout[index] = width;
    else if (taken + usual <= terminalCells) layout[index] = terminalCells - taken;
  }
  return narrow(columns, layout, terminalCells);
}

function totalOf(layout: Layout): number {
  const widths = layout.filter((width) => width !== null);
  return widths.reduce((sum, width) => sum + width, GAP.length * Math.max(0, widths.length - 1));
}

/** Narrows the columns that yield first: all of them to their usual width, and then, if need be, to their least. */
function narrow(columns: readonly Column[], wanted: Layout, terminalCells: number): Layout {
  const widths = [...wanted];
  let excess = totalOf(widths) - terminalCells;
  const ordered = columns.map((column, index) => ({ ...column, index })).toSorted((a, b) => b.yields - a.yields);
  for (const floor of ['usual', 'least'] as const) {
    for (const column of ordered) {
      const width = widths[column.index] ?? null;
      if (width === null) continue;
      const less = Math.max(0, Math.min(excess, width - column[floor]));
      widths[column.index] = width - less;
      excess -= less;
    }
  }
  return widths;
}

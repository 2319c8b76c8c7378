import { isRecord } from '../../package/client/failure.ts';
import { type Column, type Layout, layoutOf, lineOf, titleLine } from '../columns.ts';
import { printable, shownTime } from '../terminal-text.ts';

/** The columns of every table of events. */
const ALWAYS = [
  { title: 'TIME', least: 8, usual: 20, yields: 0, cut: 'end' },
  // Actions on tokens all begin with `service_account_token.`, so the end tells them apart.
  { title: 'ACTION', least: 14, usual: 28, yields: 4, cut: 'beginning' },
  { title: 'STATUS', least: 7, usual: 9, yields: 0, cut: 'end' },
  { title: 'ACTOR', least: 8, usual: 24, yields: 1, cut: 'end' },
  { title: 'TOKEN', least: 8, usual: 36, yields: 2, cut: 'end' },
  { title: 'CODE', least: 6, usual: 16, yields: 3, cut: 'end' },
] as const satisfies readonly Column[];

/** Those that a wide terminal has room for. */
const WITH_ROOM = [
  { title: 'NAME', least: 6, usual: 16, yields: 5, cut: 'end', room: 1 },
  { title: 'SCOPES', least: 6, usual: 16, yields: 6, cut: 'end', room: 2 },
  { title: 'REASON', least: 6, usual: 16, yields: 7, cut: 'end', room: 3 },
  { title: 'ROLE', least: 4, usual: 10, yields: 8, cut: 'end', room: 4 },
  { title: 'POLICY', least: 8, usual: 16, yields: 9, cut: 'end', room: 5 },
  { title: 'WORKSPACE', least: 9, usual: 36, yields: 10, cut: 'end', room: 6 },
] as const satisfies readonly Column[];

export const EVENT_COLUMNS: readonly Column[] = [...ALWAYS, ...WITH_ROOM];

/** The texts of an event's line, one a column. Another service may send anything, so nothing is taken for granted. */
export function cellsOf(event: unknown): readonly string[] {
  const of = (name: string): unknown => fieldOf(event, name);
  const actor = (name: string): unknown => fieldOf(of('actor'), name);
  const detail = (name: string): unknown => fieldOf(of('detail'), name);
  const [action, count] = [textOf(of('action')), of('count')];
  // A create by a preset has what the preset stood for.
  const scopes = detail('scopes') ?? detail('preset_scopes');
  const whom = action.startsWith('subject.') ? (detail('label') ?? detail('subject')) : null;
  return [
    shownTime(textOf(of('occurred_at'))),
    typeof count === 'number' && count > 1 ? `${action} ×${count}` : action,
    textOf(of('status')),
    textOf(actor('label') ?? actor('subject') ?? actor('type')),
    textOf(of('token_id') ?? whom),
    textOf(of('error_code')),
    textOf(of('token_name')),
    Array.isArray(scopes) ? scopes.map(textOf).join(' ') : '',
    textOf(detail('reason') ?? detail('because')),
    textOf(detail('role')),
    textOf(detail('policy')),
    textOf(of('workspace_uuid')),
  ].map(printable);
}

const fieldOf = (value: unknown, name: string): unknown => (isRecord(value) ? value[name] : undefined);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A table of events that are all known. */
export function eventTable(
  events: readonly unknown[],
  terminalCells: number,
  columns = EVENT_COLUMNS,
): readonly string[] {
  const lines = events.map(cellsOf);
  const layout: Layout = layoutOf(columns, lines, terminalCells);
  return [
    titleLine(columns, layout, terminalCells),
    ...lines.map((line) => lineOf(columns, line, layout, terminalCells)),
  ];
}

/** The columns that a table has on a narrow page too. */
export const NARROW_COLUMNS: readonly Column[] = ALWAYS;

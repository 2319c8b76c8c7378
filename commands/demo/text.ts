import { cellsOf, NARROW_COLUMNS } from '../audit/table.ts';
import { layoutOf, lineOf, titleLine } from '../columns.ts';
import { printable } from '../terminal-text.ts';

/** So many characters tell one secret from another, and are of no use to anybody. */
const SECRET_SHOWN = 'sat_'.length + 3;
const SECRETS = /sat_[A-Za-z0-9_-]+/g;
/** The first part of a UUID. */
const ID_SHOWN = 8;
const DAY_SECONDS = 24 * 60 * 60;

/** Makes text safe for a terminal, and cuts each secret short. */
export const shown = (text: string): string =>
  printable(text).replace(SECRETS, (secret) =>
    secret.length > SECRET_SHOWN ? `${secret.slice(0, SECRET_SHOWN)}…` : secret,
  );

/** The title of a step. */
export const titleOf = (number: number, title: string): string => `${number}. ${title}`;

/** A request in one line: method, path and what matters of its body. */
export const requestLine = (method: string, path: string, body?: unknown): string =>
  shown(`   > ${method} ${path}${body === undefined ? '' : `  ${JSON.stringify(body)}`}`);

/** An answer: its status and what matters of it, one line each. */
export function answerLines(status: number, [first = '', ...others]: readonly string[]): readonly string[] {
  const start = `   < ${status}  `;
  return [`${start}${shown(first)}`, ...others.map((line) => ' '.repeat(start.length) + shown(line))];
}

/** What a role allows, as `whoami` tells it. */
export interface ShownRole {
  readonly name: string;
  readonly permissions: readonly string[];
  /** `own` or `any`. */
  readonly tokens: string;
  readonly scopes: readonly string[];
  /** Null if the role sets no limit. */
  readonly max_ttl_seconds: number | null;
}

/** Who a caller is and what its role allows, in two lines. */
export function callerLines(subject: string, role: ShownRole): readonly string[] {
  const scopes = role.scopes.length === 0 ? 'no scope' : `at most ${role.scopes.join(', ')}`;
  const lifetime =
    role.max_ttl_seconds === null ? 'without an end' : `for at most ${daysOf(role.max_ttl_seconds)} days`;
  return [
    `You are ${subject}, in the role "${role.name}": ${role.permissions.join(', ')}.`,
    `It reaches ${role.tokens === 'own' ? 'its own tokens' : 'any token'}, with ${scopes}, ${lifetime}.`,
  ];
}

const daysOf = (seconds: number): string => String(Math.round((seconds / DAY_SECONDS) * 10) / 10);

/** What became of a leaked token, as the receipt of its report tells it. Times are RFC 3339. */
export interface ShownRevocation {
  readonly token_id: string;
  readonly received_at: string;
  readonly revoked_at?: string | null | undefined;
}

/** Describes a confirmed revocation. */
export function revocationLines({ token_id, received_at, revoked_at }: ShownRevocation): readonly string[] {
  const afterMs = revoked_at ? Date.parse(revoked_at) - Date.parse(received_at) : null;
  return [
    afterMs === null
      ? `Confirmed: token ${shortId(token_id)} is revoked at PipeOps.`
      : `Confirmed: PipeOps revoked token ${shortId(token_id)} ${afterMs} ms after the report arrived,`,
    ...(afterMs === null ? [] : ['and a list that was read after that agrees.']),
  ];
}

/** Cuts a UUID short for a line. */
export const shortId = (id: string): string => (id.length > ID_SHOWN ? `${id.slice(0, ID_SHOWN)}…` : id);

/** Writes events of the trail as a table, with the time of day alone and with short ids. */
export function tableLines(events: readonly unknown[], terminalCells: number): readonly string[] {
  const indent = '     ';
  const cells = terminalCells - indent.length;
  const lines = events.map((event) => {
    const [time = '', action = '', status = '', actor = '', token = '', code = ''] = cellsOf(event);
    return [time.slice('2026-01-01 '.length, -1), action, status, actor, shortId(token), code];
  });
  const layout = layoutOf(NARROW_COLUMNS, lines, cells);
  return [
    titleLine(NARROW_COLUMNS, layout, cells),
    ...lines.map((line) => lineOf(NARROW_COLUMNS, line, layout, cells)),
  ].map((line) => indent + line);
}

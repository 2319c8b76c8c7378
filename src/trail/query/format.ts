import type { AuditEventRow } from '../../db/schema.ts';
import { parseStored } from '../../kit/json.ts';
import { escapeControls } from '../../kit/text.ts';
import type { Owner } from './filter.ts';

// How an event is written for its readers: as JSON, as a line of JSON, and as a line of CSV.

export type ShownEvent = ReturnType<typeof presentEvent>;

/** A row of the trail as its readers see it. Times are RFC 3339 with milliseconds. */
export function presentEvent(row: AuditEventRow) {
  return {
    id: row.id,
    seq: row.seq,
    occurred_at: rfc3339(row.occurred_at),
    settled_at: row.settled_at === null ? null : rfc3339(row.settled_at),
    action: row.action,
    status: row.status,
    count: row.count,
    last_at: rfc3339(row.last_at ?? row.occurred_at),
    actor: { type: row.actor_type, issuer: row.actor_issuer, subject: row.actor_subject, label: row.actor_label },
    workspace_uuid: row.workspace_uuid,
    token_id: row.token_id,
    token_name: row.token_name,
    request_id: row.request_id,
    ip: row.ip,
    user_agent: row.user_agent,
    upstream_status: row.upstream_status,
    error_code: row.error_code,
    detail: { ...parseStored(row.detail), ...parseStored(row.outcome) },
  };
}

/** An event as it is on the wire: a newer service may use words that a reader of its answers does not know. */
export type WireEvent = Omit<ShownEvent, 'action' | 'status' | 'actor' | 'error_code'> & {
  readonly action: string;
  readonly status: string;
  readonly actor: { readonly type: string } & Omit<ShownEvent['actor'], 'type'>;
  readonly error_code: string | null;
};

const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** An event as whoever caused it sees it: what it asked for, and what it was told or may be told of what became of that. */
export function presentOwnEvent(row: AuditEventRow): ShownEvent {
  const outcome = Object.entries(parseStored(row.outcome)).filter(([name]) => OWN_OUTCOME.includes(name));
  return {
    ...presentEvent(row),
    // Of a token that it was not shown, a caller does not even learn whether PipeOps was asked.
    upstream_status: row.error_code === 'not_found' ? null : row.upstream_status,
    detail: { ...parseStored(row.detail), ...Object.fromEntries(outcome) },
  };
}

/**
 * An event of a token's life as whoever may read the token sees it. Of what others did it shows who did it and what became of it, and
 * not from where: addresses, programs and requests of others are for readers of the trail.
 */
export function presentLifeEvent(row: AuditEventRow, { issuer, subject }: Owner): ShownEvent {
  const event = presentOwnEvent(row);
  const isOwn = row.actor_issuer === issuer && row.actor_subject === subject;
  return isOwn ? event : { ...event, request_id: null, ip: null, user_agent: null };
}

/**
 * The fields of an outcome that its own caller sees. All others are for readers of the trail: above all the true reason of a
 * refusal, which tells whether a token exists that the caller may not see, and the tokens that resemble one whose create was lost.
 */
const OWN_OUTCOME: readonly string[] = [
  'role',
  'granted_expires_at',
  'came',
  'already_gone',
  'settled_by',
  'idempotent_of',
  'order',
  'lifted',
  'still_suspended_by',
  'blocks_lifted',
  'still_blocked',
];

export const EXPORT_FORMATS = ['ndjson', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** How an export is written. Each event is one line. */
export interface ExportEncoding {
  readonly contentType: string;
  readonly head: string;
  event(event: WireEvent): string;
  /** Null where the format has no room for a last line: RFC 4180 knows records alone. */
  readonly trailer: ((trailer: ExportTrailer) => string) | null;
}

/** The last line of an export whose format has one. An export without it was cut. */
export interface ExportTrailer {
  /** Whether the end of the trail was reached, or of that part of it that no longer changes. */
  readonly complete: boolean;
  /** How many events this answer has. */
  readonly count: number;
  /** The cursor to go on with; null if the export is complete. */
  readonly next: string | null;
}

/** A value of a cell. Null is an empty cell; text that is empty is `""`. */
export type CsvValue = string | number | null | { readonly json: unknown };

const COLUMNS: Readonly<Record<string, (event: WireEvent) => CsvValue>> = {
  seq: ({ seq }) => seq,
  id: ({ id }) => id,
  occurred_at: (event) => event.occurred_at,
  settled_at: (event) => event.settled_at,
  action: ({ action }) => action,
  status: ({ status }) => status,
  count: ({ count }) => count,
  last_at: (event) => event.last_at,
  actor_type: ({ actor }) => actor.type,
  actor_issuer: ({ actor }) => actor.issuer,
  actor_subject: ({ actor }) => actor.subject,
  actor_label: ({ actor }) => actor.label,
  workspace_uuid: (event) => event.workspace_uuid,
  token_id: (event) => event.token_id,
  token_name: (event) => event.token_name,
  request_id: (event) => event.request_id,
  ip: ({ ip }) => ip,
  user_agent: (event) => event.user_agent,
  upstream_status: (event) => event.upstream_status,
  error_code: (event) => event.error_code,
  detail: ({ detail }) => ({ json: detail }),
};

const jsonLine = (value: unknown): string => `${escapeControls(JSON.stringify(value))}\n`;

/** A line of CSV (RFC 4180), with its line end. It is one line whatever is in it: control characters are escaped. */
export const csvLine = (values: readonly CsvValue[]): string => `${values.map(csvCell).join(',')}\r\n`;

/**
 * A cell, no part of which is a formula to a spreadsheet, even to one that splits elsewhere than at commas.
 *
 * Text gets an apostrophe in front of whatever might be a formula, and a control character is written `\u0009`. To get the value
 * back, turn each `\u` with its four digits into its character, then take away one apostrophe at the beginning and one behind each
 * `,` `;` `:` `|` `"` and control character. JSON keeps its meaning: what might begin a formula in its strings is written `\u003d`.
 */
export function csvCell(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = typeof value === 'string' ? harmlessText(value) : harmlessJson(value.json);
  return PLAIN.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

const harmlessText = (text: string): string =>
  escapeControls(text.replace(FORMULA_CELL, "'").replace(ESCAPE_LIKE, String.raw`\u005c`));

const harmlessJson = (value: unknown): string =>
  escapeControls(JSON.stringify(value)).replace(JSON_STRING, (literal) =>
    literal.replace(JSON_FORMULA, escapeCharacter),
  );

const escapeCharacter = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * What a spreadsheet may take a new cell to begin behind: any separator that it was told to split at, and a quotation mark, which
 * ends what it was told to keep together.
 */
const CELL_BEGINS = String.raw`^|[,;:|"\p{Cc}]`;
/** Characters at the beginning of a cell that a spreadsheet does not show. */
const UNSHOWN = String.raw`[\p{Cc}\p{Cf}\p{Z}]*`;
/** What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), also in its full-width form. */
const FORMULA = String.raw`[=+\-@\uff1d\uff0b\uff0d\uff20]`;

/** Where a cell might begin with a formula, or with an apostrophe of the text itself: the first apostrophe there is always ours. */
const FORMULA_CELL = new RegExp(`(?<=${CELL_BEGINS})(?=${UNSHOWN}(?:${FORMULA}|'))|^(?=[\t\r\n])`, 'gu');
const JSON_FORMULA = new RegExp(`(?<=(?:${CELL_BEGINS})${UNSHOWN})${FORMULA}`, 'gu');
const JSON_STRING = /"(?:[^"\\]|\\.)*"/gu;
/** Text that looks like an escaped control character. */
const ESCAPE_LIKE = /\\(?=u[0-9a-f]{4})/giu;
/** Text that means nothing to any reader of CSV, whatever its separator. */
const PLAIN = /^[A-Za-z0-9_.:/-]+$/;

export const EXPORT_ENCODINGS: Readonly<Record<ExportFormat, ExportEncoding>> = {
  ndjson: { contentType: 'application/x-ndjson', head: '', event: jsonLine, trailer: jsonLine },
  csv: {
    contentType: 'text/csv; charset=utf-8',
    head: csvLine(Object.keys(COLUMNS)),
    event: (event) => csvLine(Object.values(COLUMNS).map((valueOf) => valueOf(event))),
    trailer: null,
  },
};

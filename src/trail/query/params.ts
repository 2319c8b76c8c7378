import { AUDIT_PAGE_DEFAULT_ROWS, AUDIT_PAGE_MAX_ROWS } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import {
  cursor,
  decodeCursor,
  limitUpTo,
  oneOf,
  type ParseParameter,
  readParameter,
  refuseUnknown,
} from '../../http/query.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { type EventFilter, FILTER_PARAMETERS, given, type Owner, readFilter } from './filter.ts';
import { EXPORT_FORMATS, type ExportFormat } from './format.ts';

export const DIRECTIONS = ['asc', 'desc'] as const;
/** The direction in which a page goes through the trail: `asc` shows the oldest events first. */
export type Direction = (typeof DIRECTIONS)[number];

/** Where in the trail a page begins: after `seq` in this direction. Null: at the end that comes first. */
export interface Position {
  readonly direction: Direction;
  readonly seq: number | null;
}

/** A query of the trail, as its parameters ask for it. */
export interface AuditQuery {
  readonly filter: EventFilter;
  readonly position: Position;
  readonly limitRows: number;
  /** Whether the end of the trail that can still change is shown too. A descending page always shows it. */
  readonly latest: boolean;
}

const QUERY_PARAMETERS = [...FILTER_PARAMETERS, 'order', 'limit', 'cursor', 'latest'];

/**
 * Reads the parameters of a query of the trail.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter; text that looks like a secret
 * is `validation_failed`.
 */
export function parseAuditQuery(query: URLSearchParams, caller: Owner): Result<AuditQuery, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !QUERY_PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, QUERY_PARAMETERS, problems);
  const filter = readFilter(query, caller, problems);
  const direction = readParameter<Direction>(query, 'order', oneOf(DIRECTIONS), 'desc', problems);
  const seq = readParameter<number | null>(query, 'cursor', cursor, null, problems);
  const parsed: AuditQuery = {
    filter,
    position: { direction, seq },
    limitRows: readParameter(query, 'limit', limitUpTo(AUDIT_PAGE_MAX_ROWS), AUDIT_PAGE_DEFAULT_ROWS, problems),
    latest: readParameter(query, 'latest', oneOf(['true', 'false']), 'false', problems) === 'true',
  };
  return problems.any() ? err(problems.failure()) : ok(parsed);
}

/** An export of the trail, as its parameters ask for it. */
export interface AuditExport {
  readonly format: ExportFormat;
  readonly filter: EventFilter;
  /** The export begins after this `seq`. Null: it begins with the first event. */
  readonly afterSeq: number | null;
  /** Whether the end of the trail that can still change is exported too. */
  readonly latest: boolean;
}

const EXPORT_PARAMETERS = ['format', ...FILTER_PARAMETERS, 'cursor', 'latest'];

/**
 * Reads the parameters of an export: those that filter a query, `format` (`ndjson` unless given), `cursor` and `latest`.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter; text that looks like a secret
 * is `validation_failed`.
 */
export function parseAuditExport(query: URLSearchParams, caller: Owner): Result<AuditExport, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !EXPORT_PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, EXPORT_PARAMETERS, problems);
  const parsed: AuditExport = {
    format: readParameter<ExportFormat>(query, 'format', oneOf(EXPORT_FORMATS), 'ndjson', problems),
    filter: readFilter(query, caller, problems),
    afterSeq: readParameter<number | null>(query, 'cursor', exportCursor, null, problems),
    latest: readParameter(query, 'latest', oneOf(['true', 'false']), 'false', problems) === 'true',
  };
  return problems.any() ? err(problems.failure()) : ok(parsed);
}

export const COUNTED_BY = ['action', 'actor', 'code', 'status', 'day', 'hour'] as const;
/** What events are counted by. */
export type CountedBy = (typeof COUNTED_BY)[number];

/** A count of the trail, as its parameters ask for it. */
export interface AuditCount {
  readonly by: CountedBy;
  readonly filter: EventFilter;
}

const COUNT_PARAMETERS = ['by', ...FILTER_PARAMETERS];

/**
 * Reads the parameters of a count: `by`, and those that filter a query.
 *
 * Anything unknown, malformed, missing or given twice is `invalid_request`, naming the parameter; text that looks like a secret is
 * `validation_failed`.
 */
export function parseAuditCount(query: URLSearchParams, caller: Owner): Result<AuditCount, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !COUNT_PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, COUNT_PARAMETERS, problems);
  const filter = readFilter(query, caller, problems);
  const by = readParameter<CountedBy | null>(query, 'by', oneOf(COUNTED_BY), null, problems);
  if (by === null && !problems.has('by')) problems.misunderstood('by', `Use one of: ${COUNTED_BY.join(', ')}.`);
  return by === null || problems.any() ? err(problems.failure()) : ok({ by, filter });
}

const exportCursor: ParseParameter<number> = (text) => {
  const seq = decodeCursor(text);
  return seq === null
    ? err('Use "next" of the last line of an earlier export, or the cursor of its "Link", as it was given.')
    : ok(seq);
};

/** What the row of a query says of its position. */
export const positionDetail = ({ direction, seq }: Position): Readonly<Record<string, unknown>> =>
  given({
    order: direction === 'asc' ? direction : null,
    after_seq: direction === 'asc' ? seq : null,
    before_seq: direction === 'desc' ? seq : null,
  });

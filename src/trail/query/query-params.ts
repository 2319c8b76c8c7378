import { AUDIT_PAGE_DEFAULT_ROWS, AUDIT_PAGE_MAX_ROWS } from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { createProblems } from '../../kit/problems.ts';
import { refuseUnknown } from '../../http/unknown-names.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { ORDERS, type EventFilter, type Order, type Owner, type Position } from './event-filter.ts';
import { FILTER_PARAMETERS, readFilter } from './filter-params.ts';
import { cursor, limitUpTo, oneOf, readParameter } from '../../http/parameters.ts';

/** A page of the trail, as it was asked for. */
export interface AuditQuery {
  readonly filter: EventFilter;
  readonly position: Position;
  readonly limitRows: number;
  /** Shows the end of the trail too where it can still change. A descending page always does. */
  readonly latest: boolean;
}

const KNOWN = [...FILTER_PARAMETERS, 'order', 'limit', 'cursor', 'latest'];

/**
 * Reads the parameters of a query of the trail.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter; text that looks like a secret
 * is `validation_failed`.
 */
export function parseAuditQuery(query: URLSearchParams, caller: Owner): Result<AuditQuery, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !KNOWN.includes(name));
  refuseUnknown('parameter', unknown, KNOWN, problems);
  const filter = readFilter(query, caller, problems);
  const order = readParameter<Order>(query, 'order', oneOf(ORDERS), 'desc', problems);
  const seq = readParameter<number | null>(query, 'cursor', cursor, null, problems);
  const parsed: AuditQuery = {
    filter,
    position: { order, seq },
    limitRows: readParameter(query, 'limit', limitUpTo(AUDIT_PAGE_MAX_ROWS), AUDIT_PAGE_DEFAULT_ROWS, problems),
    latest: readParameter(query, 'latest', oneOf(['true', 'false']), 'false', problems) === 'true',
  };
  return problems.any() ? err(problems.failure()) : ok(parsed);
}

import { AUDIT_PAGE_DEFAULT_ROWS, AUDIT_PAGE_MAX_ROWS } from '../config/limits.ts';
import type { RequestFailure } from '../failures.ts';
import { err, ok, type Result } from '../result.ts';
import { AUDIT_ACTIONS, AUDIT_STATUSES, type AuditAction, type AuditStatus } from '../vocabulary.ts';
import { decodeCursor } from './cursor.ts';

export interface AuditQuery {
  readonly actions: readonly AuditAction[];
  readonly status: AuditStatus | null;
  readonly limit: number;
  /** Rows before this `seq`. */
  readonly beforeSeq: number | null;
}

type Parsed<T> = Result<T, string>;

const PARAMETERS = {
  action: (text: string): Parsed<readonly AuditAction[]> => {
    const actions = text.split(',');
    return actions.every(isAction)
      ? ok(actions)
      : err(`Use one or more of these, separated by commas: ${AUDIT_ACTIONS.join(', ')}.`);
  },
  status: (text: string): Parsed<AuditStatus> => {
    const status = AUDIT_STATUSES.find((known) => known === text);
    return status === undefined ? err(`Use one of: ${AUDIT_STATUSES.join(', ')}.`) : ok(status);
  },
  limit: (text: string): Parsed<number> => {
    const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0;
    return limit >= 1 && limit <= AUDIT_PAGE_MAX_ROWS
      ? ok(limit)
      : err(`Use a whole number from 1 to ${AUDIT_PAGE_MAX_ROWS}.`);
  },
  cursor: (text: string): Parsed<number> => {
    const seq = decodeCursor(text);
    return seq === null ? err('Use "next_cursor" of an earlier page as it was given.') : ok(seq);
  },
};

/**
 * Reads the parameters of a query of the trail.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter.
 */
export function parseAuditQuery(query: URLSearchParams): Result<AuditQuery, RequestFailure> {
  // A Map, since a parameter may be called `__proto__`.
  const errors = new Map<string, string[]>();
  for (const name of new Set(query.keys())) {
    if (!Object.hasOwn(PARAMETERS, name))
      errors.set(name, [`Unknown parameter. Known: ${Object.keys(PARAMETERS).join(', ')}.`]);
    else if (query.getAll(name).length > 1) errors.set(name, ['Give this parameter once.']);
  }
  const read = <T>(name: keyof typeof PARAMETERS, parse: (text: string) => Parsed<T>, otherwise: T): T => {
    const text = query.get(name);
    if (text === null || errors.has(name)) return otherwise;
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    errors.set(name, [parsed.error]);
    return otherwise;
  };
  const parsed: AuditQuery = {
    actions: read('action', PARAMETERS.action, []),
    status: read<AuditStatus | null>('status', PARAMETERS.status, null),
    limit: read('limit', PARAMETERS.limit, AUDIT_PAGE_DEFAULT_ROWS),
    beforeSeq: read<number | null>('cursor', PARAMETERS.cursor, null),
  };
  return errors.size > 0 ? err({ kind: 'invalid_request', errors: Object.fromEntries(errors) }) : ok(parsed);
}

const isAction = (text: string): text is AuditAction => (AUDIT_ACTIONS as readonly string[]).includes(text);

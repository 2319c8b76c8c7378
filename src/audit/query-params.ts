import { AUDIT_PAGE_DEFAULT_ROWS, AUDIT_PAGE_MAX_ROWS } from '../config/limits.ts';
import type { RequestFailure } from '../failures.ts';
import { createProblems } from '../http/problems.ts';
import { refuseUnknown } from '../http/unknown-names.ts';
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
  const problems = createProblems();
  const known = Object.keys(PARAMETERS);
  const names = [...new Set(query.keys())];
  refuseUnknown(
    'parameter',
    names.filter((name) => !known.includes(name)),
    known,
    problems,
  );
  const read = <T>(name: keyof typeof PARAMETERS, parse: (text: string) => Parsed<T>, otherwise: T): T => {
    const [text, ...more] = query.getAll(name);
    if (text === undefined) return otherwise;
    const parsed = more.length > 0 ? err('Give this parameter once.') : parse(text);
    if (parsed.ok) return parsed.value;
    problems.misunderstood(name, parsed.error);
    return otherwise;
  };
  const parsed: AuditQuery = {
    actions: read('action', PARAMETERS.action, []),
    status: read<AuditStatus | null>('status', PARAMETERS.status, null),
    limit: read('limit', PARAMETERS.limit, AUDIT_PAGE_DEFAULT_ROWS),
    beforeSeq: read<number | null>('cursor', PARAMETERS.cursor, null),
  };
  return problems.any() ? err(problems.failure()) : ok(parsed);
}

const isAction = (text: string): text is AuditAction => (AUDIT_ACTIONS as readonly string[]).includes(text);

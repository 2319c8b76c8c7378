import { ACTOR_ISSUER_MAX_BYTES, ACTOR_SUBJECT_MAX_BYTES } from '../../config/limits.ts';
import type { Problems } from '../../kit/problems.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import { err, ok } from '../../kit/result.ts';
import { byteLength } from '../../kit/caps.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { parseTimeMs } from '../../kit/time.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES, type AuditAction } from '../../vocabulary.ts';
import { ME, type EventFilter, type Owner } from './event-filter.ts';
import { matching, oneOf, readParameter, type ParseParameter } from '../../http/parameters.ts';

/** The parameters that `readFilter` reads. */
export const FILTER_PARAMETERS = [
  'action',
  'status',
  'actor',
  'actor_type',
  'token_id',
  'workspace_uuid',
  'request_id',
  'ip',
  'from',
  'to',
] as const;

/** Those whose text is kept in the row of the query. */
const STORED = ['actor', 'token_id', 'workspace_uuid'] as const;

const ACTOR_MAX_BYTES = ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES;

/**
 * Reads the parameters that say which rows of the trail are asked for.
 *
 * Reports what is malformed or given twice as misunderstood, and what looks like a secret as unacceptable: the query is
 * itself in the trail, with its filter.
 *
 * @param caller who `actor=me` means.
 */
export function readFilter(query: URLSearchParams, caller: Owner, problems: Problems): EventFilter {
  for (const name of STORED) {
    if (query.getAll(name).some(containsSecret)) {
      problems.unacceptable(name, 'Leave out what looks like a token or a JWT: what is asked for is stored.');
    }
  }
  const read = <T>(name: (typeof FILTER_PARAMETERS)[number], parse: ParseParameter<T>): T | null =>
    problems.has(name) ? null : readParameter<T | null>(query, name, parse, null, problems);
  const named = read('actor', actor);
  const filter: EventFilter = {
    actions: read('action', actions) ?? [],
    status: read('status', oneOf(AUDIT_STATUSES)),
    actor: named === ME ? null : named,
    own: named === ME ? { issuer: caller.issuer, subject: caller.subject } : null,
    actorType: read('actor_type', oneOf(ACTOR_TYPES)),
    tokenId: read('token_id', matching(isTokenId, 'Use the id of a token.')),
    workspaceUuid: read('workspace_uuid', workspace),
    requestId: read('request_id', matching(isRequestId, 'Use a request id, as "X-Request-Id" of an answer gave it.')),
    ip: read('ip', matching(isAddress, 'Use one IP address, as an event shows it.')),
    fromMs: read('from', time),
    toMs: read('to', time),
  };
  if (filter.fromMs !== null && filter.toMs !== null && filter.toMs <= filter.fromMs) {
    problems.misunderstood('to', 'Use a time after "from". Events of that very time are not included.');
  }
  return filter;
}

const isRequestId = (text: string): boolean => /^[A-Za-z0-9-]{8,64}$/.test(text);
const isAddress = (text: string): boolean => /^[0-9A-Fa-f:.]{2,45}$/.test(text);

const NOUNS = [...new Set(AUDIT_ACTIONS.map((action) => action.replace(/\.\w+$/, '')))];

const matches = (action: AuditAction, pattern: string): boolean =>
  action === pattern || action.replace(/\.\w+$/, '.*') === pattern;

/** Actions, and nouns with `.*` for all of theirs, in the order of the closed list. */
const actions: ParseParameter<readonly AuditAction[]> = (text) => {
  const patterns = text.split(',');
  const isKnown = (pattern: string): boolean => AUDIT_ACTIONS.some((action) => matches(action, pattern));
  return patterns.every(isKnown)
    ? ok(AUDIT_ACTIONS.filter((action) => patterns.some((pattern) => matches(action, pattern))))
    : err(
        `Use one or more of these, separated by commas: ${AUDIT_ACTIONS.join(', ')}; or ${NOUNS.map((noun) => `${noun}.*`).join(', ')}.`,
      );
};

const actor: ParseParameter<string> = (text) =>
  text !== '' && byteLength(text) <= ACTOR_MAX_BYTES && !/\p{Cc}/u.test(text)
    ? ok(text)
    : err(
        `Use an issuer and a subject with "|" between them, or a subject, or a label, or "${ME}": at most ${ACTOR_MAX_BYTES} bytes.`,
      );

const workspace: ParseParameter<string> = (text) => {
  const workspaceUuid = parseWorkspaceUuid(text);
  return workspaceUuid === null ? err(`Use the id of a workspace: ${WORKSPACE_FORM}.`) : ok(workspaceUuid);
};

const time: ParseParameter<number> = (text) => {
  const ms = parseTimeMs(text);
  return ms === null
    ? err('Use a time in RFC 3339, such as 2026-01-31T09:30:00Z. In a query "+" is written "%2B".')
    : ok(ms);
};

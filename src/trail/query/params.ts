import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  AUDIT_ACTOR_DETAIL_MAX_BYTES,
  AUDIT_PAGE_DEFAULT_ROWS,
  AUDIT_PAGE_MAX_ROWS,
} from '../../config/limits.ts';
import type { RequestFailure } from '../../failures.ts';
import {
  cursor,
  decodeCursor,
  limitUpTo,
  matching,
  oneOf,
  type ParseParameter,
  readParameter,
  refuseUnknown,
} from '../../http/query.ts';
import { byteLength, cutToBytes } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import { createProblems, type Problems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { parseTimeMs, rfc3339OrNull } from '../../kit/time.ts';
import { EXPORT_FORMATS, type ExportFormat } from './format.ts';
import {
  ACTOR_TYPES,
  type ActorType,
  AUDIT_ACTIONS,
  AUDIT_STATUSES,
  type AuditAction,
  type AuditStatus,
} from '../../vocabulary.ts';

/** What `actor` says where a caller means itself. */
export const ME = 'me';

/** Whose events are asked for. A label is no part of it, since a person may be able to choose one. */
export interface Owner {
  readonly issuer: string;
  readonly subject: string;
}

/** Which rows of the trail are asked for: those that match every field. Null, and an empty list of actions, match any row. */
export interface EventFilter {
  readonly actions: readonly AuditAction[];
  readonly status: AuditStatus | null;
  /** An issuer and a subject with `|` between them, a subject, or a label. */
  readonly actor: string | null;
  /** The caller itself, whom `actor=me` means. */
  readonly own: Owner | null;
  readonly actorType: ActorType | null;
  readonly tokenId: string | null;
  readonly workspaceUuid: string | null;
  readonly requestId: string | null;
  readonly ip: string | null;
  /** Milliseconds since the epoch. `fromMs` is included, `toMs` is not. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** The filter that every row matches. */
export const NO_FILTER: EventFilter = {
  actions: [],
  status: null,
  actor: null,
  own: null,
  actorType: null,
  tokenId: null,
  workspaceUuid: null,
  requestId: null,
  ip: null,
  fromMs: null,
  toMs: null,
};

const DIRECTIONS = ['asc', 'desc'] as const;
/** The direction in which a page goes through the trail: `asc` shows the oldest events first. */
export type Direction = (typeof DIRECTIONS)[number];

/** Where in the trail a page begins: after `seq` in this direction. Null: at the end that comes first. */
export interface Position {
  readonly direction: Direction;
  readonly seq: number | null;
}

/** The parameters that `readFilter` reads. */
const FILTER_PARAMETERS = [
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

const exportCursor: ParseParameter<number> = (text) => {
  const seq = decodeCursor(text);
  return seq === null
    ? err('Use "next" of the last line of an earlier export, or the cursor of its "Link", as it was given.')
    : ok(seq);
};

/** The parameters whose text the row of the query stores. */
const STORED = ['actor', 'token_id', 'workspace_uuid'] as const;

const ACTOR_MAX_BYTES = ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES;

/**
 * Reads the parameters that say which rows of the trail are asked for.
 *
 * A parameter that is malformed or given twice is reported as misunderstood. One that looks like a secret is reported as
 * unacceptable, because the query is itself in the trail, with its filter.
 *
 * @param caller whom `actor=me` means.
 */
function readFilter(query: URLSearchParams, caller: Owner, problems: Problems): EventFilter {
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

/** Reads actions, and nouns with `.*` for all of their actions. Gives them in the order of the closed list. */
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

/**
 * What the row of a query or an export says of its filter. The token and the workspace stand in columns of their own, so whoever
 * asks about a token also finds who has read about it.
 */
export const filterDetail = (filter: EventFilter): Readonly<Record<string, unknown>> =>
  given({
    action: filter.actions.length > 0 ? filter.actions : null,
    status: filter.status,
    actor: filter.own === null ? actorDetail(filter.actor) : ME,
    actor_type: filter.actorType,
    request_id: filter.requestId,
    ip: filter.ip,
    from: rfc3339OrNull(filter.fromMs),
    to: rfc3339OrNull(filter.toMs),
  });

const actorDetail = (name: string | null): string | null =>
  name === null ? null : cutToBytes(name, AUDIT_ACTOR_DETAIL_MAX_BYTES);

/** What the row of a query says of its position. */
export const positionDetail = ({ direction, seq }: Position): Readonly<Record<string, unknown>> =>
  given({
    order: direction === 'asc' ? direction : null,
    after_seq: direction === 'asc' ? seq : null,
    before_seq: direction === 'desc' ? seq : null,
  });

const given = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

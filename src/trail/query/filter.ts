import { scopeFault } from '../../config/grant-names.ts';
import { ACTOR_ISSUER_MAX_BYTES, ACTOR_SUBJECT_MAX_BYTES, TOKEN_NAME_MAX_BYTES } from '../../config/limits.ts';
import {
  AUDIT_FILTER_DETAIL_MAX_BYTES,
  AUDIT_FILTER_TEXT_LEAST_BYTES,
  POLICY_VERSION_CHARS,
  ROLE_NAME_MAX_CHARS,
  TOKEN_PREFIX_MAX_CHARS,
} from '../../config/trail-limits.ts';
import { matching, oneOf, type ParseParameter, readParameter } from '../../http/query.ts';
import { byteLength, cutToBytes } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM } from '../../kit/ids.ts';
import type { Problems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok } from '../../kit/result.ts';
import { parseTimeMs, rfc3339OrNull } from '../../kit/time.ts';
import {
  ACTOR_TYPES,
  type ActorType,
  AUDIT_ACTIONS,
  AUDIT_STATUSES,
  type AuditAction,
  type AuditStatus,
  ERROR_CODES,
  type ErrorCode,
} from '../../vocabulary.ts';

// Which events are asked for: the parameters that queries, exports and counts share, and what the row of each says of them.

/** What `actor` says where a caller means itself. */
export const ME = 'me';

/** Whose events are asked for. A label is no part of it, since a person may be able to choose one. */
export interface Owner {
  readonly issuer: string;
  readonly subject: string;
}

/** Which rows of the trail are asked for: those that match every field. Null, and an empty list, match any row. */
export interface EventFilter {
  /** The actions that are named. */
  readonly actions: readonly AuditAction[];
  /** The actions that are named with a `!`. No row of these matches. */
  readonly except: readonly AuditAction[];
  readonly status: AuditStatus | null;
  readonly code: ErrorCode | null;
  /** An issuer and a subject with `|` between them, a subject, or a label. */
  readonly actor: string | null;
  /** The caller itself, whom `actor=me` means. */
  readonly own: Owner | null;
  readonly actorType: ActorType | null;
  readonly tokenId: string | null;
  /** The name that a create or a rename gives a token. */
  readonly tokenName: string | null;
  /** The beginning of a token's secret, as PipeOps shows it. */
  readonly tokenPrefix: string | null;
  /** A scope that was asked for, that a preset stood for, or that PipeOps gave a token. */
  readonly scope: string | null;
  /** The role that allowed a request. */
  readonly role: string | null;
  /** The version of the policy that decided. */
  readonly policyVersion: string | null;
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
  except: [],
  status: null,
  code: null,
  actor: null,
  own: null,
  actorType: null,
  tokenId: null,
  tokenName: null,
  tokenPrefix: null,
  scope: null,
  role: null,
  policyVersion: null,
  workspaceUuid: null,
  requestId: null,
  ip: null,
  fromMs: null,
  toMs: null,
};

/** The parameters that `readFilter` reads. */
export const FILTER_PARAMETERS = [
  'action',
  'status',
  'code',
  'actor',
  'actor_type',
  'token_id',
  'token_name',
  'token_prefix',
  'scope',
  'role',
  'policy_version',
  'workspace_uuid',
  'request_id',
  'ip',
  'from',
  'to',
] as const;

/** The parameters whose text a caller chooses, and the row of the query stores. */
const STORED = [
  'actor',
  'token_id',
  'token_name',
  'token_prefix',
  'scope',
  'role',
  'policy_version',
  'code',
  'workspace_uuid',
] as const;

const ACTOR_MAX_BYTES = ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES;

/**
 * Reads the parameters that say which rows of the trail are asked for.
 *
 * A parameter that is malformed or given twice is reported as misunderstood. One that looks like a secret is reported as
 * unacceptable, because the query is itself in the trail, with its filter.
 *
 * @param caller whom `actor=me` means.
 */
export function readFilter(query: URLSearchParams, caller: Owner, problems: Problems): EventFilter {
  for (const name of STORED) {
    if (query.getAll(name).some(containsSecret)) problems.unacceptable(name, STORES_NO_SECRET);
  }
  const read = <T>(name: (typeof FILTER_PARAMETERS)[number], parse: ParseParameter<T>): T | null =>
    problems.has(name) ? null : readParameter<T | null>(query, name, parse, null, problems);
  const named = read('actor', actor);
  const filter: EventFilter = {
    ...(read('action', actions) ?? { actions: [], except: [] }),
    status: read('status', oneOf(AUDIT_STATUSES)),
    code: read('code', oneOf(ERROR_CODES)),
    actor: named === ME ? null : named,
    own: named === ME ? { issuer: caller.issuer, subject: caller.subject } : null,
    actorType: read('actor_type', oneOf(ACTOR_TYPES)),
    tokenId: read('token_id', FORMS.tokenId),
    tokenName: read('token_name', FORMS.tokenName),
    tokenPrefix: read('token_prefix', FORMS.tokenPrefix),
    scope: read('scope', FORMS.scope),
    role: read('role', FORMS.role),
    policyVersion: read('policy_version', FORMS.policyVersion),
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

/** What is said to whoever asks with what looks like a secret. */
export const STORES_NO_SECRET = 'Leave out what looks like a token or a JWT: what is asked for is stored.';

const isTokenName = (text: string): boolean =>
  text !== '' && byteLength(text) <= TOKEN_NAME_MAX_BYTES && !/\p{Cc}/u.test(text);
/** The forms of these filters, which the contract shows too. */
export const TOKEN_PREFIX = new RegExp(`^[A-Za-z0-9_+/=~-]{1,${TOKEN_PREFIX_MAX_CHARS}}$`);
export const ROLE_NAME = new RegExp(`^[A-Za-z][A-Za-z0-9_-]{0,${ROLE_NAME_MAX_CHARS - 1}}$`);
export const POLICY_VERSION = new RegExp(`^[0-9a-f]{${POLICY_VERSION_CHARS}}$`);

/** The parameters that are about a token, in the trail and in the inventory alike. */
export const FORMS = {
  tokenId: matching(isTokenId, 'Use the id of a token.'),
  tokenName: matching(isTokenName, 'Use the name that a create or a rename gave a token.'),
  tokenPrefix: matching((text) => TOKEN_PREFIX.test(text), 'Use the "token_prefix" of a token, such as sat_a1B2c3D.'),
  scope: matching((text) => scopeFault(text) === null, 'Use one scope, such as api:read.'),
  role: matching((text) => ROLE_NAME.test(text), 'Use the name of a role, as the policy writes it.'),
  policyVersion: matching((text) => POLICY_VERSION.test(text), 'Use the "policy" that the detail of an event shows.'),
} as const satisfies Readonly<Record<string, ParseParameter<string>>>;

const isRequestId = (text: string): boolean => /^[A-Za-z0-9-]{8,64}$/.test(text);
const isAddress = (text: string): boolean => /^[0-9A-Fa-f:.]{2,45}$/.test(text);

const nounOf = (action: AuditAction): string => action.replace(/\.\w+$/, '.*');
const NOUNS = [...new Set(AUDIT_ACTIONS.map(nounOf))];

/**
 * Reads actions, nouns with `.*` for all of their actions, and any of these with a `!` in front, which takes its actions away from the
 * others or, where only such are named, from all. Both lists are in the order of the closed list.
 */
const actions: ParseParameter<Pick<EventFilter, 'actions' | 'except'>> = (text) => {
  const patterns = text.split(',');
  const named = (among: readonly string[]): readonly AuditAction[] =>
    AUDIT_ACTIONS.filter((action) => among.includes(action) || among.includes(nounOf(action)));
  const isKnown = (pattern: string): boolean => named([pattern.replace(/^!/, '')]).length > 0;
  return patterns.every(isKnown)
    ? ok({
        actions: named(patterns),
        except: named(patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))),
      })
    : err(
        `Use one or more of these, separated by commas: ${AUDIT_ACTIONS.join(', ')}; or ${NOUNS.join(', ')}; with "!" in front of those to leave out.`,
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

/** A time in RFC 3339, as milliseconds since the epoch. */
export const time: ParseParameter<number> = (text) => {
  const ms = parseTimeMs(text);
  return ms === null
    ? err('Use a time in RFC 3339, such as 2026-01-31T09:30:00Z. In a query "+" is written "%2B".')
    : ok(ms);
};

/**
 * What the row of a query or an export says of its filter. The token and the workspace stand in columns of their own, so whoever
 * asks about a token also finds who has read about it.
 */
export function filterDetail(filter: EventFilter): Readonly<Record<string, unknown>> {
  const { actor: actorName, tokenName } = filter;
  const excess = byteLength(JSON.stringify(detailOf(filter))) - AUDIT_FILTER_DETAIL_MAX_BYTES;
  if (excess <= 0) return detailOf(filter);
  // A byte of these texts is a byte of JSON or more. Nothing else in a filter is so long that it has to be cut.
  const name = cut(tokenName, AUDIT_FILTER_TEXT_LEAST_BYTES);
  const shorter = excess - lengthOf(tokenName) + lengthOf(name);
  return detailOf({
    ...filter,
    tokenName: name,
    actor: cut(actorName, Math.max(AUDIT_FILTER_TEXT_LEAST_BYTES, lengthOf(actorName) - shorter)),
  });
}

const lengthOf = (text: string | null): number => (text === null ? 0 : byteLength(text));
const cut = (text: string | null, maxBytes: number): string | null =>
  text === null ? null : cutToBytes(text, maxBytes);

const detailOf = (filter: EventFilter): Readonly<Record<string, unknown>> =>
  given({
    action: actionsDetail(filter),
    status: filter.status,
    code: filter.code,
    actor: filter.own === null ? filter.actor : ME,
    actor_type: filter.actorType,
    token_name: filter.tokenName,
    token_prefix: filter.tokenPrefix,
    scope: filter.scope,
    role: filter.role,
    policy_version: filter.policyVersion,
    request_id: filter.requestId,
    ip: filter.ip,
    from: rfc3339OrNull(filter.fromMs),
    to: rfc3339OrNull(filter.toMs),
  });

/** The actions that a filter leaves, as the shorter of two lists: those that match, or with a `!` in front those that do not. */
function actionsDetail(filter: Pick<EventFilter, 'actions' | 'except'>): readonly string[] | null {
  const wanted = wantedActions(filter);
  if (wanted.length === AUDIT_ACTIONS.length) return null;
  const others = AUDIT_ACTIONS.filter((action) => !wanted.includes(action)).map((action) => `!${action}`);
  return wanted.length <= others.length ? wanted : others;
}

/** The actions that a filter leaves. It may be none. */
export const wantedActions = ({
  actions: named,
  except,
}: Pick<EventFilter, 'actions' | 'except'>): readonly AuditAction[] =>
  (named.length > 0 ? named : AUDIT_ACTIONS).filter((action) => !except.includes(action));

/** The fields that are not null. */
export const given = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

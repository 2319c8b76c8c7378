import { and, eq, gte, lt, not, or, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../config/limits.ts';
import { auditEvents } from '../db/schema.ts';
import type { Identity } from '../identity/types.ts';
import { cutToBytes } from '../text/caps.ts';
import { redact } from '../text/redaction.ts';
import { AUDIT_ACTIONS } from '../vocabulary.ts';
import type { EventFilter } from './event-filter.ts';

/** One way into the trail: the rows that an index gives in the order of `seq`. */
export interface Branch {
  /** Null: the table itself. */
  readonly index: string | null;
  readonly where: SQL | undefined;
}

/** How a filter is looked up: by the branches, none of which shares a row, and by what is then left to check. */
export interface Plan {
  readonly branches: readonly [Branch, ...Branch[]];
  readonly rest: readonly SQL[];
}

const { actor_issuer, actor_label, actor_subject } = auditEvents;

/** The one filter that picks the fewest rows is looked up, and the others are checked on what it gives. */
export function planOf(filter: EventFilter): Plan {
  const [first, ...others] = indexed(filter);
  const rest = [...others.map(anyOf), ...unindexed(filter)];
  return { branches: first ?? [{ index: null, where: undefined }], rest };
}

/** Rows that match a filter now, or will once they are settled: settling gives a status, and a create its token. */
export const mayComeToMatch = (filter: EventFilter): SQL | undefined =>
  and(
    ...indexed({ ...filter, tokenId: null }).map(anyOf),
    ...unindexed({ ...filter, status: null }),
    ...timesOf(filter),
    filter.tokenId === null ? undefined : sql`coalesce(${auditEvents.token_id}, ${filter.tokenId}) = ${filter.tokenId}`,
  );

/** The time itself, since bounds on `seq` are only near it. */
export const timesOf = ({ fromMs, toMs }: EventFilter): SQL[] => [
  ...(fromMs === null ? [] : [gte(auditEvents.occurred_at, fromMs)]),
  ...(toMs === null ? [] : [lt(auditEvents.occurred_at, toMs)]),
];

/** Everything but this caller's own queries of the trail. */
export const notOwnQueries = ({ issuer, subject }: Pick<Identity, 'issuer' | 'subject'>): SQL =>
  not(
    sql`(${auditEvents.action} = 'audit.query' and ${actor_issuer} is ${storedIssuer(issuer)} and ${actor_subject} is ${redact(subject)})`,
  );

/** The filters that have an index, in the order of how few rows each is likely to pick. */
function indexed(filter: EventFilter): [Branch, ...Branch[]][] {
  const { requestId, tokenId, actor, workspaceUuid, actions } = filter;
  const found: [Branch, ...Branch[]][] = [];
  if (requestId !== null) {
    found.push([{ index: 'audit_events_request_id', where: eq(auditEvents.request_id, requestId) }]);
  }
  if (tokenId !== null) found.push([{ index: 'audit_events_token_id', where: eq(auditEvents.token_id, tokenId) }]);
  if (actor !== null) found.push(byActor(actor));
  if (workspaceUuid !== null) {
    found.push([{ index: 'audit_events_workspace_uuid', where: eq(auditEvents.workspace_uuid, workspaceUuid) }]);
  }
  // All of the closed list is every row, and the table gives those by itself.
  const [action, ...more] = actions.length < AUDIT_ACTIONS.length ? actions.map(byAction) : [];
  if (action !== undefined) found.push([action, ...more]);
  return found;
}

const byAction = (action: string): Branch => ({
  index: 'audit_events_action',
  where: eq(auditEvents.action, action),
});

/** A subject may itself contain `|`, so text with one is looked up whole as well. */
function byActor(actor: string): [Branch, ...Branch[]] {
  const index = 'audit_events_actor_subject';
  const bar = actor.indexOf('|');
  const issuer = storedIssuer(actor.slice(0, Math.max(bar, 0)));
  const ofIssuer = and(eq(actor_subject, actor.slice(bar + 1)), sql`${actor_issuer} is ${issuer}`);
  const label = cutToBytes(actor, ACTOR_LABEL_MAX_BYTES);
  return [
    { index, where: eq(actor_subject, actor) },
    {
      index: 'audit_events_actor_label',
      where: and(
        eq(actor_label, label),
        sql`${actor_label} is not ${actor_subject}`,
        // No row twice: neither by a label that is also cut from the subject, nor by issuer and subject.
        sql`${actor_subject} is not ${actor}`,
        bar < 0 ? undefined : sql`(${ofIssuer}) is not true`,
      ),
    },
    ...(bar < 0 ? [] : [{ index, where: ofIssuer }]),
  ];
}

function unindexed({ status, actorType, ip }: EventFilter): SQL[] {
  return [
    ...(status === null ? [] : [eq(auditEvents.status, status)]),
    ...(actorType === null ? [] : [eq(auditEvents.actor_type, actorType)]),
    ...(ip === null ? [] : [eq(auditEvents.ip, ip)]),
  ];
}

/** Branches as one condition on a row. */
const anyOf = (branches: readonly Branch[]): SQL => or(...branches.map(({ where }) => where)) ?? sql`true`;

/** Issuers are stored cut. */
const storedIssuer = (issuer: string): string => cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES);

import { and, eq, gte, lt, not, or, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../../config/limits.ts';
import { auditEvents } from '../../db/schema.ts';
import { digitsOfWorkspace, isRespelled } from '../../db/workspace-spelling.ts';
import type { Identity } from '../../identity/identity.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { redact } from '../../kit/redaction.ts';
import { uuidOf } from '../../kit/ids.ts';
import { AUDIT_ACTIONS } from '../../vocabulary.ts';
import type { EventFilter, Owner } from './params.ts';
import { isOfIssuer, isOfSubject } from './event-by-id.ts';

/** One way into the trail: the rows that an index gives in the order of `seq`. */
export interface Branch {
  /** Null: the table itself. */
  readonly index: string | null;
  readonly where: SQL | undefined;
}

/** How a filter is looked up: by the branches, none of which shares a row, and by what is then left to check. */
export interface Plan {
  readonly branches: readonly [Branch, ...Branch[]];
  /** A common table expression that the branches refer to, if they do. */
  readonly expressions: readonly SQL[];
  readonly rest: readonly SQL[];
}

/** A filter that has an index. */
interface Lookup {
  readonly branches: readonly [Branch, ...Branch[]];
  readonly expressions: readonly SQL[];
  /** All of it as one condition on a row. */
  readonly condition: SQL;
}

const { actor_issuer, actor_label, actor_subject } = auditEvents;

/** The one filter that picks the fewest rows is looked up, and the others are checked on what it gives. */
export function planOf(filter: EventFilter): Plan {
  if (filter.own !== null) return planOfOwn(filter, filter.own);
  const [first, ...others] = indexed(filter);
  return {
    branches: first?.branches ?? [{ index: null, where: undefined }],
    expressions: first?.expressions ?? [],
    rest: [...others.map(({ condition }) => condition), ...unindexed(filter), ...timesOf(filter)],
  };
}

/**
 * A caller's own events are looked up as such, whatever else is asked for. By any other filter, such as a token's id, what is read and
 * where it ends would depend on events of others.
 */
function planOfOwn(filter: EventFilter, own: Owner): Plan {
  return {
    branches: [{ index: 'audit_events_actor_subject', where: isOfSubject(own) }],
    expressions: [],
    rest: [
      isOfIssuer(own),
      ...indexed(filter).map(({ condition }) => condition),
      ...unindexed(filter),
      ...timesOf(filter),
    ],
  };
}

/** Rows that match a filter now, or will once they are settled: settling gives a status, and a create its token. */
export const mayComeToMatch = (filter: EventFilter): SQL | undefined =>
  and(
    ...indexed({ ...filter, tokenId: null }).map(({ condition }) => condition),
    ...(filter.own === null ? [] : [isOfSubject(filter.own), isOfIssuer(filter.own)]),
    ...unindexed({ ...filter, status: null }),
    ...timesOf(filter),
    filter.tokenId === null ? undefined : sql`coalesce(${auditEvents.token_id}, ${filter.tokenId}) = ${filter.tokenId}`,
  );

/** Times have no index: what spans leave of the trail is checked. */
const timesOf = ({ fromMs, toMs }: EventFilter): SQL[] => [
  ...(fromMs === null ? [] : [gte(auditEvents.occurred_at, fromMs)]),
  ...(toMs === null ? [] : [lt(auditEvents.occurred_at, toMs)]),
];

/** Everything but this caller's own queries of the trail. */
export const notOwnQueries = ({ issuer, subject }: Pick<Identity, 'issuer' | 'subject'>): SQL =>
  not(
    sql`(${auditEvents.action} = 'audit.query' and ${actor_issuer} is ${storedIssuer(issuer)} and ${actor_subject} is ${redact(subject)})`,
  );

/** The filters that have an index, in the order of how few rows each is likely to pick. */
function indexed(filter: EventFilter): Lookup[] {
  const { requestId, tokenId, actor, workspaceUuid, actions } = filter;
  const found: Lookup[] = [];
  const add = (index: string, where: SQL): void => void found.push(lookup([{ index, where }]));
  if (requestId !== null) add('audit_events_request_id', eq(auditEvents.request_id, requestId));
  if (tokenId !== null) add('audit_events_token_id', eq(auditEvents.token_id, tokenId));
  if (actor !== null) found.push(lookup(byActor(actor)));
  if (workspaceUuid !== null) found.push(byWorkspace(workspaceUuid));
  // All of the closed list is every row, and the table gives those by itself.
  if (actions.length < AUDIT_ACTIONS.length) found.push(...byActions(actions));
  return found;
}

const lookup = (branches: readonly [Branch, ...Branch[]]): Lookup => ({
  branches,
  expressions: [],
  condition: or(...branches.map(({ where }) => where)) ?? sql`true`,
});

/**
 * A workspace by its one spelling, and where it is a UUID by all others that the trail holds: rows stay as they were written, and an
 * index of its own holds those, however many spellings they are in.
 */
function byWorkspace(workspaceUuid: string): Lookup {
  const canonical: Branch = {
    index: 'audit_events_workspace_uuid',
    where: eq(auditEvents.workspace_uuid, workspaceUuid),
  };
  const uuid = uuidOf(workspaceUuid);
  if (uuid === null) return lookup([canonical]);
  const digits = uuid.replaceAll('-', '');
  const respelled = sql`${isRespelled('workspace_uuid')} and ${digitsOfWorkspace('workspace_uuid')} = ${digits}`;
  return lookup([canonical, { index: 'audit_events_respelled', where: respelled }]);
}

/** One branch for each action. The list is one value however long it is, since D1 takes a hundred. */
function byActions(actions: readonly string[]): Lookup[] {
  const list = JSON.stringify(actions);
  const [first, ...more] = actions.map((_action, index): Branch => {
    const action = sql`(select list ->> ${sql.raw(String(index))} from listed_actions)`;
    return { index: 'audit_events_action', where: sql`${auditEvents.action} = ${action}` };
  });
  if (first === undefined) return [];
  const condition = sql`${auditEvents.action} in (select value from json_each(${list}))`;
  return [{ branches: [first, ...more], expressions: [sql`listed_actions(list) as (select ${list})`], condition }];
}

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

/** Issuers are stored cut. */
const storedIssuer = (issuer: string): string => cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES);

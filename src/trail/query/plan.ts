import { and, eq, gte, lt, not, or, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../../config/limits.ts';
import { auditEvents } from '../../db/schema.ts';
import { digitsOfWorkspace, isRespelled } from '../../db/workspace-spelling.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { uuidOf } from '../../kit/ids.ts';
import { redact } from '../../kit/redaction.ts';
import { AUDIT_ACTIONS } from '../../vocabulary.ts';
import type { EventFilter, Owner } from './params.ts';

/** How the rows of a filter are found: what is looked up in indexes, and what is then checked on each row. */
export interface Plan {
  /** No two branches share a row. Together they give every row that the checks are made on, in the order of `seq`. */
  readonly branches: Branches;
  /** The common table expressions that the branches refer to. */
  readonly expressions: readonly SQL[];
  readonly checks: readonly SQL[];
}

/** One way into the trail: the rows that an index gives in the order of `seq`. */
export interface Branch {
  /** Null: the table itself. */
  readonly index: string | null;
  readonly where: SQL | undefined;
}
type Branches = readonly [Branch, ...Branch[]];

/** A filter that has an index: it can be looked up, or checked on the rows that another one gives. */
interface Lookup {
  readonly branches: Branches;
  readonly expressions: readonly SQL[];
  /** The whole filter as one condition on a row. */
  readonly condition: SQL;
}

const { actor_issuer, actor_label, actor_subject } = auditEvents;

/** Plans a filter: the part of it that picks the fewest rows is looked up, and the others are checked on what it gives. */
export function planOf(filter: EventFilter): Plan {
  if (filter.own !== null) return planOfOwn(filter, filter.own);
  const [first, ...others] = lookupsOf(filter);
  return {
    branches: first?.branches ?? [{ index: null, where: undefined }],
    expressions: first?.expressions ?? [],
    checks: [...others.map(({ condition }) => condition), ...unindexed(filter), ...timesOf(filter)],
  };
}

/**
 * Plans a query of a caller's own events. They are looked up by their subject, whatever else is asked for: with any other filter,
 * such as a token's id, the number of rows read and the place where a page ends would tell of events of others.
 */
function planOfOwn(filter: EventFilter, own: Owner): Plan {
  return {
    branches: [{ index: 'audit_events_actor_subject', where: isOfSubject(own) }],
    expressions: [],
    checks: [
      isOfIssuer(own),
      ...lookupsOf(filter).map(({ condition }) => condition),
      ...unindexed(filter),
      ...timesOf(filter),
    ],
  };
}

/** Rows that match a filter now, or may match once they are settled: settling gives a status, and gives a create its token. */
export const mayComeToMatch = (filter: EventFilter): SQL | undefined =>
  and(
    ...lookupsOf({ ...filter, tokenId: null }).map(({ condition }) => condition),
    ...(filter.own === null ? [] : [isOfSubject(filter.own), isOfIssuer(filter.own)]),
    ...unindexed({ ...filter, status: null }),
    ...timesOf(filter),
    filter.tokenId === null ? undefined : sql`coalesce(${auditEvents.token_id}, ${filter.tokenId}) = ${filter.tokenId}`,
  );

/** Every row but this caller's own queries of the trail. */
export const notOwnQueries = ({ issuer, subject }: Owner): SQL =>
  not(
    sql`(${auditEvents.action} = 'audit.query' and ${actor_issuer} is ${storedIssuer(issuer)} and ${actor_subject} is ${redact(subject)})`,
  );

/** The rows of a subject. Rows never store a part of one: identity refuses subjects that do not fit. */
export const isOfSubject = ({ subject }: Owner): SQL => eq(actor_subject, redact(subject));
/** The rows of an issuer. */
export const isOfIssuer = ({ issuer }: Owner): SQL => sql`${actor_issuer} is ${storedIssuer(issuer)}`;

/** An issuer as rows store it. */
const storedIssuer = (issuer: string): string => cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES);

/** The filters that have an index. Those that are likely to pick the fewest rows come first. */
function lookupsOf({ requestId, tokenId, actor, workspaceUuid, actions }: EventFilter): readonly Lookup[] {
  const { request_id, token_id } = auditEvents;
  return [
    ...(requestId === null ? [] : [lookup([{ index: 'audit_events_request_id', where: eq(request_id, requestId) }])]),
    ...(tokenId === null ? [] : [lookup([{ index: 'audit_events_token_id', where: eq(token_id, tokenId) }])]),
    ...(actor === null ? [] : [byActor(actor)]),
    ...(workspaceUuid === null ? [] : [byWorkspace(workspaceUuid)]),
    // All actions of the closed list are every row, and the table gives those by itself.
    ...(actions.length < AUDIT_ACTIONS.length ? byActions(actions) : []),
  ];
}

const lookup = (branches: Branches): Lookup => ({
  branches,
  expressions: [],
  condition: or(...branches.map(({ where }) => where)) ?? sql`true`,
});

/**
 * An actor is named by issuer and subject with `|` between them, by its subject, or by its label. A subject may itself contain
 * `|`, so a name with one is also looked up as a whole.
 */
function byActor(actor: string): Lookup {
  const index = 'audit_events_actor_subject';
  const bar = actor.indexOf('|');
  const issuer = storedIssuer(actor.slice(0, Math.max(bar, 0)));
  const ofIssuer = and(eq(actor_subject, actor.slice(bar + 1)), sql`${actor_issuer} is ${issuer}`);
  const label = cutToBytes(actor, ACTOR_LABEL_MAX_BYTES);
  return lookup([
    { index, where: eq(actor_subject, actor) },
    {
      index: 'audit_events_actor_label',
      where: and(
        eq(actor_label, label),
        sql`${actor_label} is not ${actor_subject}`,
        // A row that another branch gives is not given again: by a label that is cut from the subject, or by issuer and subject.
        sql`${actor_subject} is not ${actor}`,
        bar < 0 ? undefined : sql`(${ofIssuer}) is not true`,
      ),
    },
    ...(bar < 0 ? [] : [{ index, where: ofIssuer }]),
  ]);
}

/**
 * A workspace is looked up by its one spelling and, if it is a UUID, by all other spellings that the trail holds. Rows stay as they
 * were written, and an index of its own holds the respelled ones.
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

/** Each action has a branch. The list of them is one bound value however long it is, since D1 takes a hundred. */
function byActions(actions: readonly string[]): readonly Lookup[] {
  const list = JSON.stringify(actions);
  const [first, ...more] = actions.map((_action, index): Branch => {
    const action = sql`(select list ->> ${sql.raw(String(index))} from listed_actions)`;
    return { index: 'audit_events_action', where: sql`${auditEvents.action} = ${action}` };
  });
  if (first === undefined) return [];
  const condition = sql`${auditEvents.action} in (select value from json_each(${list}))`;
  return [{ branches: [first, ...more], expressions: [sql`listed_actions(list) as (select ${list})`], condition }];
}

/** The filters that have no index. */
function unindexed({ status, actorType, ip }: EventFilter): readonly SQL[] {
  return [
    ...(status === null ? [] : [eq(auditEvents.status, status)]),
    ...(actorType === null ? [] : [eq(auditEvents.actor_type, actorType)]),
    ...(ip === null ? [] : [eq(auditEvents.ip, ip)]),
  ];
}

/** Times have no index: each row of the stretch that `seqBounds` leaves is checked. */
const timesOf = ({ fromMs, toMs }: EventFilter): readonly SQL[] => [
  ...(fromMs === null ? [] : [gte(auditEvents.occurred_at, fromMs)]),
  ...(toMs === null ? [] : [lt(auditEvents.occurred_at, toMs)]),
];

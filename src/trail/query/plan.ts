import { and, eq, gte, lt, not, or, sql, type SQL } from 'drizzle-orm';
import { ACTOR_ISSUER_MAX_BYTES, ACTOR_LABEL_MAX_BYTES } from '../../config/limits.ts';
import { TOKEN_PREFIX_MERGED_TOKENS } from '../../config/trail-limits.ts';
import { auditEvents, tokens } from '../../db/schema.ts';
import { digitsOfWorkspace, isRespelled } from '../../db/workspace-spelling.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { uuidOf } from '../../kit/ids.ts';
import { redact } from '../../kit/redaction.ts';
import { AUDIT_ACTIONS, type AuditAction } from '../../vocabulary.ts';
import { type EventFilter, type Owner, wantedActions } from './filter.ts';

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

/**
 * Rows that match a filter now, or may match once they are settled: settling gives a status, a code and a role, gives a create its token,
 * and tells which scopes PipeOps gave.
 */
export const mayComeToMatch = (filter: EventFilter): SQL | undefined =>
  and(
    ...lookupsOf({ ...filter, tokenId: null, tokenPrefix: null, code: null }).map(({ condition }) => condition),
    ...(filter.own === null ? [] : [isOfSubject(filter.own), isOfIssuer(filter.own)]),
    ...unindexed({ ...filter, status: null, role: null, scope: null }),
    ...timesOf(filter),
    filter.tokenId === null ? undefined : sql`coalesce(${auditEvents.token_id}, ${filter.tokenId}) = ${filter.tokenId}`,
    filter.tokenPrefix === null
      ? undefined
      : sql`(${auditEvents.token_id} is null or ${auditEvents.token_id} in ${tokensOf(filter, filter.tokenPrefix)})`,
  );

/** Every row but this caller's own queries of the trail. */
export const notOwnQueries = ({ issuer, subject }: Owner): SQL =>
  not(
    sql`(${auditEvents.action} = 'audit.query' and ${actor_issuer} is ${storedIssuer(issuer)} and ${actor_subject} is ${redact(subject)})`,
  );

/** The rows of a subject. Rows never store a part of one: identity refuses subjects that do not fit. */
export const isOfSubject = ({ subject }: Owner): SQL => eq(actor_subject, redact(subject));
/** The rows of an issuer. */
export const isOfIssuer = ({ issuer }: { readonly issuer: string | null }): SQL =>
  sql`${actor_issuer} is ${issuer === null ? null : storedIssuer(issuer)}`;

/** An issuer as rows store it. */
const storedIssuer = (issuer: string): string => cutToBytes(issuer, ACTOR_ISSUER_MAX_BYTES);

/** The filters that have an index. Those that are likely to pick the fewest rows come first. */
function lookupsOf(filter: EventFilter): readonly Lookup[] {
  const { requestId, tokenId, tokenName, tokenPrefix, code, actor, workspaceUuid } = filter;
  const { request_id, token_id, token_name, error_code } = auditEvents;
  const equal = (index: string, where: SQL): readonly Lookup[] => [lookup([{ index, where }])];
  const actions = actionsOf(filter);
  return [
    ...(actions.length === 0 ? [NOTHING] : []),
    ...(requestId === null ? [] : equal('audit_events_request_id', eq(request_id, requestId))),
    ...(tokenId === null ? [] : equal('audit_events_token_id', eq(token_id, tokenId))),
    ...(tokenName === null ? [] : equal('audit_events_token_name', eq(token_name, tokenName))),
    ...(tokenPrefix === null ? [] : [byTokenPrefix(filter, tokenPrefix)]),
    ...(code === null ? [] : equal('audit_events_error_code', eq(error_code, code))),
    ...(actor === null || isWithoutSubject(actor) ? [] : [byActor(actor)]),
    ...(workspaceUuid === null ? [] : [byWorkspace(workspaceUuid)]),
    // All actions of the closed list are every row, and the table gives those by itself.
    ...(actions.length < AUDIT_ACTIONS.length ? byActions(actions) : []),
  ];
}

/** The actions that no row of a grant has: such a row names neither a scope nor a role. */
const GRANTS_NOTHING: readonly AuditAction[] = [
  'service_account_token.list',
  'service_account_token.get',
  'audit.query',
  'audit.export',
  'audit.count',
  'audit.settled',
  'auth.reject',
  'status.read',
  'workspace.list',
  'webhook.receive',
  'webhook.query',
  'subject.block',
  'subject.reinstate',
  'credential.renew',
];

/** The actions of which a row may match. Where a scope or a role is asked for, the index of actions leaves out all reads. */
const actionsOf = (filter: EventFilter): readonly AuditAction[] =>
  wantedActions(filter).filter(
    (action) => (filter.scope === null && filter.role === null) || !GRANTS_NOTHING.includes(action),
  );

/** What no row matches. */
const NOTHING: Lookup = { branches: [{ index: null, where: sql`false` }], expressions: [], condition: sql`false` };

const lookup = (branches: Branches): Lookup => ({
  branches,
  expressions: [],
  condition: or(...branches.map(({ where }) => where)) ?? sql`true`,
});

/**
 * The tokens of a prefix, as a subquery. Of a caller's own events, a prefix finds those about its own tokens alone: that a token of
 * another has this prefix is nothing that it may find out.
 */
const tokensOf = ({ own }: Pick<EventFilter, 'own'>, prefix: string, page: SQL = sql``): SQL =>
  sql`(select distinct ${tokens.token_id} from ${tokens} indexed by tokens_prefix where ${and(
    eq(tokens.token_prefix, prefix),
    own === null ? undefined : and(eq(tokens.owner_issuer, own.issuer), eq(tokens.owner_subject, own.subject)),
  )} ${page})`;

/**
 * A prefix is looked up in the inventory. Each of its first tokens has a branch of its own, which gives rows in the order of `seq`; the
 * last branch has those of all further ones, which SQLite has to sort.
 */
function byTokenPrefix(filter: EventFilter, prefix: string): Lookup {
  const { token_id } = auditEvents;
  const index = 'audit_events_token_id';
  const from = (offset: number): SQL => sql.raw(`offset ${offset}`);
  const each = sql`order by ${tokens.token_id} limit`;
  const branches = Array.from({ length: TOKEN_PREFIX_MERGED_TOKENS }, (_item, offset): Branch => {
    return { index, where: sql`${token_id} = ${tokensOf(filter, prefix, sql`${each} 1 ${from(offset)}`)}` };
  });
  const rest = sql`${token_id} in ${tokensOf(filter, prefix, sql`${each} -1 ${from(branches.length)}`)}`;
  return {
    branches: [{ index, where: rest }, ...branches],
    expressions: [],
    condition: sql`${token_id} in ${tokensOf(filter, prefix)}`,
  };
}

/**
 * An actor is named by its subject or its label, or exactly: by its issuer and its subject with `|` between them, either of which may be
 * missing. No issuer has a bar in it, so the first one ends it. Such a name finds no row by a label or by a whole subject, which a person
 * may be able to choose.
 */
function byActor(actor: string): Lookup {
  const index = 'audit_events_actor_subject';
  const exact = exactly(actor);
  if (exact !== null) {
    return lookup([{ index, where: and(eq(actor_subject, exact.subject ?? ''), isOfIssuer(exact)) }]);
  }
  const label = cutToBytes(actor, ACTOR_LABEL_MAX_BYTES);
  return lookup([
    { index, where: eq(actor_subject, actor) },
    {
      index: 'audit_events_actor_label',
      where: and(
        eq(actor_label, label),
        sql`${actor_label} is not ${actor_subject}`,
        // A row that the other branch gives is not given again, by a label that is cut from the subject.
        sql`${actor_subject} is not ${actor}`,
      ),
    },
  ]);
}

/** The issuer and the subject of an actor that is named exactly, null where one is missing. Null: it is not named exactly. */
function exactly(actor: string): { readonly issuer: string | null; readonly subject: string | null } | null {
  const [, issuer, subject] = EXACT_ACTOR.exec(actor) ?? [];
  return issuer === undefined ? null : { issuer: issuer || null, subject: subject || null };
}

const EXACT_ACTOR = /^((?:https?:[^|]*)?)\|(.*)$/isu;

/** Whether an actor is named that has no subject: the service itself, or a stranger. Only subjects have an index. */
const isWithoutSubject = (actor: string): boolean => exactly(actor)?.subject === null;

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

/** Whether a row is of a workspace, however that was spelled. */
export const isInWorkspace = (workspaceUuid: string): SQL => byWorkspace(workspaceUuid).condition;

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
function unindexed({ status, actor, actorType, ip, scope, role, policyVersion }: EventFilter): readonly SQL[] {
  const { detail, outcome } = auditEvents;
  return [
    ...(status === null ? [] : [eq(auditEvents.status, status)]),
    ...(actor === null || !isWithoutSubject(actor)
      ? []
      : [sql`(${actor_subject} is null and ${isOfIssuer(exactly(actor) ?? NOBODY)})`]),
    ...(actorType === null ? [] : [eq(auditEvents.actor_type, actorType)]),
    ...(ip === null ? [] : [eq(auditEvents.ip, ip)]),
    // What PipeOps gave is compared as a grant is: in any case of letters. What was asked for is in small ones.
    ...(scope === null
      ? []
      : [
          // Looking for the text first keeps D1 from reading the scopes of every row one by one.
          sql`(instr(${detail}, ${JSON.stringify(scope)}) > 0 or instr(lower(${outcome}), ${JSON.stringify(scope)}) > 0)
            and ${scope} in (select value from json_each(${detail}, '$.scopes')
            union all select value from json_each(${detail}, '$.preset_scopes')
            union all select lower(value) from json_each(${outcome}, '$.came.scopes'))`,
        ]),
    // An outcome alone names a role that allowed something: the row of a query has the role that it asks for in its detail.
    ...(role === null ? [] : [sql`${outcome} ->> '$.role' = ${role}`]),
    ...(policyVersion === null ? [] : [sql`${detail} ->> '$.policy' = ${policyVersion}`]),
  ];
}

const NOBODY = { issuer: null };

/** Times have no index: each row of the stretch that `seqBounds` leaves is checked. */
const timesOf = ({ fromMs, toMs }: EventFilter): readonly SQL[] => [
  ...(fromMs === null ? [] : [gte(auditEvents.occurred_at, fromMs)]),
  ...(toMs === null ? [] : [lt(auditEvents.occurred_at, toMs)]),
];

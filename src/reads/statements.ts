import { getTableColumns, gt, sql, type SQL } from 'drizzle-orm';
import { FURTHER_PREFIX, isDenialInFull, isReadInFull, minuteBeginIn } from '../trail/caller-rows.ts';
import { countedAgain, hasReadKey } from '../trail/counted.ts';
import type { NewAuditRow } from '../trail/event.ts';
import {
  READ_GROUP_LISTS_MAX_COUNT,
  SNAPSHOT_STALE_MAX_MS,
  WORKSPACE_IN_USE_MS,
  WORKSPACES_IN_USE_MAX_COUNT,
} from '../config/limits.ts';
import { compiled, selectedRow } from '../db/sql.ts';
import type { Database } from '../db/database.ts';
import { auditEvents, snapshots, tokens, upstreamLimits, workspaces } from '../db/schema.ts';
import type { SessionProof } from '../identity/identity.ts';
import { barNumber, sessionLives } from '../subjects/bars.ts';
import type { InventoryRow } from './snapshot.ts';

/** Alike reads of one caller and generation, which are recorded together. */
export interface ReadEntry {
  /** It is inserted unless a row of this key is there. */
  readonly row: NewAuditRow;
  /** By which alike reads share a row; null: each has its own. */
  readonly key: string | null;
  /** How many alike reads there are. */
  readonly count: number;
  readonly workspace: string;
  /** The generation that must be current for it to be recorded; null: any will do. */
  readonly generation: number | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** In the form in which labels are compared. */
  readonly label: string | null;
  /** The browser session that its caller comes through; null: it sent a JWT. */
  readonly session: SessionProof | null;
}

/**
 * What a read asks about its workspace. If it was decided on a list: what it needs in case that list is not current. If it was not:
 * who asks, since nothing is given or taken before D1 says that the reader may have it.
 */
export interface AskedWorkspace {
  readonly workspace: string;
  /** Generation of the list that the read was decided on, or null if it was decided on none. */
  readonly generation: number | null;
  /** Null: no list is wanted. */
  readonly min_begun: number | null;
  /** By how many milliseconds a list may be older for each workspace in use. */
  readonly each: number;
  /** Whether lists are shared with other isolates: taken from D1, or asked for under a lease. */
  readonly shared: boolean;
  /** Whether PipeOps is to be asked if D1 has none. */
  readonly ask: boolean;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** In the form in which labels are compared. */
  readonly label: string | null;
  /** The browser session that its caller comes through; null: it sent a JWT. */
  readonly session: SessionProof | null;
  /**
   * Of a reader who sees its own tokens alone: it gets the list only if the inventory says that this token is its own. One that
   * names no token gets none.
   */
  readonly own: { readonly token: string | null; readonly issuer: string; readonly subject: string } | null;
}

/** A token whose row is asked for. */
export interface AskedToken {
  readonly workspace: string;
  readonly token: string;
}

const ENTRIES = sql`json_each(${sql.placeholder('entries')}) as e`;
const ASKED = sql`json_each(${sql.placeholder('asked')}) as e`;
const NOW = sql.placeholder('nowMs');
const LEASE_END = sql.placeholder('leaseEndMs');
const LEASE_HOLDER = sql.placeholder('leaseHolder');

const currentOf = (workspace: SQL): SQL =>
  sql`coalesce((select w.generation from ${workspaces} as w where w.workspace_uuid = ${workspace}), 0)`;
const OWN_CURRENT = currentOf(sql.raw(`e.value ->> 'workspace'`));

const IS_BLOCKED = sql.raw(`exists (select 1 from subject_blocks as b
  where (b.issuer = e.value ->> 'issuer' and b.subject = e.value ->> 'subject') or b.label = e.value ->> 'label')`);
const IS_OVER = sql`(e.value ->> 'session' is not null and not ${sessionLives((name) => sql.raw(`e.value ->> '$.session.${name}'`))})`;
const IS_BARRED = sql`(${IS_BLOCKED} or ${IS_OVER})`;
const MAY_RECORD = sql`(e.value ->> 'generation' is null or e.value ->> 'generation' = ${OWN_CURRENT}) and not ${IS_BARRED}`;
const OCCURRED_AT = sql.raw(`e.value ->> '$.row.occurred_at'`);

const IS_AUTHORISED = sql`not ${IS_BARRED} and (e.value ->> 'own' is null or exists (
  select 1 from ${tokens} as t where t.workspace_uuid = e.value ->> 'workspace' and t.token_id = e.value ->> '$.own.token'
    and t.owner_issuer = e.value ->> '$.own.issuer' and t.owner_subject = e.value ->> '$.own.subject'))`;
/** A shared list is wanted and may be had, and the list that the read was decided on, if any, is not current. */
const IS_MISSING = sql`e.value ->> 'min_begun' is not null and e.value ->> 'shared'
  and e.value ->> 'generation' is not ${OWN_CURRENT} and ${IS_AUTHORISED}`;

/** Workspaces whose lists were asked for within the hour, and were there. */
const IN_USE = sql`(select count(*) from (select 1 from ${workspaces} as u
  where u.listed_at > ${NOW} - ${sql.raw(String(WORKSPACE_IN_USE_MS))} and u.listed_at is not null
    and u.list_state in ('complete', 'partial', 'unproven') limit ${sql.raw(String(WORKSPACES_IN_USE_MAX_COUNT))}))`;
/** As `pacedSinceMs` says it. */
const PACED_SINCE = sql`min(e.value ->> 'min_begun',
  max(${NOW} - ${IN_USE} * (e.value ->> 'each'), ${NOW} - ${sql.raw(String(SNAPSHOT_STALE_MAX_MS))}))`;
const IS_STORED = sql`s.workspace_uuid = e.value ->> 'workspace' and s.begun_at >= ${PACED_SINCE}
  and s.generation = ${currentOf(sql.raw('s.workspace_uuid'))}`;
const HAS_STORED = sql`exists (select 1 from ${snapshots} as s where ${IS_STORED})`;
/** A few at a time. Those whose reads have no list at all come first; a read that is left out looks again. */
const STORED_FOR = sql`(select e.value ->> 'workspace' from ${ASKED} where ${IS_MISSING} and ${HAS_STORED}
  group by 1 order by max(e.value ->> 'generation' is not null) limit ${sql.raw(String(READ_GROUP_LISTS_MAX_COUNT))})`;

const LEASED = {
  workspace_uuid: sql.raw(`e.value ->> 'workspace'`),
  generation: 0,
  lease_generation: OWN_CURRENT,
  lease_until: LEASE_END,
  lease_holder: LEASE_HOLDER,
  lease_changed: 0,
  listed_at: NOW,
} satisfies Partial<Record<keyof typeof workspaces.$inferSelect, unknown>>;

const INVENTORY = {
  token_id: sql<string>`t.token_id`.as('token_id'),
  owner_issuer: sql<string | null>`t.owner_issuer`.as('owner_issuer'),
  owner_subject: sql<string | null>`t.owner_subject`.as('owner_subject'),
  owner_mac: sql<string | null>`t.owner_mac`.as('owner_mac'),
  marker: sql<string | null>`t.marker`.as('marker'),
  suspended_by: sql<string | null>`t.suspended_by`.as('suspended_by'),
} satisfies Record<keyof InventoryRow | 'owner_mac', unknown>;
const INVENTORY_OF_WORKSPACE = {
  workspace_uuid: sql<string>`t.workspace_uuid`.as('workspace_uuid'),
  ...INVENTORY,
};

const ROW_COLUMNS: Readonly<Record<string, SQL>> = Object.fromEntries(
  Object.keys(getTableColumns(auditEvents)).map((name) => [name, sql.raw(`e.value ->> '$.row.${name}'`)]),
);

/** The entries that have no row yet, and how many of the same caller and kind this statement inserts before each. */
const NEW_ENTRIES = sql`(select e.value, row_number() over (
    partition by e.value ->> 'issuer', e.value ->> 'subject', e.value ->> 'key' is null order by e.key) - 1 as before
  from ${ENTRIES} where ${MAY_RECORD} and not exists (select 1 from audit_events as a
    where a.read_key = e.value ->> 'key' and a.read_key is not null and a.closed_at is null)) as e`;

const CALLER_MINUTE = {
  issuer: sql.raw(`e.value ->> 'issuer'`),
  subject: sql.raw(`e.value ->> 'subject'`),
  beginMs: minuteBeginIn(`e.value ->> '$.row.occurred_at'`),
};
const BEFORE = sql.raw('e.before');
const HAS_ROOM = sql`case when e.value ->> 'key' is null then ${isDenialInFull(CALLER_MINUTE, BEFORE)}
  else e.value ->> 'key' like ${sql.raw(`'${FURTHER_PREFIX}%'`)} or ${isReadInFull(CALLER_MINUTE, BEFORE)} end`;

/**
 * The statements of a group of reads, built once and filled in for each: with `entries`, ReadEntry as JSON, `asked`,
 * AskedWorkspace as JSON, and `tokens`, AskedToken as JSON; times in milliseconds since the epoch.
 */
export const READ_QUERIES = {
  /** Counts the reads whose row is there already; each row once, since entries differ in their keys. */
  countKnown: compiled(({ build }) =>
    build
      .update(auditEvents)
      .set(countedAgain(sql.raw(`(e.value ->> 'count')`), OCCURRED_AT))
      .from(ENTRIES)
      .where(sql`${hasReadKey(sql.raw(`e.value ->> 'key'`))} and ${MAY_RECORD}`)
      .returning({
        read_key: sql<string>`${auditEvents.read_key}`.as('read_key'),
        id: sql<string>`${auditEvents.id}`.as('id'),
      }),
  ),

  /** Inserts the rows of the others: as many of each caller as have room in its minute. */
  insertNew: compiled(({ build }) =>
    build
      .insert(auditEvents)
      .select(sql`select ${selectedRow(auditEvents, ROW_COLUMNS)} from ${NEW_ENTRIES} where ${HAS_ROOM}`)
      .returning({ id: sql<string>`id`.as('id') }),
  ),

  /** A row begins with a count of one: the alike reads beside the first are added to it. */
  countBeside: compiled(({ build }) =>
    build
      .update(auditEvents)
      .set(countedAgain(sql.raw(`(e.value ->> 'count') - 1`), OCCURRED_AT))
      .from(ENTRIES)
      .where(
        sql`${auditEvents.id} = e.value ->> '$.row.id' and e.value ->> 'key' is not null and e.value ->> 'count' > 1`,
      ),
  ),

  /** For each question: the current generation of its workspace, whether who asks is kept out, and whether it may be given a list. */
  selectGenerations: compiled(({ build }) =>
    build
      .select({
        question: sql<number>`e.key`.as('question'),
        generation: sql<number>`${OWN_CURRENT}`.as('generation'),
        blocked: barNumber(IS_BLOCKED, IS_OVER).as('blocked'),
        authorised: sql<number>`${IS_AUTHORISED}`.as('authorised'),
      })
      .from(ASKED),
  ),

  /** Lists of the current generation that another isolate left here. */
  selectStored: compiled(({ build }) =>
    build
      .select({
        workspace_uuid: snapshots.workspace_uuid,
        generation: snapshots.generation,
        begun_at: snapshots.begun_at,
        body: snapshots.body,
      })
      .from(snapshots)
      .where(sql`${snapshots.workspace_uuid} in ${STORED_FOR}`),
  ),

  /** The inventory's rows of the tokens in those lists. */
  selectStoredInventory: compiled(({ build }) =>
    build
      .select(INVENTORY_OF_WORKSPACE)
      .from(
        sql`${snapshots} as l cross join json_each(l.body, '$.tokens') as i cross join ${tokens} as t
          on t.workspace_uuid = l.workspace_uuid and t.token_id = i.value ->> 'id'`,
      )
      .where(sql`l.workspace_uuid in ${STORED_FOR}`),
  ),

  /** The inventory's rows of single tokens. */
  selectTokens: compiled(({ build }) =>
    build.select(INVENTORY_OF_WORKSPACE).from(
      sql`json_each(${sql.placeholder('tokens')}) as e cross join ${tokens} as t
          on t.workspace_uuid = e.value ->> 'workspace' and t.token_id = e.value ->> 'token'`,
    ),
  ),

  /** How many workspaces are in use. */
  selectInUse: compiled(({ build }) =>
    build.select({ workspaces: sql<number>`${IN_USE}`.as('workspaces') }).from(sql`(select 1)`),
  ),

  /**
   * Takes the leases to ask PipeOps for the lists that are missing, unless another holds one for the same generation. `changed`: the
   * tokens have changed since the last list was asked for.
   */
  takeLeases: compiled(({ build }) =>
    build
      .insert(workspaces)
      .select(
        sql`select distinct ${selectedRow(workspaces, LEASED)} from ${ASKED}
            where ${IS_MISSING} and e.value ->> 'ask' and not ${HAS_STORED}`,
      )
      .onConflictDoUpdate({
        target: workspaces.workspace_uuid,
        set: {
          lease_generation: sql`${workspaces.generation}`,
          lease_until: sql`${LEASE_END}`,
          lease_holder: sql`${LEASE_HOLDER}`,
          lease_changed: sql`${workspaces.lease_generation} is not null and ${workspaces.lease_generation} is not ${workspaces.generation}`,
          listed_at: sql`${NOW}`,
        },
        setWhere: sql`${workspaces.lease_until} <= ${NOW} or ${workspaces.lease_generation} is not ${workspaces.generation}`,
      })
      .returning({
        workspace_uuid: sql<string>`workspace_uuid`.as('workspace_uuid'),
        changed: sql<number>`lease_changed`.as('changed'),
      }),
  ),

  /** What PipeOps said of its limits: before anything is asked of it. */
  selectQuotaNews: compiled(({ build }) =>
    build
      .select({ scope: upstreamLimits.scope, until: upstreamLimits.until, remaining: upstreamLimits.remaining })
      .from(upstreamLimits)
      .where(gt(upstreamLimits.until, NOW)),
  ),
} as const;

/** The inventory's rows of these tokens of a workspace. */
export const selectInventory = (database: Database, workspace: string, ids: readonly string[]) =>
  SELECT_INVENTORY(database, { workspace, ids: JSON.stringify(ids) });

const SELECT_INVENTORY = compiled(({ build }) =>
  build.select(INVENTORY).from(
    sql`json_each(${sql.placeholder('ids')}) as i cross join ${tokens} as t
        on t.workspace_uuid = ${sql.placeholder('workspace')} and t.token_id = i.value`,
  ),
);

/** How many leases of these workspaces a batch has taken, for one reason or the other. */
export const leasesTaken = (workspaceUuids: readonly string[], holder: string, changed: 0 | 1): SQL =>
  sql`(select count(*) from ${workspaces} where workspace_uuid in (select value from json_each(${JSON.stringify(workspaceUuids)}))
    and lease_holder = ${holder} and lease_changed = ${changed})`;

/** How many of these questions ask PipeOps without a lease, each for itself. `asked`: AskedWorkspace as JSON. */
export const unsharedAsks = (asked: string): SQL =>
  sql`(select count(*) from json_each(${asked}) as e
    where e.value ->> 'ask' and not (e.value ->> 'shared') and ${IS_AUTHORISED})`;

/** Leaves a list to the other isolates, and ends the lease under which it was asked for. */
export const storeList = (
  { build }: Database,
  list: { readonly workspace: string; readonly generation: number; readonly begunAtMs: number; readonly body: string },
) =>
  build
    .insert(snapshots)
    .values({
      workspace_uuid: list.workspace,
      generation: list.generation,
      begun_at: list.begunAtMs,
      body: list.body,
    })
    .onConflictDoUpdate({
      target: snapshots.workspace_uuid,
      set: {
        generation: sql`excluded.generation`,
        begun_at: sql`excluded.begun_at`,
        body: sql`excluded.body`,
      },
      setWhere: sql`excluded.begun_at > ${snapshots.begun_at}`,
    });

/** Ends a lease, so that nobody waits for it. If it was taken for a change and led to no list, the next one is taken for that change too. */
export const endLease = ({ build }: Database, workspace: string, holder: string, isListed: boolean) =>
  build
    .update(workspaces)
    .set({ lease_until: 0, ...(!isListed && { lease_generation: sql`iif(lease_changed, -1, lease_generation)` }) })
    .where(sql`${workspaces.workspace_uuid} = ${workspace} and ${workspaces.lease_holder} = ${holder}`);

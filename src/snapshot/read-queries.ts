import { getTableColumns, gt, sql, type SQL } from 'drizzle-orm';
import type { NewAuditRow } from '../audit/events.ts';
import { compiled } from '../db/compiled.ts';
import type { Database } from '../db/database.ts';
import { selectedRow } from '../db/insert-select.ts';
import { auditEvents, snapshots, tokens, upstreamLimits, workspaces } from '../db/schema.ts';

/** Alike reads of one caller and generation, as they are written down together. */
export interface WrittenRead {
  /** Of the row that is inserted unless one of its key is there. */
  readonly row: NewAuditRow;
  /** Null: it always has a row of its own. */
  readonly key: string | null;
  /** How many of them there are. */
  readonly count: number;
  readonly workspace: string;
  /** It is written where this is the current one; null: whatever that is. */
  readonly generation: number | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** In the form in which labels are compared. */
  readonly label: string | null;
}

/** What is asked about a workspace beside: what is needed where the list that a read was decided on is not current. */
export interface AskedWorkspace {
  readonly workspace: string;
  /** Of the list that is held; null: none is. */
  readonly generation: number | null;
  /** Null: no list is wanted. */
  readonly min_begun: number | null;
  /** Whether lists are shared with other isolates: taken from D1, or asked for under a lease. */
  readonly shared: boolean;
}

const ENTRIES = sql`json_each(${sql.placeholder('entries')}) as e`;
const ASKED = sql`json_each(${sql.placeholder('asked')}) as e`;
const NOW = sql.placeholder('nowMs');
const LEASE_END = sql.placeholder('leaseEndMs');

const currentOf = (workspace: SQL): SQL =>
  sql`coalesce((select w.generation from ${workspaces} as w where w.workspace_uuid = ${workspace}), 0)`;
const OWN_CURRENT = currentOf(sql.raw(`e.value ->> 'workspace'`));

const IS_BLOCKED = sql.raw(`exists (select 1 from subject_blocks as b
  where (b.issuer = e.value ->> 'issuer' and b.subject = e.value ->> 'subject') or b.label = e.value ->> 'label')`);
const IS_WRITTEN = sql`(e.value ->> 'generation' is null or e.value ->> 'generation' = ${OWN_CURRENT}) and not ${IS_BLOCKED}`;
const LATEST = sql`max(coalesce(${auditEvents.last_at}, ${auditEvents.occurred_at}), e.value ->> '$.row.occurred_at')`;

/** A list is wanted, and the one that is held, if any, is not current. */
const IS_MISSING = sql`e.value ->> 'min_begun' is not null and e.value ->> 'generation' is not ${OWN_CURRENT}`;
const IS_STORED = sql`s.workspace_uuid = e.value ->> 'workspace' and s.begun_at >= e.value ->> 'min_begun'
  and s.generation = ${currentOf(sql.raw('s.workspace_uuid'))}`;

const LEASED = {
  workspace_uuid: sql.raw(`e.value ->> 'workspace'`),
  generation: 0,
  lease_generation: OWN_CURRENT,
  lease_until: LEASE_END,
} satisfies Partial<Record<keyof typeof workspaces.$inferSelect, unknown>>;

const ROW_COLUMNS: Readonly<Record<string, SQL>> = Object.fromEntries(
  Object.keys(getTableColumns(auditEvents))
    .filter((name) => name !== 'seq')
    .map((name) => [name, sql.raw(`e.value ->> '$.row.${name}'`)]),
);

/**
 * The statements of a group of reads, built once and filled in for each: with `entries`, WrittenRead as JSON, and `asked`,
 * AskedWorkspace as JSON; times in milliseconds since the epoch.
 */
export const READ_QUERIES = {
  /** The reads that are counted in a row that was there; each row once, since entries differ in their keys. */
  countKnown: compiled(({ build }) =>
    build
      .update(auditEvents)
      .set({ count: sql`${auditEvents.count} + (e.value ->> 'count')`, last_at: LATEST })
      .from(ENTRIES)
      .where(
        sql`${auditEvents.read_key} = e.value ->> 'key' and ${auditEvents.read_key} is not null
            and e.value ->> 'key' is not null and ${IS_WRITTEN}`,
      )
      .returning({
        read_key: sql<string>`${auditEvents.read_key}`.as('read_key'),
        id: sql<string>`${auditEvents.id}`.as('id'),
      }),
  ),

  /** The reads that have a row of their own, or the first of their minute. */
  insertNew: compiled(({ build }) =>
    build
      .insert(auditEvents)
      .select(
        sql`select ${selectedRow(auditEvents, ROW_COLUMNS)} from ${ENTRIES}
            where ${IS_WRITTEN} and (e.value ->> 'key' is null or not exists (select 1 from audit_events as a
              where a.read_key = e.value ->> 'key' and a.read_key is not null))`,
      )
      .returning({ id: sql<string>`id`.as('id') }),
  ),

  /** A row begins with a count of one: what was read beside the first is added to it. */
  countBeside: compiled(({ build }) =>
    build
      .update(auditEvents)
      .set({ count: sql`${auditEvents.count} + (e.value ->> 'count') - 1`, last_at: LATEST })
      .from(ENTRIES)
      .where(
        sql`${auditEvents.id} = e.value ->> '$.row.id' and e.value ->> 'key' is not null and e.value ->> 'count' > 1`,
      ),
  ),

  /** The current generation of each workspace. */
  selectGenerations: compiled(({ build }) =>
    build
      .select({
        workspace_uuid: sql<string>`e.value ->> 'workspace'`.as('workspace_uuid'),
        generation: sql<number>`${OWN_CURRENT}`.as('generation'),
      })
      .from(ASKED),
  ),

  /** Lists of the current generation that another isolate left here. */
  selectStored: compiled(({ build }) =>
    build
      .select({
        workspace_uuid: sql<string>`s.workspace_uuid`.as('workspace_uuid'),
        generation: sql<number>`s.generation`.as('generation'),
        begun_at: sql<number>`s.begun_at`.as('begun_at'),
        body: sql<string>`s.body`.as('body'),
      })
      .from(sql`${ASKED} join ${snapshots} as s on ${IS_STORED}`)
      .where(sql`${IS_MISSING} and e.value ->> 'shared'`),
  ),

  /**
   * Takes it upon this isolate to ask PipeOps for the lists that are missing, unless another does so already for the same
   * generation.
   */
  takeLeases: compiled(({ build }) =>
    build
      .insert(workspaces)
      .select(
        sql`select distinct ${selectedRow(workspaces, LEASED)} from ${ASKED}
            where ${IS_MISSING} and e.value ->> 'shared' and not exists (select 1 from ${snapshots} as s where ${IS_STORED})`,
      )
      .onConflictDoUpdate({
        target: workspaces.workspace_uuid,
        set: { lease_generation: sql`${workspaces.generation}`, lease_until: sql`${LEASE_END}` },
        setWhere: sql`${workspaces.lease_until} <= ${NOW} or ${workspaces.lease_generation} is not ${workspaces.generation}`,
      })
      .returning({ workspace_uuid: sql<string>`workspace_uuid`.as('workspace_uuid') }),
  ),

  /** What PipeOps said of its limits: before anything is asked of it. */
  selectLimits: compiled(({ build }) =>
    build
      .select({ scope: upstreamLimits.scope, until: upstreamLimits.until, remaining: upstreamLimits.remaining })
      .from(upstreamLimits)
      .where(gt(upstreamLimits.until, NOW)),
  ),

  /** What the inventory holds of the workspaces whose lists are missing, as of the current generation. */
  selectInventories: compiled(({ build }) =>
    build
      .select()
      .from(tokens)
      .where(sql`${tokens.workspace_uuid} in (select e.value ->> 'workspace' from ${ASKED} where ${IS_MISSING})`),
  ),
} as const;

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

/** Ends a lease that led to nothing, so that nobody waits for it. */
export const endLease = ({ build }: Database, workspace: string, generation: number) =>
  build
    .update(workspaces)
    .set({ lease_until: 0 })
    .where(sql`${workspaces.workspace_uuid} = ${workspace} and ${workspaces.lease_generation} = ${generation}`);

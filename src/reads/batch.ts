import { SNAPSHOT_LEASE_MS } from '../config/limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import type { AuditFailure } from '../failures.ts';
import { selectLookRows } from '../inventory/looks.ts';
import type { OwnerMacs } from '../inventory/owner-macs.ts';
import type { Quota } from '../pipeops/quota.ts';
import { newTrace, type Trace } from '../kit/trace.ts';
import { ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { barOf } from '../subjects/bars.ts';
import { recordedMac } from '../trail/row-macs.ts';
import { labelKey, type Labelled, type LabelMemory, noteLabels } from '../subjects/labels.ts';
import { keepListState } from './upstream-lists.ts';
import type { OwedGenerations } from './generation.ts';
import { type Pace, pacedSinceMs } from './pace.ts';
import { askedToken, askedWorkspace, distinct, type ReadTrip, type TripAnswer } from './trip.ts';
import { askingQueries, leaseFor, unsharedQueries, type Results } from './leases.ts';
import { READ_QUERIES, endLease, selectInventory, storeList, type ReadEntry } from './statements.ts';
import {
  type DatedList,
  type InventoryRow,
  type KnownSnapshots,
  readStored,
  type Snapshot,
  storedBody,
  withInventory,
} from './snapshot.ts';

/** What batches of reads are made of. */
export interface BatchDependencies {
  readonly database: Database;
  readonly runtime: Runtime;
  readonly quota: Pick<Quota, 'learn' | 'news' | 'reserve' | 'reservedCalls'>;
  readonly labels: LabelMemory;
  readonly owed: Pick<OwedGenerations, 'of'>;
  readonly pace: Pick<Pace, 'learn' | 'workspacesInUse'>;
  readonly known: KnownSnapshots;
  readonly owners: OwnerMacs;
}

/** A trip in a batch. `key`: by which alike reads share a row; null: it has its own. */
export interface Sent {
  readonly trip: ReadTrip;
  readonly key: string | null;
}

/** One batch for a group; null: it failed. */
export async function sendTogether(
  dependencies: BatchDependencies,
  group: readonly Sent[],
  trace: Trace = newTrace(),
): Promise<readonly Result<TripAnswer, AuditFailure>[] | null> {
  const { database, runtime, quota, labels, owed } = dependencies;
  const nowMs = runtime.now();
  const entriesByName = entriesOf(group);
  const entries = [...entriesByName.values()];
  const written = entries.map((entry) => ({
    ...entry,
    row: { ...entry.row, recorded_mac: recordedMac(database.rowMac, entry.row) },
  }));
  const named = group.map((sentTrip) => {
    const question = askedWorkspace(sentTrip.trip);
    return { sentTrip, question, name: JSON.stringify(question) };
  });
  const questions = new Map(named.map(({ name, question }) => [name, question]));
  const asked = [...questions.values()];
  const values = {
    entries: JSON.stringify(written),
    asked: JSON.stringify(asked),
    tokens: JSON.stringify(distinct(group.flatMap(({ trip }) => askedToken(trip)))),
    nowMs,
    leaseEndMs: nowMs + SNAPSHOT_LEASE_MS,
    leaseHolder: runtime.newId(),
  };
  const counted = READ_QUERIES.countKnown(database, values);
  const inserted = READ_QUERIES.insertNew(database, values);
  const generations = READ_QUERIES.selectGenerations(database, values);
  const stored = READ_QUERIES.selectStored(database, values);
  const storedInventory = READ_QUERIES.selectStoredInventory(database, values);
  const tokens = READ_QUERIES.selectTokens(database, values);
  const inventories = inventoriesOf(dependencies, group);
  const asking = asked.some(({ ask, shared }) => ask && shared) ? askingQueries(dependencies, asked, values) : null;
  const inUse = READ_QUERIES.selectInUse(database, values);
  const notes = labels.due(group.flatMap(readers), nowMs);
  const debts = owed.of(group.map(({ trip }) => trip.workspaceUuid));
  const isListWanted = group.some(({ trip }) => trip.wanted?.isShared === true);
  const isAsked = group.some(({ trip }) => trip.wanted?.isShared === true && trip.wanted.reader !== null);
  const unshared = unsharedQueries(dependencies, asked, nowMs);
  const sent = [
    // Before anything is said of a generation.
    ...debts.queries,
    ...quota.news(database, nowMs),
    ...group.flatMap(({ trip }) => storing(database, trip)),
    ...(entries.length === 0 ? [] : [counted, inserted]),
    ...(entries.some(({ count }) => count > 1) ? [READ_QUERIES.countBeside(database, values)] : []),
    ...(notes.length === 0 ? [] : [noteLabels(database, notes, nowMs)]),
    generations,
    ...(group.some(({ trip }) => trip.tokenId !== null) ? [tokens] : []),
    ...inventories.flatMap(({ look, rows }) => [look, rows].filter((query) => query !== null)),
    // Where lists may be missing: what is needed to get them.
    ...(isListWanted ? [stored, storedInventory] : []),
    ...(isAsked ? [inUse] : []),
    ...(asking?.queries ?? []),
    ...(unshared?.queries ?? []),
  ];

  const answered = await database.batch({ trace }, sent);
  if (!answered.ok) {
    labels.forget(notes);
    return null;
  }
  labels.noted(notes, nowMs);
  debts.paid();
  const rowsOf: Results = (query) => {
    const index = sent.indexOf(query);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a batch gives results in the order of its queries
    return (index < 0 ? [] : answered.value[index]) as RowsOf<typeof query>;
  };
  const insertedIds = new Set(rowsOf(inserted).map(({ id }) => id));
  const countedIds = new Map<string | null, string>(rowsOf(counted).map(({ read_key, id }) => [read_key, id]));
  const rowOf = new Map(rowsOf(generations).map((row) => [row.question, row]));
  const answersTo = new Map([...questions.keys()].map((name, question) => [name, rowOf.get(question)]));
  rowsOf(inUse).forEach((row) => dependencies.pace.learn(row.workspaces));
  const workspacesInUse = dependencies.pace.workspacesInUse();
  const leases = asking?.leases(rowsOf);
  const allowances = unshared?.leases(rowsOf, answersTo);
  const lists = storedLists(dependencies, rowsOf(stored), rowsOf(storedInventory));
  const snapshots = new Map(
    inventories.map((inventory) => [inventory.list, snapshotFrom(dependencies, inventory, rowsOf)]),
  );
  const looks = new Map(inventories.map(({ list, look }) => [list, look === null ? null : rowsOf(look)]));
  const rows = rowsOf(tokens).map((row) => dependencies.owners.believed(row));

  return named.map(({ sentTrip, name }) => {
    const { workspaceUuid, wanted, tokenId, inventoryOf, isLook } = sentTrip.trip;
    const entry = entriesByName.get(entryNameOf(sentTrip));
    const own = entry !== undefined && insertedIds.has(entry.row.id) ? entry.row.id : null;
    const shared = entry === undefined ? null : (countedIds.get(entry.key) ?? null);
    const said = answersTo.get(name);
    const generation = said?.generation ?? 0;
    const eventId = own ?? shared;
    const isCurrent = entry !== undefined && (entry.generation === null || entry.generation === generation);
    const list = lists.get(workspaceUuid) ?? null;
    const isWanted =
      list !== null && wanted?.isShared === true && list.list.begunAtMs >= pacedSinceMs(wanted, workspacesInUse, nowMs);
    return ok({
      eventId,
      // Nothing else keeps a read from being recorded if it rests on the current list.
      bar: barOf(said) ?? (isCurrent && eventId === null ? { kind: 'subject_blocked' } : null),
      generation,
      stored: isWanted ? list : null,
      lease: leaseFor(sentTrip.trip, name, leases, allowances),
      token:
        tokenId === null
          ? undefined
          : rows.find((row) => row.workspace_uuid === workspaceUuid && row.token_id === tokenId),
      snapshot: inventoryOf === null ? null : snapshotOf(dependencies.known, inventoryOf, snapshots, generation),
      lookRows: isLook && inventoryOf !== null ? (looks.get(inventoryOf) ?? null) : null,
    });
  });
}

/** The lists of a group whose inventory this isolate does not know, or that are a look at PipeOps, each once. */
function inventoriesOf({ database, known }: BatchDependencies, group: readonly Sent[]): readonly AskedInventory[] {
  const trips = group.map(({ trip }) => trip);
  const looks = new Set(trips.filter(({ isLook }) => isLook).map(({ inventoryOf }) => inventoryOf));
  const workspaceOf = new Map(
    trips.flatMap(({ inventoryOf: list, workspaceUuid }) =>
      list === null || (known.of(list) !== null && !looks.has(list)) ? [] : [[list, workspaceUuid] as const],
    ),
  );
  return [...workspaceOf].map(([list, workspaceUuid]) => {
    const ids = list.list.tokens.map(({ id }) => id);
    return looks.has(list)
      ? { list, workspaceUuid, look: selectLookRows(database, workspaceUuid, ids), rows: null }
      : { list, workspaceUuid, look: null, rows: selectInventory(database, workspaceUuid, ids) };
  });
}

interface AskedInventory {
  readonly list: DatedList;
  readonly workspaceUuid: string;
  readonly look: ReturnType<typeof selectLookRows> | null;
  readonly rows: ReturnType<typeof selectInventory> | null;
}

/** A list with the rows of its own tokens, cut to what a read needs, since whole rows would fill the memory. */
function snapshotFrom(
  { owners }: BatchDependencies,
  { list, workspaceUuid, look, rows }: AskedInventory,
  rowsOf: Results,
): Snapshot {
  const all = look === null ? (rows === null ? [] : rowsOf(rows)) : rowsOf(look);
  const listed = new Set(list.list.tokens.map(({ id }) => id));
  const shown = look === null ? all : all.filter(({ token_id }) => listed.has(token_id));
  return withInventory(
    list,
    shown.map((row) => cutRow(owners.believed({ ...row, workspace_uuid: workspaceUuid }))),
  );
}

const cutRow = ({ token_id, owner_issuer, owner_subject, marker, suspended_by }: InventoryRow): InventoryRow => ({
  token_id,
  owner_issuer,
  owner_subject,
  marker,
  suspended_by,
});

/** An inventory is remembered only if it was read under the generation of its list. */
function snapshotOf(
  known: KnownSnapshots,
  list: DatedList,
  read: ReadonlyMap<DatedList, Snapshot>,
  generation: number,
): Snapshot | null {
  const remembered = known.of(list);
  if (remembered !== null) return remembered;
  const snapshot = read.get(list) ?? null;
  if (snapshot !== null && list.generation === generation) known.keep(list, snapshot);
  return snapshot;
}

type StoredRow = RowsOf<ReturnType<typeof READ_QUERIES.selectStored>>[number];

/** The lists that D1 gave, with their inventories, by their workspaces. */
function storedLists(
  { known, owners }: BatchDependencies,
  lists: readonly StoredRow[],
  inventories: RowsOf<ReturnType<typeof READ_QUERIES.selectStoredInventory>>,
): ReadonlyMap<string, { readonly list: DatedList; readonly snapshot: Snapshot }> {
  const inventory = Map.groupBy(inventories, ({ workspace_uuid }) => workspace_uuid);
  return new Map(
    lists.flatMap((row) => {
      const list = readStored(row);
      if (list === null) return [];
      const snapshot = withInventory(
        list,
        (inventory.get(row.workspace_uuid) ?? []).map((one) => cutRow(owners.believed(one))),
      );
      known.keep(list, snapshot);
      return [[row.workspace_uuid, { list, snapshot }] as const];
    }),
  );
}

/** Whose reads are recorded, by the whole label. */
const readers = ({ trip: { record } }: Sent): readonly Labelled[] =>
  record === null ? [] : [{ issuer: record.row.actor_issuer, subject: record.row.actor_subject, label: record.label }];

/** What is recorded of a group, by `entryNameOf`: alike reads that were decided on the same generation are one entry. */
function entriesOf(group: readonly Sent[]): ReadonlyMap<string, ReadEntry> {
  const entries = new Map<string, ReadEntry>();
  for (const sent of group) {
    const { record, workspaceUuid, generation } = sent.trip;
    if (record === null) continue;
    const name = entryNameOf(sent);
    const known = entries.get(name);
    entries.set(name, {
      // PipeOps knows the read that asked it by the id of its row.
      row: known === undefined || record.isAsker ? { ...record.row, read_key: sent.key } : known.row,
      key: sent.key,
      count: (known?.count ?? 0) + 1,
      workspace: workspaceUuid,
      generation,
      issuer: record.row.actor_issuer,
      subject: record.row.actor_subject,
      label: record.label === null ? null : labelKey(record.label),
      session: record.session ?? null,
    });
  }
  return entries;
}

/** '' where nothing is recorded. */
const entryNameOf = ({ trip, key }: Sent): string =>
  key === null ? (trip.record?.row.id ?? '') : `${key} ${trip.generation}`;

function storing(database: Database, trip: ReadTrip): readonly Query[] {
  const { workspaceUuid: workspace, store, endLease: ended, listState } = trip;
  // A list that is too long for D1 ends its lease as well: an isolate that wants it asks by itself.
  const body = store === undefined ? null : storedBody(store.list);
  return [
    ...(store !== undefined && body !== null ? [storeList(database, { workspace, ...store, body })] : []),
    ...(ended === undefined ? [] : [endLease(database, workspace, ended.holder, ended.isListed)]),
    ...(listState === undefined ? [] : [keepListState(database, workspace, listState)]),
  ];
}

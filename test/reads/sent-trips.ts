import { anyOwner } from '../support/no-macs.ts';
import { env } from 'cloudflare:workers';
import { createDatabase, type Database, type Query } from '../../src/db/database.ts';
import { selectLookRows } from '../../src/inventory/looks.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import { type BatchDependencies, sendTogether, type Sent } from '../../src/reads/batch.ts';
import { raiseGeneration } from '../../src/reads/generation.ts';
import { createPace } from '../../src/reads/pace.ts';
import { createKnownSnapshots, type DatedList } from '../../src/reads/snapshot.ts';
import { endLease, READ_QUERIES, selectInventory, storeList } from '../../src/reads/statements.ts';
import type { ReadRecord, ReadTrip, TripAnswer, WantedList } from '../../src/reads/trip.ts';
import { createLabelMemory } from '../../src/subjects/labels.ts';
import { type Actor, eventSubject, finalRow, successOutcome } from '../../src/trail/event.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { tokenList, upstreamToken } from '../support/upstream-token.ts';

// Trips of reads, and an isolate that sends groups of them to D1.

export const NOW = Date.UTC(2026, 10, 28);
/** Another one in each test. */
export let workspace: string;
export function newWorkspace(): void {
  workspace = crypto.randomUUID();
}

export const ALICE: Actor = { type: 'user', issuer: 'https://issuer.example', subject: 'alice', label: null };

export const trip = (changes: Partial<ReadTrip> = {}): ReadTrip => ({
  workspaceUuid: workspace,
  generation: null,
  wanted: null,
  tokenId: null,
  inventoryOf: null,
  isLook: false,
  record: null,
  ...changes,
});
export const alone = (changes: Partial<ReadTrip> = {}): Sent => ({ trip: trip(changes), key: null });
export const alike = (key: string, changes: Partial<ReadTrip> = {}): Sent => ({ trip: trip(changes), key });
export const record = (changes: Partial<ReadRecord> = {}, actor = ALICE): ReadRecord => ({
  row: finalRow(
    crypto.randomUUID(),
    NOW,
    { requestId: 'request-1', ip: null, userAgent: null, policyVersion: '0000000000000000' },
    eventSubject('service_account_token.list', actor, { workspaceUuid: workspace }),
    successOutcome(null),
  ),
  counted: true,
  isAsker: false,
  label: actor.label,
  ...changes,
});
export const wanted = (changes: Partial<WantedList> = {}): WantedList => ({
  minBegunMs: NOW - 15_000,
  eachMs: 0,
  isShared: true,
  mayAsk: true,
  reader: { issuer: ALICE.issuer, subject: ALICE.subject, label: null, owner: null },
  ...changes,
});
/** What a read that is decided on a list wants in its place. */
export const instead = () => wanted({ mayAsk: false, reader: null });
export const dated = (generation: number, ids: readonly string[] = [], begunAtMs = NOW): DatedList => ({
  list: tokenList(ids.map((id) => upstreamToken({ id }))),
  generation,
  begunAtMs,
});

const VALUES = { entries: '[]', asked: '[]', tokens: '[]', nowMs: 0, leaseEndMs: 0, leaseHolder: '' };
/** Names statements by their text. */
function namesOf(database: Database): ReadonlyMap<string, string> {
  const list = { workspace, generation: 0, begunAtMs: 0, body: '' };
  const known: readonly (readonly [string, Query])[] = [
    ...Object.entries(READ_QUERIES).map(([name, query]) => [name, query(database, VALUES)] as const),
    ['selectInventory', selectInventory(database, workspace, [])],
    ['selectLookRows', selectLookRows(database, workspace, [])],
    ['storeList', storeList(database, list)],
    ['endLease', endLease(database, workspace, '', true)],
    ['raiseGeneration', raiseGeneration(database, workspace)],
  ];
  return new Map(known.map(([name, query]) => [query.toSQL().sql, name]));
}

/** An isolate, and what it sends. */
export function isolate({ d1 = env.DB }: { readonly d1?: D1Database } = {}) {
  const runtime = { ...workerRuntime, now: () => NOW };
  const database = createDatabase(d1, { ...runtime, log: () => {} });
  const names = namesOf(database);
  let sent: readonly string[] = [];
  const quota = createQuota();
  const known = createKnownSnapshots();
  const dependencies = {
    database: {
      ...database,
      batch: async (context, queries, signal) => {
        sent = queries.map((query) => {
          const { sql } = query.toSQL();
          return names.get(sql) ?? /upstream_calls|upstream_limits|subject_labels|list_state/.exec(sql)?.[0] ?? sql;
        });
        return await database.batch(context, queries, signal);
      },
    },
    runtime,
    quota,
    labels: createLabelMemory(),
    owed: { of: () => ({ queries: [], paid: () => {} }) },
    pace: createPace(15_000, quota),
    known,
    owners: anyOwner,
  } satisfies BatchDependencies;
  const send = async (...group: readonly Sent[]): Promise<readonly TripAnswer[]> => {
    const answers = await sendTogether(dependencies, group);
    return (answers ?? []).flatMap((answer) => (answer.ok ? [answer.value] : []));
  };
  return { database, known, send, sent: () => sent, dependencies };
}

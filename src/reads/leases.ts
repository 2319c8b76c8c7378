import type { Database, Query, RowsOf } from '../db/database.ts';
import type { CallBucket, GrantedCalls } from '../pipeops/quota-calls.ts';
import type { Quota, Reservation } from '../pipeops/quota.ts';
import type { Lease, ReadTrip } from './trip.ts';
import { READ_QUERIES, leasesTaken, unsharedAsks, type AskedWorkspace } from './statements.ts';

/** The rows that a batch gave for a query of it. */
export type Results = <Q extends Query>(query: Q) => RowsOf<Q>;

interface Dependencies {
  readonly database: Database;
  readonly quota: Pick<Quota, 'learn' | 'reserve' | 'reservedCalls'>;
}

/** What is needed to ask PipeOps for lists: the leases, and the calls that they take. */
export function askingQueries(
  { database, quota }: Dependencies,
  asked: readonly AskedWorkspace[],
  values: { readonly nowMs: number; readonly leaseHolder: string } & Readonly<Record<string, unknown>>,
) {
  const { nowMs, leaseHolder } = values;
  const workspaces = asked.map(({ workspace }) => workspace);
  const taken = READ_QUERIES.takeLeases(database, values);
  const limits = READ_QUERIES.selectQuotaNews(database, values);
  const taking = (changed: 0 | 1) => leasesTaken(workspaces, leaseHolder, changed);
  // A list that shows a change is a part of it. Reads have left calls to it.
  const reserved = {
    old: quota.reserve(database, 'read', taking(0), nowMs),
    changed: quota.reserve(database, 'change', taking(1), nowMs),
  };
  return {
    queries: [taken, ...reserved.old.queries, ...reserved.changed.queries, limits],
    leases: (rowsOf: Results): ReadonlyMap<string, Lease> => {
      quota.learn(rowsOf(limits), nowMs);
      const rows = rowsOf(taken);
      return new Map(
        [reserved.old, reserved.changed].flatMap((reservation, changed) => {
          const holders = rows.filter((row) => row.changed === changed);
          return granted(reservation, rowsOf(reservation.queries[0]), holders).map(
            ([{ workspace_uuid }, grant]) => [workspace_uuid, leaseOf(quota, leaseHolder, changed, grant)] as const,
          );
        }),
      );
    },
  };
}

/** The same where lists are not shared: a call for each, as far as there are any, and no lease. Null: none asks. */
export function unsharedQueries({ database, quota }: Dependencies, asked: readonly AskedWorkspace[], nowMs: number) {
  const questions = asked.filter(({ ask, shared }) => ask && !shared).map((question) => JSON.stringify(question));
  if (questions.length === 0) return null;
  const reservation = quota.reserve(database, 'read', unsharedAsks(JSON.stringify(asked)), nowMs);
  return {
    queries: reservation.queries,
    leases: (
      rowsOf: Results,
      answersTo: ReadonlyMap<string, { readonly authorised: number } | undefined>,
    ): ReadonlyMap<string, Lease> => {
      const authorised = questions.filter((question) => answersTo.get(question)?.authorised === 1);
      const grants = granted(reservation, rowsOf(reservation.queries[0]), authorised);
      return new Map(grants.map(([question, grant]) => [question, leaseOf(quota, null, 0, grant)]));
    },
  };
}

/**
 * Null: a trip got none.
 *
 * @param question of the trip, as JSON.
 */
export const leaseFor = (
  trip: ReadTrip,
  question: string,
  leases: ReadonlyMap<string, Lease> | undefined,
  allowances: ReadonlyMap<string, Lease> | undefined,
): Lease | null => {
  if (trip.wanted?.mayAsk !== true) return null;
  const own = trip.wanted.isShared ? leases?.get(trip.workspaceUuid) : allowances?.get(question);
  return own ?? null;
};

function leaseOf(
  quota: Pick<Quota, 'reservedCalls'>,
  holder: string | null,
  changed: number,
  grant: GrantedCalls,
): Lease {
  const reserved = quota.reservedCalls();
  reserved.add(grant);
  return { holder, isChanged: changed === 1, reserved, refusal: grant.refusal };
}

/** One call each: those that come first get what was granted. */
function granted<T>(
  reservation: Reservation,
  buckets: readonly CallBucket[],
  askers: readonly T[],
): readonly (readonly [T, GrantedCalls])[] {
  const all = reservation.grant(buckets, { calls: askers.length });
  return askers.map((asker, index) => [
    asker,
    index < all.calls ? { ...all, calls: 1, refusal: null } : { ...all, calls: 0 },
  ]);
}

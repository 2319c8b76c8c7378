import { D1_SIZE_WARNING_SHARE, READY_PROBE_INTERVAL_MS } from '../config/limits.ts';
import type { Database } from '../db/database.ts';
import { APPLIED, lackingMigrations, lackingTables, selectMigrations, selectTables } from '../db/migrations.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace, type Trace } from '../kit/trace.ts';
import type { RenewalStanding, RenewingCredentials } from '../credential/credentials.ts';
import type { Credentials } from '../pipeops/credentials.ts';
import type { Quota } from '../pipeops/quota.ts';
import type { Barrable } from '../subjects/bars.ts';
import type { NotReadyReason } from '../vocabulary.ts';
import { type OpenWork, type OpenWorkDependencies, readOpenWork } from './open-work.ts';
import { type Degraded, degradedBy } from './reasons.ts';

/** Why the service does nothing, and since when this isolate has seen that, in milliseconds since the epoch. */
export interface NotReady {
  readonly reason: NotReadyReason;
  readonly sinceMs: number;
  /** The tables and migrations that D1 lacks. */
  readonly lacking: readonly string[];
}

/** How the service is, at one moment. */
export interface Health {
  /** Empty: it is ready. */
  readonly notReady: readonly NotReady[];
  readonly degraded: readonly Degraded[];
  /** Null: it could not be read. */
  readonly open: OpenWork | null;
  /** Null: no credential renews itself. */
  readonly renewal: RenewalStanding | null;
}

/** Tells whether the service can do its work. PipeOps is never asked for that. */
export interface Readiness {
  /** For anyone, so D1 is asked at most one time in READY_PROBE_INTERVAL_MS. */
  probe(): Promise<Health>;
  /** For a caller who may read the trail, and for the cron: D1 is asked now. */
  look(context: { readonly trace: Trace }, asker?: Barrable): Promise<Health>;
  /** Whether D1 is so near its largest size that its operators must act, as far as its last answer tells. */
  isNearlyFull(): boolean;
}

export interface ReadinessDependencies extends OpenWorkDependencies {
  readonly runtime: Pick<Runtime, 'now' | 'background'>;
  readonly quota: Pick<Quota, 'most'>;
  readonly credentials: Pick<Credentials, 'inOrder'>;
  /** Null: no credential renews itself. */
  readonly renewal: Pick<RenewingCredentials, 'standing'> | null;
  /** The size at which D1 takes no more rows. */
  readonly d1MaxBytes: number;
}

export function createReadiness(dependencies: ReadinessDependencies): Readiness {
  const { database, runtime, quota, credentials, renewal, d1MaxBytes } = dependencies;
  const since = new Map<NotReadyReason, number>();
  let latest: { readonly atMs: number; readonly answer: Promise<Health> } | null = null;

  const isNearlyFull = (): boolean => (database.sizeBytes() ?? 0) >= d1MaxBytes * D1_SIZE_WARNING_SHARE;

  const notReadyBy = (reason: NotReadyReason, lacking: readonly string[] = []): readonly NotReady[] => {
    for (const other of since.keys()) if (other !== reason) since.delete(other);
    const sinceMs = since.get(reason) ?? runtime.now();
    since.set(reason, sinceMs);
    return [{ reason, sinceMs, lacking }];
  };

  const look: Readiness['look'] = async (context, asker) => {
    const nowMs = runtime.now();
    const trace = newTrace();
    const read = await readOpenWork(dependencies, { trace }, asker);
    addTo(context.trace, trace);
    if (!read.ok) {
      const notReady = trace.isSchemaOutdated
        ? notReadyBy('schema_outdated', await readLacking(database, context))
        : notReadyBy('d1');
      return { notReady, degraded: [], open: null, renewal: null };
    }
    const open = read.value;
    // It goes first: what it learns may be another credential.
    const standing = renewal === null ? null : await renewal.standing(context);
    const facts = {
      nowMs,
      open,
      credentials: credentials.inOrder(),
      renewal: standing,
      mostCalls: quota.most('change', nowMs),
      d1: { bytes: database.sizeBytes(), isNearlyFull: isNearlyFull() },
    };
    if (open.lacking.length === 0) since.clear();
    const notReady = open.lacking.length === 0 ? [] : notReadyBy('schema_outdated', open.lacking);
    return { notReady, degraded: degradedBy(facts), open, renewal: standing };
  };

  return {
    look,
    isNearlyFull,
    probe: async () => {
      const nowMs = runtime.now();
      if (latest === null || Math.abs(nowMs - latest.atMs) >= READY_PROBE_INTERVAL_MS) {
        latest = { atMs: nowMs, answer: look({ trace: newTrace() }) };
        // Other requests wait for this probe too, so it must not end with the one that began it.
        runtime.background(latest.answer);
      }
      return await latest.answer;
    },
  };
}

/** What is missing, where a statement failed for want of it. Empty: it is a column, or D1 does not say. */
async function readLacking(database: Database, context: { readonly trace: Trace }): Promise<readonly string[]> {
  const tables = await database.batch(context, [selectTables(database)]);
  if (!tables.ok) return [];
  const lacking = lackingTables(tables.value[0]);
  if (lacking.includes(APPLIED)) return lacking;
  const migrations = await database.batch(context, [selectMigrations(database)]);
  return migrations.ok ? [...lacking, ...lackingMigrations(migrations.value[0])] : lacking;
}

/** Counts a look in its request. What a look at the schema meets says nothing of the statements of that request. */
function addTo(trace: Trace, { d1Trips, d1Queries, d1Ms }: Trace): void {
  trace.d1Trips += d1Trips;
  trace.d1Queries += d1Queries;
  trace.d1Ms += d1Ms;
}

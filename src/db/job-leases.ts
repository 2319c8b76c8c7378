import { and, eq, sql } from 'drizzle-orm';
import { CRON_JOB_TAIL_MS, CRON_SHARES } from '../config/limits.ts';
import type { Database } from './database.ts';
import { jobLeases } from './schema.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { CronJob, LeasedWork } from '../vocabulary.ts';

// Two runs of the cron are under way at once if one takes longer than a minute. A lease keeps each job to one of them.

/**
 * Gives back the lease of the job that is over and takes that of the next, in one batch. If D1 does not answer, the old lease
 * ends by itself.
 *
 * @returns whether this run has the lease of the next job.
 */
export async function changeJob(
  database: Database,
  runtime: Pick<Runtime, 'now'>,
  context: Pick<RequestContext, 'trace'>,
  holder: string,
  { over, next }: { readonly over: CronJob | null; readonly next: CronJob | null },
): Promise<boolean> {
  const leave = over === null ? [] : [leaveJob(database, over, holder)];
  if (next === null) {
    if (leave.length > 0) await database.batch(context, leave);
    return false;
  }
  const taken = takeLease(database, next, holder, runtime.now(), leaseMs(next));
  const changed = await database.batch(context, [taken, ...leave]);
  return changed.ok && changed.value[0].length > 0;
}

/** As long as the work that a job has begun may take. Another run takes over from one that died after that. */
const leaseMs = (job: CronJob): number => CRON_SHARES[job].ms + CRON_JOB_TAIL_MS;

/**
 * Takes a lease, and returns a row if it was free. A lease that ends later than one taken now would was taken by a clock that ran
 * ahead, and does not count.
 */
export function takeLease({ build }: Database, job: LeasedWork, holder: string, nowMs: number, lengthMs: number) {
  const until = nowMs + lengthMs;
  return build
    .insert(jobLeases)
    .values({ job, holder, until })
    .onConflictDoUpdate({
      target: jobLeases.job,
      set: { holder, until },
      setWhere: sql`${jobLeases.until} <= ${nowMs} or ${jobLeases.until} > ${until}`,
    })
    .returning({ job: jobLeases.job });
}

const leaveJob = ({ build }: Database, job: CronJob, holder: string) =>
  build
    .update(jobLeases)
    .set({ until: 0 })
    .where(and(eq(jobLeases.job, job), eq(jobLeases.holder, holder)));

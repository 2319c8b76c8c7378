import { and, eq, sql } from 'drizzle-orm';
import { CRON_JOB_TAIL_MS, CRON_SHARES } from './config/limits.ts';
import type { Database } from './db/database.ts';
import { jobLeases } from './db/schema.ts';
import type { RequestContext } from './request-context.ts';
import type { Runtime } from './runtime.ts';
import type { CronJob } from './vocabulary.ts';

// Two runs of the cron may be under way at once, where one takes longer than the minute. A lease keeps each job to one of them.

/** As long as what a job has begun may take: a run that died is followed by another after that. */
const leaseMs = (job: CronJob): number => CRON_SHARES[job].ms + CRON_JOB_TAIL_MS;

/**
 * Takes the lease of a job. False: another run has it, or D1 does not say. A lease that ends later than any that is taken now was
 * taken by a clock that was ahead, and counts for nothing.
 */
export async function takeJob(
  database: Database,
  runtime: Pick<Runtime, 'now'>,
  context: Pick<RequestContext, 'trace'>,
  job: CronJob,
  holder: string,
): Promise<boolean> {
  const nowMs = runtime.now();
  const until = nowMs + leaseMs(job);
  const take = database.build
    .insert(jobLeases)
    .values({ job, holder, until })
    .onConflictDoUpdate({
      target: jobLeases.job,
      set: { holder, until },
      setWhere: sql`${jobLeases.until} <= ${nowMs} or ${jobLeases.until} > ${until}`,
    })
    .returning({ job: jobLeases.job });
  const taken = await database.batch(context, [take]);
  return taken.ok && taken.value[0].length > 0;
}

/** Gives the lease of a job back. Where D1 does not take that, it ends by itself. */
export async function leaveJob(
  database: Database,
  runtime: Pick<Runtime, 'now'>,
  context: Pick<RequestContext, 'trace'>,
  job: CronJob,
  holder: string,
): Promise<void> {
  const leave = database.build
    .update(jobLeases)
    .set({ until: runtime.now() })
    .where(and(eq(jobLeases.job, job), eq(jobLeases.holder, holder)));
  await database.batch(context, [leave]);
}

import { watchAging } from './aging/run.ts';
import { type Budget, createBudget } from './kit/budget.ts';
import { CRON_SHARES } from './config/limits.ts';
import { changeJob } from './db/job-leases.ts';
import { probeUpstream } from './health/probe.ts';
import { sweepMacs } from './inventory/mac-sweep.ts';
import { forgetCalls } from './pipeops/quota-calls.ts';
import { newTrace, type RequestContext } from './kit/trace.ts';
import { sweepSessions } from './sessions/sweep.ts';
import type { Services } from './services.ts';
import { CRON_JOBS, type CronJob } from './vocabulary.ts';

/** What a job reports for the log line. */
type JobReport = Readonly<Record<string, number>>;

/**
 * Runs the jobs of the cron in their order: revocation orders, attempts that nobody waits for any more, the sealing of the trail, the
 * renewal of the admin credential, a call to PipeOps where nobody else makes one, sweeps of what is over, and how tokens age. Each job has a
 * share of what a Worker may use up, and a lease, so that a second run at the same time does not do the same work. A job that fails does not
 * keep the others from running. At the end the log is told what `/readyz` tells, so whoever has only the log need not ask.
 */
export async function runCron(services: Services): Promise<void> {
  const { database, runtime, policyVersion } = services;
  const trace = newTrace();
  const nobody = { traceparent: null, ip: null, userAgent: null };
  const context: RequestContext = { requestId: runtime.newId(), ...nobody, policyVersion, trace };
  const startedAt = runtime.now();
  const jobs = jobsOf(services);
  const skipped: CronJob[] = [];
  let report: JobReport = {};
  const holder = runtime.newId();
  let over: CronJob | null = null;
  // A job that has nothing to do by the configuration is not worth a lease.
  const idle: Partial<Readonly<Record<CronJob, boolean>>> = {
    sealing: services.sealing === null,
    credential: services.renewal === null,
  };
  for (const job of CRON_JOBS.filter((name) => idle[name] !== true)) {
    if (await changeJob(database, runtime, context, holder, { over, next: job })) {
      report = { ...report, ...(await runJob(services, context, job, jobs[job])) };
      over = job;
    } else {
      skipped.push(job);
      over = null;
    }
  }
  await changeJob(database, runtime, context, holder, { over, next: null });
  const { notReady, degraded } = await services.health.readiness.look(context);
  runtime.log({
    level: levelOf(notReady.length, degraded.length),
    event: 'cron',
    request_id: context.requestId,
    due_orders: 0,
    ended_orders: 0,
    due_attempts: 0,
    settled: 0,
    sealed: 0,
    erased_keys: 0,
    ended_sessions: 0,
    probed: 0,
    told_expiring: 0,
    swept_workspaces: 0,
    adopted_owners: 0,
    unauthentic_rows: 0,
    ordered_unused: 0,
    ...report,
    not_ready: notReady.map(({ reason }) => reason),
    degraded: degraded.map(({ reason }) => reason),
    ...(skipped.length > 0 && { skipped_jobs: skipped }),
    duration_ms: runtime.now() - startedAt,
    d1_trips: trace.d1Trips,
    d1_queries: trace.d1Queries,
    upstream_calls: trace.upstreamCalls,
  });
}

function levelOf(notReady: number, degraded: number): 'error' | 'warn' | 'info' {
  if (notReady > 0) return 'error';
  return degraded > 0 ? 'warn' : 'info';
}

type Job = (context: RequestContext, budget: Budget) => Promise<JobReport>;

function jobsOf({
  database,
  runtime,
  orders,
  reconciler,
  sealing,
  renewal,
  probe,
  keyExpiry,
  aging,
  macSweep,
}: Services): Readonly<Record<CronJob, Job>> {
  return {
    // Orders come first, since they may be about a leak and PipeOps answers only so many calls a minute.
    orders: async (context, budget) => {
      const { due, ended } = await orders.run(context, null, budget);
      return { due_orders: due, ended_orders: ended };
    },
    attempts: async (context, budget) => {
      const { due, settled } = await reconciler.run(context, budget);
      return { due_attempts: due, settled };
    },
    // What the jobs before it have settled is sealed in the same minute.
    sealing: async (context, budget) => {
      const done = await sealing?.run(context, budget);
      const size = done?.publishedSize ?? null;
      return { sealed: done?.sealed ?? 0, ...(size !== null && { published_size: size }) };
    },
    credential: async (context) => {
      await renewal?.run(context);
      return {};
    },
    probe: async (context) => await probeUpstream(probe, context),
    sweeps: async (context) => {
      const { erased } = await keyExpiry.run(context);
      await database.batch(context, [forgetCalls(database, runtime.now())]);
      const ended = await sweepSessions({ database, runtime }, context);
      const macs = await sweepMacs(macSweep, context);
      return { ...macs, erased_keys: erased, ended_sessions: ended };
    },
    aging: async (context, budget) => {
      const { expiring, swept, unused } = await watchAging(aging, context, budget);
      return { told_expiring: expiring, swept_workspaces: swept, ordered_unused: unused };
    },
  };
}

async function runJob({ runtime }: Services, context: RequestContext, job: CronJob, run: Job): Promise<JobReport> {
  try {
    return await run(context, createBudget(context.trace, runtime, CRON_SHARES[job]));
  } catch (error) {
    const name = error instanceof Error ? error.name : 'unknown';
    runtime.log({ level: 'error', event: 'cron_job_failed', job, name });
    return {};
  }
}

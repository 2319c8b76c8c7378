import { AGING_SWEEP_MAX_QUERIES } from '../config/aging-limits.ts';
import type { Budget } from '../kit/budget.ts';
import type { RequestContext } from '../kit/trace.ts';
import { selectQuotaNews } from '../pipeops/quota-news.ts';
import type { Quota } from '../pipeops/quota.ts';
import { noticeQueries, selectDueNotices } from './expiry.ts';
import { selectDueWorkspace, type SweepDependencies, sweepWorkspace } from './sweep.ts';

export interface AgingDependencies extends SweepDependencies {
  readonly quota: SweepDependencies['quota'] & Pick<Quota, 'learn'>;
}

/**
 * Watches how tokens age: tells which expire, and looks at the use of tokens in one workspace. Nearly always nothing is due, and that
 * costs one trip to D1.
 */
export async function watchAging(
  dependencies: AgingDependencies,
  context: RequestContext,
  budget: Budget,
): Promise<{ readonly expiring: number; readonly swept: number; readonly unused: number }> {
  const { database, runtime, quota } = dependencies;
  const nowMs = runtime.now();
  const read = await database.batch(context, [
    selectDueNotices(database, nowMs),
    selectDueWorkspace(database, nowMs),
    selectQuotaNews(database, nowMs, null),
  ] as const);
  if (!read.ok) return { expiring: 0, swept: 0, unused: 0 };
  const [notices, [due], limits] = read.value;
  quota.learn(limits, nowMs);
  let expiring = 0;
  if (notices.length > 0) {
    const { told, queries } = noticeQueries(database, context, notices, nowMs, () => runtime.newId());
    const written = await database.batch(context, queries);
    expiring = written.ok ? told : 0;
  }
  if (due === undefined || !budget.permits(AGING_SWEEP_MAX_QUERIES)) return { expiring, swept: 0, unused: 0 };
  return { expiring, ...(await sweepWorkspace(dependencies, context, due)) };
}

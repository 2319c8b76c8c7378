import type { Defence } from '../defence.ts';

const QUOTA = { file: 'src/pipeops/quota.ts', test: ['test/pipeops/quota.test.ts'] };
const TABLE = { file: 'src/pipeops/limits-table.ts', test: ['test/pipeops/quota.test.ts'] };
const BUCKETS = { file: 'src/pipeops/call-buckets.ts', test: ['test/pipeops/call-buckets.test.ts'] };
const RESERVE = ['test/tokens/reserve.test.ts'];
const RETRIES = { file: 'src/pipeops/tries.ts', test: ['test/pipeops/retries.test.ts'] };
const TRIES = { file: 'src/pipeops/tries.ts', test: ['test/pipeops/retries.test.ts'] };
const ISOLATES = ['test/tokens/quota.test.ts'];

/** What keeps us within PipeOps' limits, keeps some of them for revocation, and repeats only what may be repeated. */
export const quotaDefences: readonly Defence[] = [
  {
    ...QUOTA,
    name: 'quota: the last calls are kept for revocation',
    find: 'return isKept ? window.untilMs : 0;',
    replace: 'return isKept ? 0 : 0;',
  },
  {
    ...QUOTA,
    name: 'quota: revocation may use the last calls',
    find: "window !== null && purpose !== 'revocation' && ",
    replace: 'window !== null && ',
  },
  {
    ...QUOTA,
    name: 'quota: calls under way are counted',
    find: 'window.remaining - inFlight <=',
    replace: 'window.remaining <=',
  },
  {
    ...QUOTA,
    name: 'quota: a 403 holds back no revocation',
    find: "return isForbidden && purpose !== 'revocation' ?",
    replace: 'return isForbidden ?',
  },
  {
    name: 'quota: a workspace by the name of a scope stops nobody',
    file: 'src/pipeops/told-limits.ts',
    test: QUOTA.test,
    find: 'if (isScope(workspaceUuid)) return;',
    replace: '',
  },
  {
    ...TABLE,
    name: 'quota: what is told replaces nothing lower',
    find: ' and ${remaining} < ${left})`',
    replace: ')`',
  },
  {
    name: 'quota: a mutation hears what other isolates were told',
    file: 'src/tokens/trip-one.ts',
    find: 'quota.learn(told, runtime.now());',
    replace: '',
    test: ISOLATES,
  },
  {
    ...BUCKETS,
    name: 'quota: no more is reserved than a minute has',
    find: 'min(${calls}, ${ofMinute}, ${ofHour})',
    replace: 'min(${calls}, ${ofHour})',
  },
  {
    ...BUCKETS,
    name: 'quota: no more is reserved than an hour has',
    find: 'min(${calls}, ${ofMinute}, ${ofHour})',
    replace: 'min(${calls}, ${ofMinute})',
  },
  {
    ...BUCKETS,
    name: 'quota: what has left the window counts no more',
    find: '(bucket + QUOTA_BUCKETS_COUNT + 1) * WINDOWS[name].bucketMs',
    replace: 'bucket * WINDOWS[name].bucketMs',
  },
  {
    ...BUCKETS,
    name: 'quota: what a far clock has noted does not count',
    find: ' and ${at} + ${LENGTH})`',
    replace: ' and ${at} * 2)`',
  },
  {
    name: 'quota: each request passes the gate',
    file: 'src/pipeops/client.ts',
    find: 'if (refused !== null) return err(refused);',
    replace: '',
    test: ISOLATES,
  },
  {
    name: 'quota: a call beyond those that were reserved is reserved by itself',
    file: 'src/pipeops/call-gate.ts',
    find: 'const unreserved = call.allowance?.refusal() ?? (await reserve(purpose, call));',
    replace: 'const unreserved = null;',
    test: RESERVE,
  },
  {
    name: 'quota: what was not sent is given back',
    file: 'src/pipeops/call-gate.ts',
    find: 'for (const { at, calls } of left) giveBack(at, calls);',
    replace: '',
    test: BUCKETS.test,
  },
  {
    ...TABLE,
    name: 'quota: one isolate alone tries while PipeOps says wait',
    find: 'setWhere: sql`${upstreamLimits.until} <= ${nowMs} or ${upstreamLimits.until} > ${untilMs}`,',
    replace: '',
    test: RESERVE,
  },
  {
    name: 'quota: a revocation that is taken ends the wait',
    file: 'src/pipeops/quota.ts',
    find: 'noteTry(status);',
    replace: '',
    test: RESERVE,
  },
  {
    name: 'quota: looking up ids that a caller makes up does not use up what is kept for revocation',
    file: 'src/pipeops/quota-windows.ts',
    find: "(purpose === 'revocation' ? 'reconciliation' : purpose)",
    replace: 'purpose',
    test: RESERVE,
  },
  {
    name: 'quota: a refusal is told to other isolates',
    file: 'src/tokens/refusal.ts',
    find: '...quota.news(database, runtime.now()),',
    replace: '',
    test: ISOLATES,
  },
  {
    name: 'quota: an attempt that had to wait is due at once afterwards',
    file: 'src/trail/reconcile/run.ts',
    find: 'await endRun(dependencies, context, claim, left);',
    replace: 'await endRun(dependencies, context, claim, []);',
    test: ISOLATES,
  },
  {
    ...RETRIES,
    name: 'retries: a create is never repeated',
    find: "if (method === 'POST') return 0;",
    replace: '',
  },
  {
    ...TRIES,
    name: 'retries: a refusal does not hide that an earlier try may have taken effect',
    find: 'answered.ok || doubt === null || isOutcomeUnknown(answered.error) ? answered : err(doubt);',
    replace: 'answered.ok || doubt === null || isOutcomeUnknown(answered.error) ? answered : answered;',
  },
  {
    ...TRIES,
    name: 'retries: nothing is sent after the deadline',
    hangs: true,
    find: 'await untilAborted(runtime.sleep(ms), signal);',
    replace: 'await runtime.sleep(ms);',
  },
];

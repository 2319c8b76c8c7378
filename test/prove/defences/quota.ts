import type { Defence } from '../defence.ts';

const QUOTA = { file: 'src/pipeops/quota.ts', test: ['test/pipeops/quota.test.ts'] };
const TABLE = { file: 'src/pipeops/limits-table.ts', test: ['test/pipeops/quota.test.ts'] };
const RETRIES = { file: 'src/pipeops/retries.ts', test: ['test/pipeops/retries.test.ts'] };
const TRIES = { file: 'src/pipeops/tries.ts', test: ['test/pipeops/retries.test.ts'] };
const ISOLATES = ['test/tokens/quota.test.ts'];

/** What keeps us within PipeOps' limits, keeps some of them for revocation, and repeats only what may be repeated. */
export const quotaDefences: readonly Defence[] = [
  {
    ...QUOTA,
    name: 'quota: the last calls are kept for revocation',
    find: "return purpose === 'other' && isKept ? window.untilMs : 0;",
    replace: 'return isKept ? 0 : 0;',
  },
  {
    ...QUOTA,
    name: 'quota: revocation may use the last calls',
    find: "return purpose === 'other' && isKept ? window.untilMs : 0;",
    replace: 'return isKept ? window.untilMs : 0;',
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
    find: "return isForbidden && purpose === 'other' ?",
    replace: 'return isForbidden ?',
  },
  {
    ...QUOTA,
    name: 'quota: a workspace by the name of a scope stops nobody',
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
    file: 'src/tokens/mutation.ts',
    find: 'quota.learn(rows[0], runtime.now());',
    replace: '',
    test: ISOLATES,
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
    file: 'src/audit/reconciliation.ts',
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

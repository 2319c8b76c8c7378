import type { Defence } from '../defence.ts';

const LISTS = ['test/snapshot/snapshot.test.ts'];
const GROUPS = ['test/snapshot/read-group.test.ts'];
const VERIFIED = ['test/identity/verified.test.ts'];
const QUERIES = { file: 'src/snapshot/read-queries.ts', test: LISTS };
const MUTATION = { file: 'src/tokens/mutation.ts', test: LISTS };

/** What keeps what is remembered from being served, or believed, any longer than it is true. */
export const snapshotDefences: readonly Defence[] = [
  {
    ...QUERIES,
    name: 'snapshot: a read is written where its list is the current one',
    find: "(e.value ->> 'generation' is null or e.value ->> 'generation' = ${OWN_CURRENT}) and not",
    replace: 'not',
  },
  {
    ...QUERIES,
    name: 'snapshot: a read of one who is blocked is not written',
    find: ' and not ${IS_BLOCKED}`',
    replace: '`',
    test: ['test/webhooks/subjects.test.ts'],
  },
  {
    ...QUERIES,
    name: 'snapshot: a list that another isolate left is of the current generation',
    find: "\n  and s.generation = ${currentOf(sql.raw('s.workspace_uuid'))}`",
    replace: '`',
  },
  {
    ...QUERIES,
    name: 'snapshot: one isolate at a time asks for a list',
    find: 'setWhere: sql`${workspaces.lease_until} <= ${NOW} or',
    replace: 'setWhere: sql`true or',
    test: GROUPS,
  },
  {
    ...MUTATION,
    name: 'snapshot: a mutation ends the lists from before it',
    find: '...(outcome.upstreamStatus === null ? [] : [raiseGeneration(database, workspaceUuid)]),',
    replace: '',
  },
  {
    ...MUTATION,
    name: 'snapshot: so does one whose answer was lost',
    find: 'const all = [...queries, raiseGeneration(database, workspaceUuid), ...quota',
    replace: 'const all = [...queries, ...quota',
  },
  {
    name: 'snapshot: a generation that D1 did not raise is owed',
    file: 'src/snapshot/read-group.ts',
    find: '    ...debts.queries,',
    replace: '',
    test: ['test/snapshot/owed.test.ts'],
  },
  {
    name: 'snapshot: a list stands in for PipeOps only if nothing has changed since',
    file: 'src/tokens/read.ts',
    find: 'if (own?.generation === generation) return',
    replace: 'if (own !== null) return',
    test: LISTS,
  },
  {
    name: 'snapshot: a list is served no longer than it is good for',
    file: 'src/snapshot/freshness.ts',
    find: 'nowMs - maxAgeMs, maxAgeMs',
    replace: '0, maxAgeMs',
    test: LISTS,
  },
  {
    name: 'snapshot: an answer waits for the commit of its own row',
    file: 'src/snapshot/read-group.ts',
    find: 'waiting.settle(alone?.[0] ?? unavailable());',
    replace:
      "waiting.settle(alone?.[0] ?? ok({ eventId: 'none', blocked: false, generation: 0, stored: null, leased: false, inventory: [] }));",
    test: GROUPS,
  },
  {
    name: 'snapshot: no request sends the reads of others for ever',
    file: 'src/snapshot/read-group.ts',
    find: ' && mayLead(groups, runtime.now() - sinceMs)',
    replace: '',
    test: ['test/snapshot/turns.test.ts'],
  },
  {
    name: 'verified JWT: is good with the keys that its issuer still has',
    file: 'src/identity/authenticator.ts',
    find: 'known?.keys === set ?',
    replace: 'known !== null ?',
    test: VERIFIED,
  },
  {
    name: 'verified JWT: ends when it expires',
    file: 'src/identity/verified.ts',
    find: 'nowSeconds < exp &&',
    replace: '',
    test: VERIFIED,
  },
  {
    name: 'verified JWT: is good in the header that it came in',
    file: 'src/identity/authenticator.ts',
    find: 'remembered?.header === header ? remembered : null',
    replace: 'remembered',
    test: VERIFIED,
  },
];

import type { Defence } from '../defence.ts';

const LISTS = ['test/reads/snapshot.test.ts'];
const GROUPS = ['test/reads/read-group.test.ts'];
const VERIFIED = ['test/identity/verified.test.ts'];
const QUERIES = { file: 'src/reads/statements.ts', test: LISTS };
const STEPS = { file: 'src/reads/read.ts', test: LISTS };
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
    test: ['test/revocation/labels.test.ts'],
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
    file: 'src/reads/batch.ts',
    find: '    ...debts.queries,',
    replace: '',
    test: ['test/reads/owed.test.ts'],
  },
  {
    name: 'snapshot: a call of a request that died is not joined',
    file: 'src/reads/upstream-lists.ts',
    find: 'if (!isAlive || joined.begunAtMs < minBegunMs) return null;',
    replace: 'if (joined === undefined || joined.begunAtMs < minBegunMs) return null;',
    test: GROUPS,
  },
  {
    name: 'snapshot: a call that somebody joined is waited for no longer than its deadline',
    file: 'src/reads/upstream-lists.ts',
    find: "if (!outcome.ok) return err({ kind: 'upstream_timeout' });",
    replace: "if (!outcome.ok) return err({ kind: 'upstream_unreachable' });",
    test: GROUPS,
  },
  {
    ...STEPS,
    name: 'snapshot: a get that misses asks for the list, which the next ones are answered from',
    find: 'if (wanted.isOff && operation.isKnown(said.token))',
    replace: 'if (operation.isKnown(said.token))',
  },
  {
    ...STEPS,
    name: 'snapshot: where tokens keep changing, the list that is served was begun after the read was',
    find: ' && dated.begunAtMs >= startedAtMs;',
    replace: ';',
  },
  {
    ...STEPS,
    name: 'snapshot: a token that is newer than the list of this isolate is found by its owner',
    find: "reading.token = step.kind === 'search' && operation.subject.tokenId !== null ? { row: said.token } : null;",
    replace: 'reading.token = operation.subject.tokenId !== null ? { row: said.token } : null;',
  },
  {
    name: 'snapshot: a list is served no longer than it is good for',
    file: 'src/reads/pace.ts',
    find: 'const minBegunMs = nowMs - leastMs;',
    replace: 'const minBegunMs = 0;',
    test: LISTS,
  },
  {
    name: 'snapshot: lists are as old as the calls of the hour ask',
    file: 'src/reads/pace.ts',
    find: 'Math.max(nowMs - workspacesInUse * eachMs, nowMs - SNAPSHOT_STALE_MAX_MS)',
    replace: 'nowMs',
    test: ['test/reads/pace.test.ts'],
  },
  {
    ...QUERIES,
    name: 'snapshot: a workspace that PipeOps does not know slows no other',
    find: "\n    and u.list_state in ('complete', 'partial', 'unproven')",
    replace: '',
    test: ['test/reads/paced-lists.test.ts'],
  },
  {
    ...QUERIES,
    name: 'snapshot: no lease is taken, and no list given, before its reader is authorised',
    find: "e.value ->> 'generation' is not ${OWN_CURRENT} and ${IS_AUTHORISED}`",
    replace: "e.value ->> 'generation' is not ${OWN_CURRENT}`",
    test: ['test/reads/bounded-reads.test.ts'],
  },
  {
    name: 'snapshot: nor where no role of its reader reads there',
    file: 'src/reads/trip.ts',
    find: 'if (!operation.mayList) return null;',
    replace: '',
    test: ['test/reads/bounded-reads.test.ts'],
  },
  {
    name: 'snapshot: what is held is bounded by tokens',
    file: 'src/reads/snapshot.ts',
    find: 'if (weight <= maxTokens) break;',
    replace: 'break;',
    test: ['test/reads/memory.test.ts'],
  },
  {
    name: 'snapshot: a group of reads brings a few lists at a time',
    file: 'src/reads/group.ts',
    find: 'if (moved.size >= lists) return false;',
    replace: '',
    test: ['test/reads/bounded-reads.test.ts'],
  },
  {
    name: 'snapshot: one caller causes ten calls a minute',
    file: 'src/reads/caller-calls.ts',
    find: 'if (times.length >= READ_CALLS_PER_MINUTE) return null;',
    replace: '',
    test: ['test/reads/caller-calls.test.ts'],
  },
  {
    name: 'snapshot: a caller at its end takes no lease',
    file: 'src/reads/trip.ts',
    find: 'mayAsk: isSearch && notAsking === null,',
    replace: 'mayAsk: isSearch,',
    test: ['test/reads/caller-calls.test.ts'],
  },
  {
    name: 'inventory: of tokens that are over, a list is judged with a few',
    file: 'src/inventory/looks.ts',
    find: 'const mostMissing = (listed: number): number => 2 * listed + DRIFT_SILENT_BATCH_TOKENS;',
    replace: 'const mostMissing = (_listed: number): number => 1e9;',
    test: ['test/reads/bounded-reads.test.ts'],
  },
  {
    name: 'snapshot: an answer waits for the commit of its own row',
    file: 'src/reads/group.ts',
    find: 'waiting.settle(alone?.[0] ?? unavailable());',
    replace:
      "waiting.settle(alone?.[0] ?? { ok: true, value: { eventId: 'none', blocked: false, generation: 0, stored: null, lease: null, token: undefined, snapshot: null, lookRows: null } });",
    test: GROUPS,
  },
  {
    name: 'snapshot: no request sends the reads of others for ever',
    file: 'src/reads/group.ts',
    find: ' && mayLead(groups, runtime.now() - sinceMs)',
    replace: '',
    test: ['test/reads/turns.test.ts'],
  },
  {
    name: 'snapshot: a dead group keeps no read waiting',
    file: 'src/reads/group.ts',
    find: 'if (nowMs - group.sentAtMs > READ_FLUSH_MAX_MS) underWay.delete(group);',
    replace: 'void group;',
    test: ['test/reads/turns.test.ts'],
  },
  {
    name: 'snapshot: a read that waited long enough is sent, whoever was to send it',
    file: 'src/reads/group.ts',
    find: 'const isDue = !isLed(runtime.now()) || isOneOverdue();',
    replace: 'const isDue = !isLed(runtime.now());',
    test: ['test/reads/turns.test.ts'],
  },
  {
    name: 'snapshot: so many groups are under way, and no more',
    file: 'src/reads/group.ts',
    find: '!isDue || underWay.size >= READ_GROUPS_MAX_COUNT',
    replace: '!isDue',
    test: ['test/reads/turns.test.ts'],
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

import type { Defence } from '../defence.ts';

const HEADER = { file: 'src/idempotency/header.ts', test: ['test/idempotency/header.test.ts'] };
const KEYED = { file: 'src/idempotency/sealing.ts', test: ['test/idempotency/sealing.test.ts'] };
const REPLAY = { file: 'src/idempotency/sealing.ts', test: ['test/idempotency/replay.test.ts'] };
const FREEING = ['test/idempotency/freeing.test.ts'];

/** What makes a create that is repeated with its key mint once, and keeps its sealed answer from everybody else. */
export const idempotencyDefences: readonly Defence[] = [
  {
    ...HEADER,
    name: 'idempotency: a key has a length',
    find: "key === '' || key.length > IDEMPOTENCY_KEY_MAX_CHARS",
    replace: "key === ''",
  },
  {
    ...HEADER,
    name: 'idempotency: two keys are none',
    find: 'const BARE = /^[!#-+\\--[\\]-~]+$/;',
    replace: 'const BARE = /^[!-~]+$/;',
  },
  { ...HEADER, name: 'idempotency: a key is no secret', find: 'containsSecret(key)', replace: 'false' },
  { ...KEYED, name: 'idempotency: D1 and the secret alone open nothing', find: 'hkdf(key,', replace: "hkdf(''," },
  {
    ...KEYED,
    name: 'idempotency: an answer is sealed for one caller and workspace',
    find: 'answer of ${keyHash}',
    replace: 'answer',
  },
  {
    ...KEYED,
    name: 'idempotency: a key is its caller’s and its workspace’s',
    find: "['key', issuer, subject, ROUTE, workspaceUuid, key]",
    replace: "['key', ROUTE, key]",
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    name: 'idempotency: the order of names makes no other request',
    file: 'src/kit/digest.ts',
    find: 'Object.keys(value).toSorted()',
    replace: 'Object.keys(value)',
    test: ['test/idempotency/sealing.test.ts'],
  },
  {
    name: 'idempotency: one create holds a key',
    file: 'src/idempotency/keys.ts',
    find: 'where not exists (${held}) and ${guard}`)',
    replace: 'where true or ${guard}`).onConflictDoUpdate({ target: idempotencyKeys.key_hash, set: claim })',
    test: ['test/idempotency/concurrency.test.ts'],
  },
  {
    name: 'idempotency: a key that an earlier version kept is held',
    file: 'src/idempotency/keys.ts',
    find: 'request.former === null ? [] : [request.former.keyHash]',
    replace: '[] as readonly string[]',
    test: ['test/idempotency/workspace-spelling.test.ts'],
  },
  {
    name: 'idempotency: an expired key is nobody’s',
    file: 'src/idempotency/keys.ts',
    find: 'and(isKey, or(isOver({ build }, nowMs), IS_UNDONE))',
    replace: 'sql`false`',
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    name: 'idempotency: the cron erases what has expired, and nothing else',
    file: 'src/idempotency/keys.ts',
    find: '.where(isOver({ build }, nowMs))',
    replace: '.where(sql`true`)',
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    name: 'idempotency: a key lives as long as its create is open',
    file: 'src/idempotency/keys.ts',
    find: "eq(auditEvents.status, sql`'attempted'`)",
    replace: 'sql`false`',
    test: FREEING,
  },
  {
    name: 'idempotency: the cron erases what has expired',
    file: 'src/cron.ts',
    find: 'await keyExpiry.run(context)',
    replace: 'await Promise.resolve({ erased: 0 })',
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    ...REPLAY,
    name: 'idempotency: another request with the key is refused',
    find: 'holder.request_fingerprint !== kept.fingerprint',
    replace: 'false',
  },
  {
    ...REPLAY,
    name: 'idempotency: what is open is not answered',
    find: "holder.status === 'attempted'",
    replace: 'false',
    test: ['test/idempotency/concurrency.test.ts'],
  },
  {
    ...REPLAY,
    name: 'idempotency: a token that is gone is not told again',
    find: '!isLive(holder, nowMs)',
    replace: 'false',
  },
  { ...REPLAY, name: 'idempotency: nor a suspended one', find: ' && suspended_by === null', replace: '' },
  {
    ...REPLAY,
    name: 'idempotency: nor an expired one',
    find: '(expiresAtMs === null || expiresAtMs > nowMs)',
    replace: 'true',
  },
  {
    name: 'idempotency: a replay needs what the create needs',
    file: 'src/tokens/mutation.ts',
    find: 'if (!decision.ok) return',
    replace: 'if (!decision.ok && !once) return',
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    name: 'idempotency: a replay leaves only with its own row',
    file: 'src/tokens/refusal.ts',
    find: "if (settlement.kind === 'own') return answer;",
    replace: 'return answer;',
    test: FREEING,
  },
  {
    name: 'idempotency: a leaver gets no replay that was under way',
    file: 'src/tokens/refusal.ts',
    find: 'outcome, undefined, { blocked: actor })',
    replace: 'outcome, undefined)',
    test: FREEING,
  },
  {
    name: 'idempotency: a refusal frees the key',
    file: 'src/tokens/refusal.ts',
    find: '[freeKey(database, keyed, eventId, guard)]',
    replace: '[]',
    test: FREEING,
  },
  {
    name: 'idempotency: only its holder frees a key',
    file: 'src/idempotency/keys.ts',
    find: 'export const freeKey = ({ build }: Database, { keyHash }: KeyedRequest, eventId: string, guard: SQL) =>\n  build\n    .delete(idempotencyKeys)\n    .where(and(eq(idempotencyKeys.key_hash, keyHash), eq(idempotencyKeys.event_id, eventId), guard));',
    replace:
      'export const freeKey = ({ build }: Database, { keyHash }: KeyedRequest, _eventId: string, guard: SQL) =>\n  build\n    .delete(idempotencyKeys)\n    .where(and(eq(idempotencyKeys.key_hash, keyHash), guard));',
    test: ['test/idempotency/replay.test.ts'],
  },
  {
    name: 'idempotency: a compensated create frees its key',
    file: 'src/tokens/secret.ts',
    find: '[freeKey(database, keyed, eventId, created)]',
    replace: '[]',
    test: FREEING,
  },
  {
    name: 'idempotency: a token that is to be revoked is not handed out again',
    file: 'src/tokens/secret.ts',
    find: '[keepAnswer(database, keyed, eventId, null, created)]',
    replace: '[]',
    test: FREEING,
  },
  {
    name: 'idempotency: reconciliation frees the key of a create that came to nothing',
    file: 'src/trail/reconcile/carry-out.ts',
    find: "errorCode === 'outcome_unknown' ? [] : [row.id]",
    replace: '[]',
    test: FREEING,
  },
  {
    name: 'idempotency: reconciliation frees the key of a create that it revoked',
    file: 'src/trail/reconcile/carry-out.ts',
    find: "status === 'success' && typeof create === 'string' ? [create] : []",
    replace: '[]',
    test: FREEING,
  },
];

import type { Defence } from '../defence.ts';

const ADAPTERS = 'test/webhooks/adapters';
const INTAKE = { file: 'src/webhooks/intake.ts', test: ['test/webhooks/intake.test.ts'] };
const LEAKS = ['test/webhooks/leaks.test.ts'];
const RETRY = ['test/webhooks/retry.test.ts'];
const DUPLICATES = ['test/webhooks/duplicates.test.ts'];
const DRIVER = ['test/webhooks/driver.test.ts'];
const SUBJECTS = ['test/webhooks/subjects.test.ts'];
const LABELS = ['test/webhooks/labels.test.ts'];
const MAKING = ['test/webhooks/order-making.test.ts'];
const QUEUE = { file: 'src/webhooks/order-queue.ts', test: DRIVER };
const JUDGEMENT = { file: 'src/webhooks/order-judgement.ts', test: ['test/webhooks/order-judgement.test.ts'] };
const RECORDER = { file: 'src/audit/recorder.ts', test: SUBJECTS };

/** What makes an accepted webhook take effect exactly once, for those who may send it, on what they may name. */
export const webhookDefences: readonly Defence[] = [
  {
    name: 'webhook: a delivery of Standard Webhooks is signed',
    file: 'src/webhooks/adapters/standard.ts',
    find: 'if (reason !== null) return rejected(reason);',
    replace: '',
    test: [`${ADAPTERS}/standard.test.ts`],
  },
  {
    name: 'webhook: a delivery of GitHub is signed',
    file: 'src/webhooks/adapters/github.ts',
    find: "return isGood ? ok(null) : rejected('signature_invalid');",
    replace: 'return isGood ? ok(null) : ok(null);',
    test: [`${ADAPTERS}/github.test.ts`],
  },
  {
    ...INTAKE,
    name: 'webhook: one whose signature is refused goes no further',
    find: 'if (!received.ok) {',
    replace: 'if (false) {',
  },
  {
    ...INTAKE,
    name: 'webhook: a refused signature is in the trail',
    find: 'rejections.record(context, received.error, sourceActor(policy.name));',
    replace: '',
  },
  {
    ...INTAKE,
    name: 'webhook: an event is one that its source may send',
    find: "if (!events.includes(message.event)) return ok({ ignored: 'event_not_allowed' });",
    replace: '',
  },
  {
    name: 'webhook: a source orders within its workspaces',
    file: 'src/webhooks/item-queries.ts',
    find: "workspaces.includes('*') ?",
    replace: 'workspaces.length > 0 ?',
    test: LEAKS,
  },
  {
    name: 'webhook: what was no match is not acted on',
    file: 'src/webhooks/order-queries.ts',
    find: "and ${webhookItems.found} = 'matched'",
    replace: '',
    test: LEAKS,
  },
  {
    name: 'webhook: where a secret leaked is redacted',
    file: 'src/webhooks/matching.ts',
    find: 'redact(leak.location.toWellFormed())',
    replace: 'leak.location.toWellFormed()',
    test: LEAKS,
  },
  {
    name: 'webhook: a leak is looked for under every fingerprint key',
    file: 'src/tokens/fingerprint.ts',
    find: 'await Promise.all(keys.map(async (key) => await under(key, secretSha256)))',
    replace: '[await under(current, secretSha256)]',
    test: ['test/webhooks/fingerprints.test.ts'],
  },
  {
    name: 'webhook: a delivery that repeats another is none',
    file: 'src/webhooks/delivery-row.ts',
    find: ' where not exists (select 1 from ${webhookDeliveries} where ${same})',
    replace: '',
    test: DUPLICATES,
  },
  {
    name: 'webhook: a body without an id is the same for WEBHOOK_SAME_BODY_MS',
    file: 'src/webhooks/acceptance.ts',
    find: 'gt(webhookDeliveries.received_at, sameBodySinceMs),',
    replace: '',
    test: ['test/webhooks/github.test.ts'],
  },
  {
    name: 'webhook: a delivery that repeats another orders nothing',
    file: 'src/webhooks/acceptance.ts',
    find: '.where(eq(webhookDeliveries.id, row.id)),',
    replace: ',',
    test: DUPLICATES,
  },
  {
    name: 'webhook: an id that the inventory lacks is asked for at PipeOps first',
    file: 'src/webhooks/order-sending.ts',
    find: 'if (order.known === 0) {',
    replace: 'if (false) {',
    test: LEAKS,
  },
  {
    ...QUEUE,
    name: 'webhook: an order is sent by one driver at a time',
    file: 'src/config/limits.ts',
    find: 'export const ORDERS_LEASE_MS = 60_000;',
    replace: 'export const ORDERS_LEASE_MS = 0;',
  },
  {
    ...QUEUE,
    name: 'webhook: an order waits for its next try',
    find: 'lte(revocationOrders.next_at, nowMs),',
    replace: '',
  },
  {
    ...QUEUE,
    name: 'webhook: while PipeOps says wait, nothing is due',
    find: 'not(isToldToWait(nowMs)),',
    replace: '',
  },
  {
    ...QUEUE,
    name: 'webhook: an order is done only if its row in the trail says so',
    find: '.where(and(eq(revocationOrders.id, id), guard));',
    replace: '.where(eq(revocationOrders.id, id));',
  },
  {
    ...JUDGEMENT,
    name: 'webhook: PipeOps’ quota ends a run',
    find: 'errorCode, endsRun: true }',
    replace: 'errorCode, endsRun: false }',
  },
  {
    name: 'webhook: a run that is over sends nothing more',
    file: 'src/webhooks/driver.ts',
    find: "isOver = verdict.kind === 'later' && verdict.endsRun;",
    replace: '',
    test: DRIVER,
  },
  {
    name: 'webhook: a confirmation has a time and pauses of its own',
    file: 'src/webhooks/driver.ts',
    find: 'unconfirmed.push(asConfirmed(order, runtime.now()));',
    replace: 'unconfirmed.push(order);',
    test: DRIVER,
  },
  {
    name: 'webhook: a second revoke ends the lists from before it',
    file: 'src/webhooks/confirmation.ts',
    find: '...open.slice(0, 1).map(',
    replace: '...open.slice(0, 0).map(',
    test: DRIVER,
  },
  {
    ...JUDGEMENT,
    name: 'webhook: pauses grow',
    find: 'ORDERS_BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1)',
    replace: 'ORDERS_BACKOFF_FIRST_MS',
  },
  {
    ...JUDGEMENT,
    name: 'webhook: an order is given up after ORDERS_GIVE_UP_MS',
    find: "if (nowMs - order.begun_at >= ORDERS_GIVE_UP_MS) return { kind: 'given_up', errorCode };",
    replace: '',
  },
  {
    name: 'webhook: absence from a list that is not complete proves nothing',
    file: 'src/webhooks/confirmation.ts',
    find: 'if (there !== undefined || listed.value.data.complete) return true;',
    replace: 'return true;',
    test: DRIVER,
  },
  {
    name: 'webhook: a token that is still listed is not gone',
    file: 'src/webhooks/confirmation.ts',
    find: 'if (there !== undefined && !there.isRevoked) {',
    replace: 'if (false) {',
    test: DRIVER,
  },
  {
    name: 'webhook: reconciliation leaves the rows of orders alone',
    file: 'src/audit/review-queue.ts',
    find: "ne(auditEvents.actor_type, 'webhook'),",
    replace: '',
    test: DRIVER,
  },
  {
    name: 'webhook: a role over some tokens alone retries nothing',
    file: 'src/policy/decide.ts',
    find: "?? (role.tokens === 'any' ? null : 'ownership')",
    replace: '?? null',
    test: RETRY,
  },
  {
    name: 'webhook: what a driver holds is not sent by a retry',
    file: 'src/webhooks/retry.ts',
    find: 'or(isNull(revocationOrders.claim), lte(revocationOrders.next_at, nowMs)),',
    replace: '',
    test: RETRY,
  },
  {
    name: 'webhook: what was given up is retried once',
    file: 'src/webhooks/retry.ts',
    find: "build.update(orders).set({ state: 'retried' }).where(isGivenUp),",
    replace: '',
    test: RETRY,
  },
  {
    name: 'webhook: whoever is blocked changes nothing',
    file: 'src/tokens/mutation.ts',
    find: 'if (begun.value.blocked) {',
    replace: 'if (false) {',
    test: SUBJECTS,
  },
  {
    name: 'webhook: whoever is blocked while a token is minted does not get it',
    file: 'src/tokens/mutation.ts',
    find: 'minted === undefined ? undefined : subject.actor,',
    replace: 'undefined,',
    test: SUBJECTS,
  },
  {
    ...RECORDER,
    name: 'webhook: whoever is blocked reads nothing',
    find: 'countRead(database, keyed, not(isBlocked(database, subject.actor)))',
    replace: 'countRead(database, keyed, sql`true`)',
  },
  {
    ...RECORDER,
    name: 'webhook: whoever is blocked exports nothing',
    find: "outcome.status === 'failure' ? sql`true` : not(isBlocked(database, subject.actor));",
    replace: 'sql`true`;',
  },
  {
    name: 'webhook: labels are compared without regard to case',
    file: 'src/subjects/labels.ts',
    find: ".normalize('NFC').toLowerCase()",
    replace: ".normalize('NFC')",
    test: SUBJECTS,
  },
  {
    name: 'webhook: who is blocked by a label is blocked without it',
    file: 'src/webhooks/owner-queries.ts',
    find: "and o.found = 'owner') as who",
    replace: 'and false) as who',
    test: LABELS,
  },
  {
    name: 'webhook: a token that a webhook suspended is resumed by a role over any token',
    file: 'src/policy/suspension.ts',
    find: "tokens === 'any' || reason === 'owner'",
    replace: 'true',
    test: SUBJECTS,
  },
  {
    name: 'webhook: a former holder of a label is not touched',
    file: 'src/subjects/meant.ts',
    find: 'iif(is_carried, carries, minted or last_seen_at = last)',
    replace: 'true',
    test: LABELS,
  },
  {
    name: 'webhook: a label is kept up by what its holders do',
    file: 'src/audit/recorder.ts',
    find: 'const notes = note === null ? [] : [note];',
    replace: 'const notes: LabelNote[] = [];',
    test: LABELS,
  },
  {
    name: 'webhook: a label is nobody else’s whose label begins alike',
    file: 'src/subjects/labels.ts',
    find: '`sha256:${sha256HexSync(key)}`',
    replace: 'key.slice(0, ACTOR_LABEL_MAX_BYTES)',
    test: LABELS,
  },
  {
    name: 'webhook: a leaver whose label nobody knew is found by its JWT',
    file: 'src/tokens/mutation.ts',
    find: 'addLateOwner(database, subject.actor, startedAtMs);',
    replace: '[];',
    test: LABELS,
  },
  {
    name: 'webhook: whoever got a label after it was offboarded is not the leaver',
    file: 'src/subjects/late-owners.ts',
    find: 'and d.received_at >= ${issuedAtMs}',
    replace: 'and ${issuedAtMs} is not null',
    test: LABELS,
  },
  {
    name: 'webhook: a token has one order of a delivery',
    file: 'src/webhooks/order-queries.ts',
    find: " and ${isUnordered(deliveryId, 't')}",
    replace: '',
    test: MAKING,
  },
  {
    name: 'webhook: live tokens are ordered before expired ones',
    file: 'src/webhooks/order-queries.ts',
    find: ' order by rank limit ${limitRows}) as target',
    replace: ' order by t.rowid limit ${limitRows}) as target',
    test: MAKING,
  },
];

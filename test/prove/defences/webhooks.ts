import type { Defence } from '../defence.ts';

const ADAPTERS = 'test/webhooks/adapters';
const INTAKE = { file: 'src/webhooks/intake.ts', test: ['test/webhooks/intake.test.ts'] };
const LEAKS = ['test/webhooks/leaks.test.ts'];
const RETRY = ['test/webhooks/retry.test.ts'];
const DUPLICATES = ['test/webhooks/duplicates.test.ts'];
const DRIVER = ['test/webhooks/driver.test.ts'];
const SUBJECTS = ['test/webhooks/subjects.test.ts'];
const QUEUE = { file: 'src/webhooks/order-queue.ts', test: DRIVER };
const STATES = { file: 'src/webhooks/order-states.ts', test: ['test/webhooks/order-states.test.ts'] };
const LOOKS = ['test/webhooks/order-looks.test.ts'];
const PROOFS = ['test/webhooks/order-proofs.test.ts'];
const SENDING = { file: 'src/webhooks/order-sending.ts', test: PROOFS };
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
    find: "        and next_at <= ${nowMs} and ${isIn('state', states)}\n      order by",
    replace: "        and ${isIn('state', states)}\n      order by",
  },
  {
    ...QUEUE,
    name: 'webhook: while PipeOps says wait, nothing is due',
    find: ' and not ${isToldToWait(nowMs)}',
    replace: '',
  },
  {
    ...QUEUE,
    name: 'webhook: an order is done only if its row in the trail says so',
    find: 'revocation_orders.state = become.was and ${guard}',
    replace: 'revocation_orders.state = become.was',
  },
  {
    ...STATES,
    name: 'webhook: PipeOps’ quota ends a run',
    find: "  'upstream_unreachable',\n  'upstream_rate_limited',\n];",
    replace: "  'upstream_unreachable',\n];",
  },
  {
    name: 'webhook: a run that is over sends nothing more',
    file: 'src/webhooks/driver.ts',
    find: 'const move = await sender.send(order);\n      if (move.endsRun) run.end();',
    replace: 'const move = await sender.send(order);',
    test: DRIVER,
  },
  {
    ...STATES,
    name: 'webhook: pauses grow',
    find: 'ORDERS_BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1)',
    replace: 'ORDERS_BACKOFF_FIRST_MS',
  },
  {
    ...STATES,
    name: 'webhook: an order is given up after ORDERS_GIVE_UP_MS',
    find: 'if (nowMs - (order.begun_at ?? nowMs) >= ORDERS_GIVE_UP_MS)',
    replace: 'if (false)',
  },
  {
    ...STATES,
    name: 'webhook: a look that disagrees later reopens its order',
    find: 'if (look.begunAtMs - (order.acknowledged_at ?? 0) < CONTRADICTION_AFTER_MS) return agreed(order, look);',
    replace: 'return agreed(order, look);',
  },
  {
    ...STATES,
    name: 'webhook: a look confirms nothing while an update is under way beside the order',
    find: 'return afterUpdate(order, look) ?? agreed(confirmed, look);',
    replace: 'return agreed(confirmed, look);',
  },
  {
    name: 'webhook: absence from a list that is not complete proves nothing',
    file: 'src/webhooks/order-sight.ts',
    find: "isProofOfAbsence(list) && !isNoProof ? 'absent' : 'silent'",
    replace: "'absent'",
    test: ['test/webhooks/order-states.test.ts'],
  },
  {
    ...SENDING,
    name: 'webhook: 404 proves nothing while the workspace is not answered',
    find: "    if (look.kind !== 'listed') return unlisted(order, look);\n    const sight = sightOfListed(order, look);\n    const status",
    replace:
      "    if (look.kind !== 'listed') return endOf(order, 'already_gone', 404, begunAtMs, atMs());\n    const sight = sightOfListed(order, look);\n    const status",
  },
  {
    ...SENDING,
    name: 'webhook: a suspension whose own answer contradicts it is none',
    find: 'if (data.isActive === true)',
    replace: 'if (false)',
  },
  {
    ...SENDING,
    name: 'webhook: only a proven end spares the call',
    find: "if (order.ended_by === 'absent')",
    replace: "if (order.ended_by !== 'acknowledged' && order.known === 1)",
  },
  {
    name: 'webhook: a reopened order gives its token back its life',
    file: 'src/webhooks/order-writing.ts',
    find: '    reviveTokens(database, ids, nowMs),\n',
    replace: '',
    test: LOOKS,
  },
  {
    name: 'webhook: a contradiction is told once a token and day',
    file: 'src/webhooks/order-writing.ts',
    find: 'and e.occurred_at >= ${nowMs - (nowMs % DAY_MS)})',
    replace: 'and false)',
    test: LOOKS,
  },
  {
    name: 'cron: a job is done by one run at a time',
    file: 'src/job-leases.ts',
    find: 'return changed.ok && changed.value[0].length > 0;',
    replace: 'return true;',
    test: ['test/cron.test.ts'],
  },
  {
    name: 'cron: a job keeps to its share of D1 queries',
    file: 'src/budget.ts',
    find: 'trace.d1Queries - queriesBefore + d1Queries <= share.d1Queries && ',
    replace: '',
    test: ['test/cron.test.ts'],
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
    find: "isIn('state', SENT), isFree(nowMs), guard",
    replace: "isIn('state', SENT), guard",
    test: RETRY,
  },
  {
    name: 'webhook: what was given up is retried once',
    file: 'src/webhooks/retry.ts',
    find: '.set({ state: ORDER_STATE.retried, next_at: null, contradicted_at: null })',
    replace: '.set({ next_at: null })',
    test: RETRY,
  },
  {
    name: 'webhook: whoever is blocked changes nothing',
    file: 'src/tokens/mutation.ts',
    find: 'if (begun.value.blocked) return',
    replace: 'if (false) return',
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
    find: "label.normalize('NFC').toLowerCase()",
    replace: "label.normalize('NFC')",
    test: SUBJECTS,
  },
  {
    name: 'webhook: who is blocked by a label is blocked without it',
    file: 'src/webhooks/order-queries.ts',
    find: ' union ${owners}) as who',
    replace: ') as who',
    test: SUBJECTS,
  },
  {
    name: 'webhook: a token that a webhook suspended is resumed by a role over any token',
    file: 'src/policy/decide.ts',
    find: "return resumes && role.tokens !== 'any' ? 'suspended' : null;",
    replace: 'return null;',
    test: SUBJECTS,
  },
];

import type { Defence } from '../defence.ts';

/**
 * What keeps the promises of docs/security.md, by their numbers, where one small change of the syntax tree does not take it away. The
 * fifth is the triggers'.
 */
export const promiseDefences: readonly Defence[] = [
  // 1: deny by default
  {
    name: 'promise 1: one role allows the whole of a request',
    file: 'src/policy/decide.ts',
    find: 'const decision = judge(role, caller, sighted.value, context);',
    replace:
      'const decision = judge({ ...role, scopes: caller.roles.flatMap(({ scopes }) => scopes) }, caller, sighted.value, context);',
    test: ['test/policy/tokens.test.ts', 'test/policy/create.test.ts'],
  },
  {
    name: 'promise 1: shows what a single role shows, and no more',
    file: 'src/reads/list.ts',
    find: 'const shown = visibleTokens(caller, workspaceUuid, candidates);',
    replace: 'const shown = [...visibleTokens(caller, workspaceUuid, []), ...candidates];',
    test: ['test/inventory/reach.test.ts'],
  },
  {
    name: 'promise 1: symmetric algorithms are no choice',
    file: 'src/config/issuers.ts',
    find: `  'EdDSA',
] as const;`,
    replace: `  'EdDSA',
  'HS256',
] as const;`,
    test: ['test/config/policy.test.ts'],
  },
  // 2: no effect without a prior record, and none for whoever is blocked
  {
    name: 'promise 2: whoever is blocked reads nothing',
    file: 'src/trail/final-records.ts',
    find: 'countRead(database, row, not(isBarred(database, subject.actor)), room)',
    replace: 'countRead(database, row, sql`true`, room)',
    test: ['test/revocation/subjects.test.ts'],
  },
  {
    name: 'promise 2: a session that is over reads no list',
    file: 'src/reads/statements.ts',
    find: 'const IS_BARRED = sql`(${IS_BLOCKED} or ${IS_OVER})`;',
    replace: 'const IS_BARRED = sql`(${IS_BLOCKED} or ${IS_OVER} and 0)`;',
    test: ['test/security/session-routes.test.ts'],
  },
  {
    name: 'promise 2: a row that is altered in D1 is no session',
    file: 'src/subjects/bars.ts',
    find: "and x.subject = ${field('subject')}",
    replace: "and ${field('subject')} is not null",
    test: ['test/sessions/life.test.ts'],
  },
  {
    name: 'promise 2: it does not pass an order or a block',
    file: 'src/tokens/update.ts',
    find: 'const isBarred = isOvertaken(database, eventId, ref);',
    replace: 'const isBarred = eventId === ref.tokenId ? isOvertaken(database, eventId, ref) : sql`false`;',
    test: ['test/tokens/overtaken.test.ts'],
  },
  {
    name: 'promise 2: a scheduled order begins with its row',
    file: 'src/revocation/orders/beginning.ts',
    find: "on revocation_orders.id = e.value ->> '$.event.id' where ${isDue(nowMs)}`",
    replace: "on revocation_orders.id = e.value ->> '$.event.id' where ${isDue(nowMs)} and false`",
    test: ['test/revocation/orders/retirement.test.ts'],
  },
  // 3: no secret without a recorded outcome
  {
    name: 'promise 3: a secret whose row says otherwise is withheld',
    file: 'src/tokens/secret.ts',
    find: "if (settlement.kind === 'own') return ok(data);",
    replace: "if (settlement.kind !== 'unknown') return ok(data);",
    test: ['test/trail/reconcile/reconciliation.test.ts'],
  },
  {
    name: 'promise 3: a token that is withheld is revoked',
    file: 'src/tokens/secret.ts',
    find: 'let revoked = await pipeops.revoke(ref, call);',
    replace: "let revoked: Awaited<Upstream<'revoked'>> = { ok: true, value: { status: 200, data: 'revoked' } };",
    test: ['test/trail/recorder.test.ts'],
  },
  {
    name: 'promise 3: a rotation whose successor is withheld is taken back',
    file: 'src/tokens/secret.ts',
    find: '    ...undo(created),\n',
    replace: '',
    test: ['test/tokens/rotation-races.test.ts'],
  },
  {
    name: 'promise 3: a token that was ordered away meanwhile gets no successor',
    file: 'src/inventory/rotation.ts',
    find: 'and not ${IS_ORDERED})`;',
    replace: 'and not (false and ${IS_ORDERED}))`;',
    test: ['test/tokens/rotation-races.test.ts'],
  },
  // 4: nothing secret at rest or in sight
  {
    name: 'promise 4: D1 and the secret alone open nothing',
    file: 'src/idempotency/sealing.ts',
    find: 'hkdf(key,',
    replace: "hkdf('',",
    test: ['test/idempotency/sealing.test.ts'],
  },
  {
    name: 'promise 4: an answer is sealed for one caller and workspace',
    file: 'src/idempotency/sealing.ts',
    find: 'answer of ${keyHash}',
    replace: 'answer',
    test: ['test/idempotency/sealing.test.ts'],
  },
  {
    name: 'promise 4: a renewed credential opens only as the link of the chain that it is',
    file: 'src/credential/sealing.ts',
    find: 'opened !== null && canonicalJson(opened.header) === expected',
    replace: "opened !== null && expected !== ''",
    test: ['test/credential/settings.test.ts'],
  },
  {
    name: 'the renewal: one isolate presents a refresh token',
    file: 'src/credential/statements.ts',
    find: '.set(claim).where(isAs(seen))',
    replace: '.set(claim).where(eq(credentialChains.chain, seen.chain))',
    test: ['test/credential/renewal.test.ts'],
  },
  {
    name: 'the renewal: a refresh token that may be spent is not presented while there is an access token to lose',
    file: 'src/credential/chain.ts',
    find: "loss.because === 'outcome_unknown' && hasEnded",
    replace: "loss.because === 'outcome_unknown'",
    test: ['test/credential/killed.test.ts'],
  },
  {
    name: 'promise 4: what invisible characters hide',
    file: 'src/kit/redaction.ts',
    find: 'const seen = withoutInvisible(text);',
    replace: 'const seen = withoutInvisible(text) && text;',
    test: ['test/kit/redaction.test.ts'],
  },
  {
    name: 'promise 4: what a bug says goes nowhere',
    file: 'src/http/answer.ts',
    find: 'name: error.name,',
    replace: 'name: String(error),',
    test: ['test/http/request-context.test.ts'],
  },
  // 6: an accepted webhook takes effect exactly once
  {
    name: 'promise 6: a delivery of Standard Webhooks is signed',
    file: 'src/revocation/senders/standard.ts',
    find: 'if (reason !== null) return rejected(reason);',
    replace: '',
    test: ['test/revocation/senders/standard.test.ts'],
  },
  {
    name: 'promise 6: a leak that repeats another is none',
    file: 'src/revocation/deliveries/acceptance.ts',
    find: 'sql`not ${isThere(before.same)}`',
    replace: 'sql`true`',
    test: ['test/revocation/deliveries/duplicates.test.ts'],
  },
  {
    name: 'promise 6: an order is sent by one driver at a time',
    file: 'src/config/webhook-limits.ts',
    find: 'export const ORDERS_LEASE_MS = 60_000;',
    replace: 'export const ORDERS_LEASE_MS = 0;',
    test: ['test/revocation/orders/driver.test.ts'],
  },
  // 7: our failures are not the caller’s
  {
    name: 'promise 7: redirects are not followed',
    file: 'src/pipeops/client.ts',
    find: "redirect: 'manual',",
    replace: "redirect: 'follow',",
    test: ['test/pipeops/hostile-answers.test.ts', 'test/pipeops/requests.test.ts', 'test/pipeops/simulator.test.ts'],
  },
  {
    name: 'promise 7: a connection that hangs is given up',
    file: 'src/pipeops/client.ts',
    find: 'return ok(await untilAborted(answer, signal));',
    replace: 'return ok(await answer);',
    hangs: true,
    test: ['test/pipeops/deadlines.test.ts'],
  },
  {
    name: 'promise 7: each credential is tried once',
    file: 'src/pipeops/client.ts',
    find: 'credentials.inOrder().filter(({ id }) => !tried.has(id));',
    replace: 'credentials.inOrder();',
    test: ['test/pipeops/credentials.test.ts'],
  },
  // 8: a retried create mints once
  {
    name: 'promise 8: a create is never repeated',
    file: 'src/pipeops/client.ts',
    find: "if (method === 'POST') return 0;",
    replace: '',
    test: ['test/pipeops/retries.test.ts'],
  },
  {
    name: 'promise 8: one create holds a key',
    file: 'src/idempotency/keys.ts',
    find: 'where not exists (${holders}) and ${guard}`)',
    replace: 'where true or ${guard}`).onConflictDoUpdate({ target: idempotencyKeys.key_hash, set: claim })',
    test: ['test/idempotency/concurrency.test.ts'],
  },
  {
    name: 'promise 8: one rotation claims a token',
    file: 'src/inventory/rotation.ts',
    find: "(${tokens.rotation_event_id} is null or ${statusOfRotation} = 'failure')",
    replace: "(true or ${statusOfRotation} = 'failure')",
    test: ['test/tokens/rotation-races.test.ts'],
  },
  // 9: reading the trail is in the trail
  {
    name: 'promise 9: each has a row of its own',
    file: 'src/trail/query/export.ts',
    find: 'await recorder.record(',
    replace: 'await recorder.recordRead(',
    test: ['test/trail/query/export.test.ts'],
  },
  // 10: unsettled is visible
  {
    name: 'promise 10: an outcome that nobody knows leaves the row open',
    file: 'src/tokens/trip-two.ts',
    find: 'if (isOutcomeUnknown(failure)) {',
    replace: 'if (false) {',
    test: ['test/faults/creates.test.ts', 'test/faults/changes.test.ts'],
  },
  {
    name: 'promise 10: a part of a list is shown as a part',
    file: 'src/reads/list.ts',
    find: 'isPartial: !snapshot.list.complete',
    replace: 'isPartial: false',
    test: ['test/reads/partial-lists.test.ts'],
  },
];

import type { Defence } from '../defence.ts';

const FAULTS = ['test/faults/creates.test.ts', 'test/faults/changes.test.ts', 'test/faults/webhooks.test.ts'];
const RECONCILIATION = [
  'test/audit/reconciliation.test.ts',
  'test/audit/reconciliation-creates.test.ts',
  'test/audit/reconciliation-changes.test.ts',
];
const RECORDER = { file: 'src/audit/recorder.ts', test: FAULTS };
const JUDGEMENT = { file: 'src/audit/judgement.ts', test: ['test/audit/judgement.test.ts'] };
const RECONCILER = { file: 'src/audit/reconciliation.ts', test: RECONCILIATION };
const REJECTIONS = { file: 'src/audit/rejections.ts', test: ['test/audit/rejections.test.ts'] };

const COUNTED = { file: 'src/audit/counted-reads.ts', test: ['test/audit/counted-reads.test.ts'] };

/** What makes the trail true: no effect without a record, no secret without a settled one. */
export const recordDefences: readonly Defence[] = [
  {
    ...RECORDER,
    name: 'record: without an attempted row nothing is sent to PipeOps',
    find: '    insert,\n    ...noting(database, notes, nowMs),\n  ] as const;\n  const committed = await database.batch(context, queries);',
    replace:
      '    insert,\n  ] as const;\n  const committed = { value: [[]], ...(await database.batch(context, queries)), ok: true as const };',
  },
  {
    ...RECORDER,
    name: 'record: a read that is not recorded is not answered',
    find: 'const queries = [count, ...alongside, inserted, ...noting(database, notes, nowMs)] as const;\n  const committed = await database.batch(context, queries);',
    replace:
      'const queries = [count, ...alongside, inserted] as const;\n  const committed = { value: [[{ id: eventId }], ...alongside.map(() => []), []], ...(await database.batch(context, queries)), ok: true as const };',
  },
  {
    ...RECORDER,
    name: 'record: only an open row is settled',
    file: 'src/audit/event-queries.ts',
    find: "const isThisAttempt = and(isThisEvent, eq(auditEvents.status, 'attempted'));",
    replace: 'const isThisAttempt = isThisEvent;',
    test: RECONCILIATION,
  },
  {
    ...RECORDER,
    name: 'record: a settlement counts when it is read back',
    find: "if (isCarriedBy(row, columns)) return { kind: 'own' };",
    replace: "return { kind: 'own' };",
    test: RECONCILIATION,
  },
  {
    ...RECORDER,
    name: 'record: the inventory follows the row that carries the outcome',
    find: '.where(and(thisRow, carries(columns))),',
    replace: '.where(thisRow),',
    test: RECONCILIATION,
  },
  {
    ...RECORDER,
    name: 'record: a denial that is not recorded is not told',
    find: '...noting(database, notes, nowMs), ...late] as const;\n  const committed = await database.batch(context, queries);',
    replace:
      '] as const;\n  const committed = { value: [...alongside.map(() => []), [{ id: eventId }]], ...(await database.batch(context, queries)), ok: true as const };',
    test: ['test/tokens/denials.test.ts'],
  },
  {
    ...RECORDER,
    name: 'record: a batch whose fate is unknown is repeated',
    file: 'src/audit/repeating.ts',
    find: 'if (sent.ok) return ok(sent.value);',
    replace: "return sent.ok ? ok(sent.value) : err('unknown');",
    test: ['test/audit/recorder.test.ts'],
  },
  {
    ...COUNTED,
    name: 'counted reads: those of two callers are two rows',
    find: '    actor_subject,\n    // A leaver',
    replace: '    // A leaver',
  },
  {
    ...COUNTED,
    name: 'counted reads: those of two tokens are two rows',
    find: '    token_id,\n    detail,',
    replace: '    detail,',
  },
  {
    ...COUNTED,
    name: 'counted reads: two outcomes are two rows',
    find: '    outcome,\n    minute,',
    replace: '    minute,',
  },
  {
    name: 'record: D1 has D1_TIMEOUT_MS to answer',
    hangs: true,
    file: 'src/db/database.ts',
    find: 'await untilAborted(d1.batch(statements), deadline)',
    replace: 'await d1.batch(statements)',
    test: ['test/audit/recorder.test.ts'],
  },
  {
    name: 'record: labels are redacted',
    file: 'src/audit/events.ts',
    find: 'cutToBytes(redact(text), maxBytes)',
    replace: 'cutToBytes(text, maxBytes)',
    test: ['test/audit/recorder.test.ts'],
  },
  {
    name: 'record: user agents are redacted',
    file: 'src/http/request-context.ts',
    find: "redact(text.replace(UNPRINTABLE, ' '))",
    replace: "text.replace(UNPRINTABLE, ' ')",
    test: ['test/http/request-context.test.ts'],
  },
  {
    name: 'redaction: service account tokens',
    file: 'src/text/redaction.ts',
    find: 'text.replace(SERVICE_ACCOUNT_TOKEN, REDACTED).replace(',
    replace: 'text.replace(',
    test: ['test/text/redaction.test.ts'],
  },
  {
    name: 'redaction: JWTs',
    file: 'src/text/redaction.ts',
    find: 'return index < 0 ? run : run.slice(0, index) + REDACTED;',
    replace: 'return index < 0 ? run : run;',
    test: ['test/text/redaction.test.ts'],
  },
  {
    name: 'redaction: JWTs that are written with spaces',
    file: 'src/text/redaction.ts',
    find: 'plain : jsonObjectIndex(word)',
    replace: 'plain : jsonObjectIndex(word) && -1',
    test: ['test/text/redaction.test.ts'],
  },
  {
    name: 'redaction: what invisible characters hide',
    file: 'src/text/redaction.ts',
    find: 'const seen = withoutInvisible(text);',
    replace: 'const seen = withoutInvisible(text) && text;',
    test: ['test/text/redaction.test.ts'],
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a create is recognised by its marker alone',
    find: 'row.marker !== null && markerOf(token.name) === row.marker',
    replace: 'stripMarker(token.name) === row.token_name',
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a list that is not complete proves no absence',
    find: 'isNoProof || !namesAreReturned ||',
    replace: '!namesAreReturned ||',
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a list without any marker proves no absence',
    find: 'isNoProof || !namesAreReturned ||',
    replace: 'isNoProof ||',
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a token whose name may be cut keeps its create open',
    find: ' || list.tokens.some((token) => mayBeCut(row, token))',
    replace: '',
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: one list proves no absence',
    find: "if (finding === 'gone') return { verdict: 'settle', outcome: settledAs('not_applied') };",
    replace: "if (finding !== 'too_early') return { verdict: 'settle', outcome: settledAs('not_applied') };",
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a later change makes an update unknown',
    find: "return row.later_change === 'settled'",
    replace: 'return false',
  },
  {
    ...RECONCILER,
    name: 'reconciliation: a 404 says nothing while the workspace is not answered',
    file: 'src/audit/reconciliation-looks.ts',
    find: "if (look === null) return { kind: 'unknown' };",
    replace: "if (look === null) return { kind: 'gone' };",
  },
  {
    ...RECONCILER,
    name: 'reconciliation: a resume does not stand against what came after it',
    file: 'src/audit/settlement.ts',
    find: 'settleAs(undone, isOvertaken(database, row.id, ref)),',
    replace: 'settleAs(undone, sql`false`),',
  },
  {
    ...RECONCILER,
    name: 'reconciliation: what an order drives is left to it',
    file: 'src/audit/review-queue.ts',
    find: 'sql`not exists (select 1 from revocation_orders as o where o.id = ${auditEvents.id})`,',
    replace: '',
  },
  {
    ...RECONCILER,
    name: 'reconciliation: what it revoked is looked at',
    file: 'src/audit/undelivered.ts',
    find: 'return [insertEventWhere(database, row, guard), insertOrder(database, order, guard)];',
    replace: 'return [insertEventWhere(database, row, guard)];',
  },
  {
    ...RECONCILER,
    name: 'reconciliation: a request that may still be answered is left alone',
    file: 'src/audit/review-queue.ts',
    find: 'lte(auditEvents.occurred_at, oldEnoughMs),',
    replace: 'lte(auditEvents.occurred_at, nowMs),',
  },
  {
    ...JUDGEMENT,
    name: 'reconciliation: a compensating revoke is driven to its end',
    find: "return row.actor_type === 'system'",
    replace: 'return false',
    test: ['test/audit/recorder.test.ts'],
  },
  {
    ...RECONCILER,
    name: 'reconciliation: no two runs look into one attempt',
    file: 'src/audit/review-queue.ts',
    find: 'and(isOpen, isDue)',
    replace: 'and(isOpen)',
  },
  {
    ...RECONCILER,
    name: 'reconciliation: the row stays open until its token is revoked',
    file: 'src/audit/settlement.ts',
    find: 'if (!revoked.ok) return false;',
    replace: 'if (!revoked.ok) return await settle(dependencies, context, row, outcome, () => []);',
  },
  {
    ...RECONCILER,
    name: 'sweep: only a token whose create failed is revoked',
    file: 'src/audit/undelivered.ts',
    find: "and a.status = 'failure' and",
    replace: 'and',
  },
  {
    ...RECONCILER,
    name: 'sweep: a marker counts in its own workspace',
    file: 'src/audit/undelivered.ts',
    find: 'sql`a.workspace_uuid = ${workspaceUuid} and',
    replace: 'sql`${workspaceUuid} is not null and',
  },
  {
    ...RECONCILER,
    name: 'sweep: what is ordered already is not ordered again',
    file: 'src/audit/undelivered.ts',
    find: 'sql`not ${isOrdered}`',
    replace: 'sql`true`',
  },
  {
    ...REJECTIONS,
    name: 'rejections: rows are limited by address',
    find: 'return perAddress.success && (',
    replace: 'return (perAddress.success || true) && (',
  },
  {
    ...REJECTIONS,
    name: 'rejections: rows are limited in all',
    find: "(await rateLimits.rejectionsInAll.limit({ key: 'all' })).success",
    replace: 'rateLimits.rejectionsInAll !== undefined',
  },
  {
    ...REJECTIONS,
    name: 'rejections: an address is a /64',
    find: 'limit({ key: addressGroup(context.ip) })',
    replace: "limit({ key: addressGroup(null) + (context.ip ?? '') })",
  },
  {
    name: 'rejections: no unverified claim is stored but an issuer of ours',
    file: 'src/identity/authenticator.ts',
    find: "policy.error === 'wrong_header' ? String(unverified.value.claims['iss']) : undefined",
    replace: "String(unverified.value.claims['iss'])",
    test: ['test/audit/rejections.test.ts'],
  },
];

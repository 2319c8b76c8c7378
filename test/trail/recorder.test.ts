import { describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import type { Failure } from '../../src/failures.ts';
import {
  actorOf,
  attemptedRow,
  eventSubject,
  failureOutcome,
  finalRow,
  successOutcome,
  SYSTEM_ACTOR,
} from '../../src/trail/event.ts';
import { callerWith, role } from '../policy/builders.ts';
import {
  ACTOR_LABEL_MAX_BYTES,
  D1_TIMEOUT_MS,
  RECONCILE_AFTER_DEFAULT_SECONDS,
  SETTLE_ATTEMPT_TIMEOUT_MS,
  SETTLE_MAX_ATTEMPTS,
} from '../../src/config/limits.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { createHarness, TOKENS } from '../support/harness.ts';
import { ordersOf } from '../revocation/harness.ts';

// What happens to a create when D1 fails. Batch 1 records the attempt, and those after it try to settle it.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };
const never = async () => await new Promise<never>(() => {});
/** Makes deadlines of these lengths pass as soon as they are set, so that no test sleeps. */
const passed = (...lengthsMs: number[]) => ({
  sleep: async () => {},
  timeout: (ms: number) => (lengthsMs.includes(ms) ? AbortSignal.timeout(1) : new AbortController().signal),
});

it.each<[Failure, number | null, object]>([
  [{ kind: 'audit_unavailable' }, null, {}],
  [{ kind: 'upstream_error', status: 503 }, 503, {}],
  [{ kind: 'token_not_found', reason: 'unknown' }, null, { reason: 'unknown' }],
  [{ kind: 'upstream_disobeyed', status: 200, detail: { disobeyed: true } }, 200, { disobeyed: true }],
  [{ kind: 'upstream_timeout' }, null, {}],
  [{ kind: 'token_limit_reached', limit: 5 }, null, { max_tokens: 5 }],
  [{ kind: 'idempotency_in_flight', heldBy: 'event-1' }, null, { idempotent_of: 'event-1' }],
])('the outcome of a failure tells what there is to tell: %j', (failure, upstreamStatus, detail) => {
  expect(failureOutcome(failure)).toStrictEqual({
    status: 'failure',
    upstreamStatus,
    errorCode: expect.any(String),
    detail,
  });
});

it('a row has null where there is nothing to say', () => {
  const origin = { requestId: 'r-1', ip: null, userAgent: null, policyVersion: '0000000000000000' };
  const row = finalRow('event-1', 1, origin, eventSubject('status.read', SYSTEM_ACTOR), successOutcome(null));
  expect(row).toMatchObject({
    marker: null,
    token_id: null,
    token_name: null,
    workspace_uuid: null,
    upstream_status: null,
  });
});

it.each([
  [1_700_000_000, 1_700_000_000_000],
  ['1700000000', null],
  [undefined, null],
])('an actor is as old as the JWT that names it: iat %j', (iat, issuedAtMs) => {
  expect(actorOf({ ...callerWith(role()), claims: { iat } }).issuedAtMs).toBe(issuedAtMs);
});

describe('an attempt that D1 does not take', () => {
  it.each([
    ['since it fails', undefined],
    ['since it never answers', never],
  ])('%s: PipeOps is not asked', async (_case, fail) => {
    const { db } = failingBatches((batch) => batch === 1, fail);
    const harness = await createHarness({ db, runtime: passed(D1_TIMEOUT_MS) });
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(await harness.upstream()).toEqual([]);
  });
});

describe('a settlement that D1 does not take', () => {
  it.each([
    ['fails', 1, undefined],
    ['fails', SETTLE_MAX_ATTEMPTS - 1, undefined],
  ] as const)(
    'at once, since it %s %i times, is repeated, and the secret is handed out',
    async (_case, times, fail) => {
      const { db, sent } = failingBatches((batch) => batch > 1 && batch <= 1 + times, fail);
      const harness = await createHarness({ db, runtime: passed() });
      expect((await harness.send('POST', TOKENS, CREATE)).status).toBe(201);
      expect(sent()).toBe(2 + times);
      expect(await harness.rows()).toMatchObject([{ status: 'success' }]);
    },
  );

  it.each([
    ['since it fails', undefined],
    ['since it never answers', never],
  ])('ever, %s: the secret is withheld and the token revoked', async (_case, fail) => {
    const { db } = failingBatches((batch) => batch > 1, fail);
    const harness = await createHarness({ db, runtime: passed(SETTLE_ATTEMPT_TIMEOUT_MS) });
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(answer.text).not.toContain('sat_');
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
    expect(await harness.rows()).toMatchObject([{ status: 'attempted' }]);
    expect(await harness.inventory()).toEqual([]);
  });
});

describe('a token whose secret was withheld', () => {
  const createDespite = async (revokeStatus?: number) => {
    const { db } = failingBatches((batch) => batch > 1 && batch <= 1 + SETTLE_MAX_ATTEMPTS);
    const harness = await createHarness({ db, runtime: passed() });
    const match = { credential: harness.credential, method: 'DELETE' };
    if (revokeStatus !== undefined) await harness.control.fault({ status: revokeStatus, match });
    expect((await harness.send('POST', TOKENS, CREATE)).status).toBe(503);
    return harness;
  };

  it('and that is revoked settles its create as undelivered, once D1 is back', async () => {
    const harness = await createDespite();
    const [create, revoke] = await harness.rows();
    expect(create).toMatchObject({ status: 'failure', error_code: 'undelivered' });
    expect(revoke).toMatchObject({ action: 'service_account_token.revoke', actor_type: 'system', status: 'success' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
    expect(await ordersOf(harness)).toMatchObject([{ id: revoke?.id, state: 'acknowledged' }]);
  });

  it.each([500, 404])('and that PipeOps did not revoke (%i) is left to an order, whose row is open', async (status) => {
    const harness = await createDespite(status);
    const [create, revoke] = await harness.rows();
    expect(create).toMatchObject({ status: 'failure', error_code: 'undelivered', token_id: revoke?.token_id });
    expect(revoke).toMatchObject({
      action: 'service_account_token.revoke',
      actor_type: 'system',
      status: 'attempted',
    });
    expect(await ordersOf(harness)).toMatchObject([
      { id: revoke?.id, cause: 'system', mode: 'revoke', state: 'open', token_id: revoke?.token_id },
    ]);
  });
});

describe('a settlement that D1 takes and never confirms', () => {
  const loseAnswers = async (commit: () => Promise<unknown>): Promise<never> => {
    await commit();
    throw new Error('injected: the answer was lost');
  };
  const AGE_MS = (RECONCILE_AFTER_DEFAULT_SECONDS + 1) * 1000;
  const createWith = async (revokeStatus?: number) => {
    let skewMs = 0;
    const { db } = failingBatches((batch) => batch > 1 && batch <= 1 + SETTLE_MAX_ATTEMPTS, loseAnswers);
    const harness = await createHarness({ db, runtime: { ...passed(), now: () => Date.now() + skewMs } });
    const match = { credential: harness.credential, method: 'DELETE' };
    if (revokeStatus !== undefined) await harness.control.fault({ status: revokeStatus, match });
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(answer.text).not.toContain('sat_');
    const reconcile = async () => {
      skewMs += AGE_MS;
      await harness.cron();
    };
    return { harness, reconcile };
  };
  const REVOKE = { action: 'service_account_token.revoke', actor_type: 'system' };

  it('leaves a create that says success, and a revoke by the system beside it', async () => {
    const { harness } = await createWith();
    const [create, revoke] = await harness.rows();
    expect(create).toMatchObject({ action: 'service_account_token.create', status: 'success' });
    expect(revoke).toMatchObject({ ...REVOKE, status: 'success', token_id: create?.token_id });
    expect(askedIn(revoke)).toEqual({ undelivered_create: create?.id });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
    expect(await harness.inventory()).toMatchObject([{ revoked_at: expect.any(Number) }]);
  });

  it('and whose token PipeOps does not revoke leaves that to reconciliation', async () => {
    const { harness, reconcile } = await createWith(500);
    expect((await harness.rows())[1]).toMatchObject({ ...REVOKE, status: 'attempted' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: false }]);
    await reconcile();
    expect((await harness.rows())[1]).toMatchObject({ ...REVOKE, status: 'success' });
    expect(await harness.upstreamTokens()).toMatchObject([{ is_revoked: true }]);
  });
});

it('a label is stored up to the cap of its column, and is cut at the end of a code point', () => {
  const start = 'x'.repeat(ACTOR_LABEL_MAX_BYTES - 3);
  const actor = { type: 'user', issuer: 'i', subject: 's', label: `${start}🙂` } as const;
  const subject = {
    action: 'audit.query',
    actor,
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  const row = attemptedRow('id', 1, { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v' }, subject);
  expect(row.actor_label).toBe(start);
});

it('a secret in the text of an actor is redacted before it is stored', () => {
  const secret = 'sat_0123456789abcdef';
  const actor = { type: 'user', issuer: `i ${secret}`, subject: `s ${secret}`, label: `l ${secret}` } as const;
  const subject = {
    action: 'audit.query',
    actor,
    workspaceUuid: null,
    tokenId: null,
    tokenName: null,
    detail: {},
  } as const;
  expect(
    attemptedRow('id', 1, { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v' }, subject),
  ).toMatchObject({
    actor_issuer: 'i [redacted]',
    actor_subject: 's [redacted]',
    actor_label: 'l [redacted]',
  });
});

import { describe, expect, it } from 'vitest';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { createRenewingHarness, LOST, type RenewingHarness } from './harness.ts';

// What an exchange that gives nothing means, whether its refresh token is presented again, and what a person is told.

const onExchange = async (h: RenewingHarness, fault: Fault): Promise<void> =>
  await h.control.fault({ ...fault, match: { client_id: h.clientId, method: 'POST' } });

/** A harness whose refresh token was presented once, and met this. */
async function after(fault: Fault): Promise<RenewingHarness> {
  const h = await createRenewingHarness();
  await h.untilDue();
  await onExchange(h, fault);
  await h.cron();
  return h;
}

describe('an exchange whose outcome is unknown', () => {
  const unknown: readonly (readonly [string, Fault, string])[] = [
    ['whose answer is lost', { drop: 'after_commit' }, 'upstream_unreachable'],
    ['that may not have arrived', { drop: 'before_commit' }, 'upstream_unreachable'],
    ['answered 502', { status: 502 }, 'upstream_error'],
    ['answered 504, though it was carried out', { status: 504, commit: true }, 'upstream_error'],
    ['answered 408', { status: 408 }, 'upstream_error'],
    ['answered with half a body', { truncate_body: true }, 'upstream_invalid_response'],
    ['answered with a page', { html: true, commit: true }, 'upstream_invalid_response'],
    ['answered without a token', { body: { token_type: 'Bearer' }, commit: true }, 'upstream_invalid_response'],
    ['answered with a service token', { body: { access_token: 'sat_abcdefgh' } }, 'upstream_invalid_response'],
    ['answered with a token that no header carries', { body: { access_token: 'a\nb' } }, 'upstream_invalid_response'],
    ['redirected', { redirect: 'https://elsewhere.example/' }, 'upstream_invalid_response'],
  ];

  it.each(unknown)('%s: is told at once, and not presented again', async (_, fault, reason) => {
    const h = await after(fault);
    const [row] = await h.rows();
    expect(row).toMatchObject({ status: 'failure', error_code: 'outcome_unknown' });
    expect(JSON.parse(row?.outcome ?? '')).toEqual({ reason });
    expect(await h.degraded()).toContain(LOST);
    expect(await h.chain()).toMatchObject({ counter: 0, lost: 'outcome_unknown', attempt_id: row?.id, failed: reason });

    h.age(6);
    await h.cron();
    expect((await h.list()).status).toBe(200);
    expect(await h.presented()).toHaveLength(1);
  });

  it('names the event, the cause and the next step in the status', async () => {
    const h = await after({ status: 503 });
    const { credential_renewal: renewal, degraded } = await h.status();
    const [row] = await h.rows();
    expect(renewal).toMatchObject({
      renewals: 0,
      last_error: 'upstream_error',
      lost: { because: 'outcome_unknown', event_id: row?.id, since: expect.stringMatching(/Z$/) },
    });
    expect(degraded).toContainEqual(
      expect.objectContaining({
        reason: LOST,
        because: 'outcome_unknown',
        what_to_do: expect.stringContaining('secret bulk'),
      }),
    );
  });

  it('is presented again once the access token has ended, and goes on if PipeOps had not seen it', async () => {
    const h = await after({ status: 503 });
    h.untilEnded();
    await h.cron();
    expect((await h.rows()).map(({ status }) => status)).toEqual(['failure', 'success']);
    expect(JSON.parse((await h.rows())[1]?.detail ?? '')).toMatchObject({ because: 'ended' });
    expect(await h.degraded()).not.toContain(LOST);
    expect((await h.list()).status).toBe(200);
  });

  it('is presented again when PipeOps refuses the access token, which has ended then', async () => {
    const h = await after({ status: 503 });
    await h.control.endSession(h.tokens.access_token);
    h.age(6);
    expect((await h.list()).status).toBe(200);
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
  });

  it('is presented every five minutes through an outage that outlasts the access token', async () => {
    const h = await after({ status: 503 });
    h.untilEnded();
    for (let tries = 0; tries < 2; tries += 1) {
      await onExchange(h, { status: 503 });
      await h.cron();
      await h.cron();
      h.age(6);
    }
    expect(await h.presented()).toHaveLength(3);
    await h.cron();
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
    expect(await h.degraded()).not.toContain(LOST);
  });

  it('ends the session where PipeOps had seen it, which is final', async () => {
    const h = await after({ drop: 'after_commit' });
    h.untilEnded();
    for (let runs = 0; runs < 3; runs += 1) {
      await h.cron();
      h.age(10);
    }
    expect(await h.presented()).toHaveLength(2);
    expect(await h.chain()).toMatchObject({ lost: 'refused' });
    expect(await h.degraded()).toContain(LOST);
  });
});

describe('a refresh token that PipeOps refuses', () => {
  it.each<[string, Fault]>([
    ['with invalid_grant', { status: 400, body: { error: 'invalid_grant' } }],
    ['with 401 in its own envelope', { status: 401, body: { status: 'error', message: 'Invalid refresh token' } }],
  ])('%s is lost, and not presented again', async (_, fault) => {
    const h = await after(fault);
    expect((await h.rows())[0]).toMatchObject({ status: 'failure', error_code: 'upstream_credential_rejected' });
    expect(await h.degraded()).toContain(LOST);
    h.untilEnded();
    await h.cron();
    await h.list();
    expect(await h.presented()).toHaveLength(1);
  });

  it('since it has expired is refused in the same way', async () => {
    const h = await createRenewingHarness({ session: { refresh_expires_in: 1 } });
    await h.control.fault({ match: { client_id: h.clientId, method: 'POST' }, delay_ms: 1_100 });
    await h.untilDue();
    await h.cron();
    expect(await h.chain()).toMatchObject({ lost: 'refused', failed: 'upstream_credential_rejected' });
  });
});

describe('an exchange that PipeOps has not looked at', () => {
  it.each<[string, Fault, string, object]>([
    ['429', { status: 429, headers: { 'Retry-After': '1' } }, 'upstream_rate_limited', {}],
    ['403', { status: 403 }, 'upstream_forbidden', {}],
    ['404 of a gateway', { status: 404, html: true }, 'upstream_invalid_response', {}],
    ['400 of a gateway', { status: 400, html: true }, 'upstream_rejected', {}],
    [
      'invalid_client',
      { status: 401, body: { error: 'invalid_client' } },
      'upstream_rejected',
      { oauth_error: 'invalid_client' },
    ],
    [
      'unauthorized_client',
      { status: 400, body: { error: 'unauthorized_client' } },
      'upstream_rejected',
      { oauth_error: 'unauthorized_client' },
    ],
  ])('%s: is tried again, five minutes later', async (_, fault, code, outcome) => {
    const h = await after(fault);
    const [row] = await h.rows();
    expect(row).toMatchObject({ status: 'failure', error_code: code });
    expect(JSON.parse(row?.outcome ?? '')).toEqual(outcome);
    expect(await h.degraded()).not.toContain(LOST);
    h.age(4);
    await h.cron();
    expect(await h.presented()).toHaveLength(1);
    h.age(2);
    await h.cron();
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
    expect(await h.chain()).toMatchObject({ counter: 1, failed: null });
  });

  it('and that goes on failing is about to end', async () => {
    const h = await after({ status: 429 });
    expect(await h.degraded()).not.toContain('admin_credential_expiring');
    h.age(11);
    expect(await h.degraded()).toContain('admin_credential_expiring');
  });
});

describe('a credential that renews itself', () => {
  it('is not about to end, however short it lives', async () => {
    const h = await createRenewingHarness();
    expect(await h.degraded()).not.toContain('admin_credential_expiring');
    await h.untilDue();
    await h.cron();
    expect(await h.degraded()).toEqual([]);
    expect((await h.status()).credential_renewal).toMatchObject({ renewals: 1, lost: null, last_error: null });
    expect((await h.status()).credentials.map(({ name }: { name: string }) => name)).toEqual([
      'PIPEOPS_REFRESH_TOKEN',
      'PIPEOPS_ADMIN_TOKEN',
    ]);
  });
});

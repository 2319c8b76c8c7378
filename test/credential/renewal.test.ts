import { describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createRenewingHarness } from './harness.ts';

// The admin credential renews itself: when, by whom, and what is recorded of it.

/** What so many have to reach before any of them goes on. */
function gate(count: number): () => Promise<void> {
  let waiting = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  return async () => {
    waiting += 1;
    if (waiting >= count) resolve();
    await promise;
  };
}

describe('at four fifths of its life', () => {
  it('the cron renews it: recorded before, settled after, and used from then on', async () => {
    const h = await createRenewingHarness();
    await h.untilDue();
    h.age(-2);
    await h.cron();
    expect(await h.presented()).toEqual([]);
    h.age(2);
    await h.cron();

    const [row] = await h.rows();
    expect(await h.rows()).toHaveLength(1);
    expect(row).toMatchObject({
      action: 'credential.renew',
      status: 'success',
      actor_type: 'system',
      upstream_status: 200,
      error_code: null,
      workspace_uuid: null,
    });
    expect(askedIn(row)).toEqual({ because: 'due', counter: 1 });
    expect(JSON.parse(row?.outcome ?? '')).toEqual({ expires_at: expect.stringMatching(/Z$/), rotated: true });
    const [sent] = await h.presented();
    expect(sent).toMatchObject({
      event_id: row?.id,
      body: { grant_type: 'refresh_token', refresh_token: h.tokens.refresh_token, client_id: h.clientId },
    });
    expect(sent?.headers).not.toHaveProperty('authorization');

    const [session] = await h.sessions();
    expect((await h.list()).status).toBe(200);
    expect((await h.used()).at(-1)).toBe(session?.access_tokens[1]);
    expect(await h.chain()).toMatchObject({ counter: 1, attempt_id: null, failed: null, lost: null });
  });

  it('and its successor after it, each once', async () => {
    const h = await createRenewingHarness();
    for (const renewals of [1, 2, 3]) {
      await h.untilDue();
      await h.cron();
      await h.cron();
      expect(await h.sessions()).toMatchObject([{ exchanges: renewals, is_ended: false }]);
    }
    expect((await h.rows()).map(({ status }) => status)).toEqual(['success', 'success', 'success']);
  });

  it('a refresh token that PipeOps does not rotate is presented again', async () => {
    const h = await createRenewingHarness({ session: { rotates: false } });
    for (const _ of [1, 2]) {
      await h.untilDue();
      await h.cron();
    }
    expect(await h.sessions()).toMatchObject([{ exchanges: 2, refresh_tokens: [h.tokens.refresh_token] }]);
    expect(JSON.parse((await h.rows())[1]?.outcome ?? '')).toMatchObject({ rotated: false });
  });

  it('a client with a secret sends it in a form', async () => {
    const h = await createRenewingHarness({
      session: { client_secret: 'the-secret-of-the-client' },
      env: { PIPEOPS_CLIENT_SECRET: 'the-secret-of-the-client' },
    });
    await h.untilDue();
    await h.cron();
    const [sent] = await h.presented();
    expect(sent?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
  });

  it('nothing is presented while the endpoint does not answer: an outage costs no refresh token', async () => {
    const h = await createRenewingHarness();
    await h.untilDue();
    await h.control.fault({ match: { client_id: h.clientId, method: 'POST' }, status: 500 });
    await h.control.fault({ match: { path_contains: '/oauth/token', method: 'GET' }, status: 503 });
    await h.cron();
    expect([await h.presented(), await h.rows()]).toEqual([[], []]);
    expect(h.lines).toContainEqual(expect.objectContaining({ event: 'credential_renewal_postponed', because: 'due' }));
    await h.control.clearFaults({ client_id: h.clientId });
    await h.cron();
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
  });
});

describe.each([
  ['419, which means that the session has ended', 'ended'],
  ['401', 'unauthorised'],
])('on %s', (_, how) => {
  const refuse = async (h: Awaited<ReturnType<typeof createRenewingHarness>>) => {
    if (how === 'ended') return await h.control.endSession(h.tokens.access_token);
    await h.control.fault({ match: { credential: h.tokens.access_token }, status: 401, times: 50 });
  };

  it('the request that meets it renews the credential, waits for that, and is answered', async () => {
    const h = await createRenewingHarness();
    await refuse(h);
    expect((await h.list()).status).toBe(200);
    expect(askedIn((await h.rows())[0])).toEqual({ because: 'refused', counter: 1 });
    const [session] = await h.sessions();
    expect(await h.used()).toEqual([h.tokens.access_token, session?.access_tokens[1]]);
  });

  it('many requests at once renew it once', async () => {
    const h = await createRenewingHarness();
    await refuse(h);
    const answers = await Promise.all(Array.from({ length: 4 }, async () => await h.list()));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 200));
    expect(await h.sessions()).toMatchObject([{ exchanges: 1, is_ended: false }]);
  });

  it('renews at most once in five minutes', async () => {
    const h = await createRenewingHarness();
    await refuse(h);
    await h.list();
    const [session] = await h.sessions();
    await h.control.endSession(session?.access_tokens[1] ?? '');
    h.age(4);
    expect((await h.list()).body).toMatchObject({ code: 'upstream_credential_rejected' });
    await h.cron();
    expect(await h.presented()).toHaveLength(1);
    h.age(2);
    expect((await h.list()).status).toBe(200);
    expect(await h.sessions()).toMatchObject([{ exchanges: 2 }]);
  });
});

describe('several isolates', () => {
  it('renew it once between them, and learn of it without a failed request', async () => {
    const first = await createRenewingHarness({ session: { ends_old_access: true } });
    const others = await Promise.all([1, 2, 3].map(async () => await createRenewingHarness({ like: first })));
    for (const h of [first, ...others]) expect((await h.list()).status).toBe(200);
    await first.untilDue();
    await Promise.all([first, ...others].map(async (h) => await h.cron()));
    expect(await first.sessions()).toMatchObject([{ exchanges: 1, is_ended: false }]);
    expect(await first.rows()).toHaveLength(1);
    for (const h of [first, ...others]) expect((await h.list()).status).toBe(200);
  });

  it.each([0, 1])(
    'that are about to present the same refresh token, after %i renewals: one of them does',
    async (renewals) => {
      const first = await createRenewingHarness();
      const twoAreThere = gate(2);
      const runtime = {
        fetch: async (url: string, init: RequestInit) => {
          if (url.endsWith('/oauth/token') && init.method === 'GET') await twoAreThere();
          return await workerRuntime.fetch(url, init);
        },
      };
      if (renewals > 0) {
        await first.untilDue();
        await first.cron();
        first.age(6);
      }
      const isolates = [
        await createRenewingHarness({ like: first, runtime }),
        await createRenewingHarness({ like: first, runtime }),
      ];
      for (const { access_tokens } of await first.sessions()) {
        for (const token of access_tokens) await first.control.endSession(token);
      }
      const answers = await Promise.all(isolates.map(async (h) => await h.list()));
      expect(await first.presented()).toHaveLength(renewals + 1);
      expect(await first.sessions()).toMatchObject([{ exchanges: renewals + 1, is_ended: false }]);
      expect((await first.rows()).map(({ status }) => status)).toEqual(
        Array.from({ length: renewals + 1 }, () => 'success'),
      );
      // The one that lost may be refused this once.
      expect(answers.map(({ status }) => status)).toContain(200);
      first.age(1);
      for (const h of isolates) expect((await h.list()).status).toBe(200);
    },
  );

  it('of which one has not heard of the renewal, looks for it when its credential is refused, and renews nothing', async () => {
    const first = await createRenewingHarness({ session: { ends_old_access: true } });
    const late = await createRenewingHarness({ like: first });
    expect((await late.list()).status).toBe(200);
    await first.untilDue();
    await first.cron();
    first.clock.skewMs = 0;
    expect((await late.list()).status).toBe(200);
    const [session] = await first.sessions();
    expect((await first.used()).slice(-2)).toEqual(session?.access_tokens);
    expect(session?.exchanges).toBe(1);
  });

  it('of which one is new, look D1 up once and then no more', async () => {
    const first = await createRenewingHarness();
    await first.untilDue();
    await first.cron();
    const cold = await createRenewingHarness({ like: first });
    const trips = async () => {
      await cold.list();
      return Number(cold.lines.findLast(({ event }) => event === 'request')?.['d1_trips']);
    };
    const firstTrips = await trips();
    const warm = [await trips(), await trips()];
    expect(new Set(warm).size).toBe(1);
    expect(firstTrips).toBeGreaterThanOrEqual(warm[0] ?? 0);
    const [session] = await first.sessions();
    expect((await first.used()).slice(-3)).toEqual(Array.from({ length: 3 }, () => session?.access_tokens[1]));
  });
});

describe('what is configured', () => {
  it('stands in where the renewed credential is refused, so that a person can put in a fresh one', async () => {
    const h = await createRenewingHarness();
    await h.untilDue();
    await h.cron();
    const [session] = await h.sessions();
    await h.control.endSession(session?.access_tokens[1] ?? '');
    expect((await h.list()).status).toBe(200);
    expect((await h.used()).slice(-2)).toEqual([session?.access_tokens[1], h.tokens.access_token]);
  });

  it('renews nothing without a refresh token', async () => {
    const h = await createRenewingHarness({ env: { PIPEOPS_REFRESH_TOKEN: undefined } });
    await h.untilDue();
    await h.cron();
    await h.control.endSession(h.tokens.access_token);
    expect((await h.list()).body).toMatchObject({ code: 'upstream_credential_rejected' });
    expect([await h.presented(), await h.rows(), await h.chain()]).toEqual([[], [], null]);
  });
});

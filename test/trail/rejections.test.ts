import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { addressGroup } from '../../src/trail/rejections.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// Rejected logins are recorded in the trail, and cannot fill it.

const REAL_LIMITS = { REJECTIONS_PER_ADDRESS: env.REJECTIONS_PER_ADDRESS, REJECTIONS_IN_ALL: env.REJECTIONS_IN_ALL };

const rejections = async (): Promise<AuditEventRow[]> =>
  (await env.DB.prepare(`select * from audit_events where action = 'auth.reject' order by seq`).all<AuditEventRow>())
    .results;
const from = (ip: string) => ({ headers: { 'CF-Connecting-IP': ip } });

it('rejections of all addresses are counted under one key, and those of an address under its own', async () => {
  const keys: string[] = [];
  const counting = (name: string) => ({
    limit: async ({ key }: { readonly key: string }) => {
      keys.push(`${name} ${key}`);
      return await Promise.resolve({ success: true });
    },
  });
  const limits = { REJECTIONS_PER_ADDRESS: counting('one'), REJECTIONS_IN_ALL: counting('all') };
  const harness = await createHarness({ env: limits });
  for (const ip of ['203.0.113.8', '203.0.113.9'])
    await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('admin', { exp: 1, iat: 0 }), ...from(ip) });
  expect(keys).toEqual(['one 203.0.113.8', 'all all', 'one 203.0.113.9', 'all all']);
});

describe('what is recorded', () => {
  it('of a stranger: why, from where, and the issuer only if it is configured', async () => {
    const harness = await createHarness();
    const expired = await harness.jwtFor('admin', { exp: 1, iat: 0 });
    const answer = await harness.send('GET', TOKENS, { jwt: expired, ...from('203.0.113.1') });
    expect(answer.status).toBe(401);
    expect((await rejections()).at(-1)).toMatchObject({
      request_id: answer.headers.get('X-Request-Id'),
      status: 'failure',
      error_code: 'invalid_token',
      actor_type: 'system',
      actor_issuer: 'https://issuer.example',
      actor_subject: null,
      actor_label: null,
      ip: '203.0.113.1',
      outcome: JSON.stringify({ reason: 'expired' }),
    });
  });

  it('of a stranger whose issuer is not ours: nothing of the token', async () => {
    const harness = await createHarness();
    const foreign = await harness.jwtFor('admin', { iss: 'https://evil.example' });
    await harness.send('GET', TOKENS, { jwt: foreign });
    const row = (await rejections()).at(-1);
    expect(row).toMatchObject({ actor_issuer: null, outcome: JSON.stringify({ reason: 'issuer_unknown' }) });
    expect(JSON.stringify(row)).not.toContain('evil');
  });

  it('of somebody whose JWT is good and whom no binding knows: who it is', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', TOKENS, { jwt: await harness.jwtFor('nobody') });
    expect([answer.status, answer.body.code]).toEqual([403, 'no_role']);
    expect((await rejections()).at(-1)).toMatchObject({
      error_code: 'no_role',
      actor_type: 'user',
      actor_subject: 'nobody-1',
    });
  });

  it('nothing more, and no other answer, where D1 is down', async () => {
    const down = { prepare: () => ({ bind: () => ({}) }), batch: async () => await Promise.reject(new Error('down')) };
    const harness = await createHarness({ db: down as never });
    expect((await harness.send('GET', TOKENS, { jwt: null })).status).toBe(401);
  });
});

/**
 * Runs a scenario within one minute of the clock, by which the limits count. If a minute ends meanwhile, the scenario is run again
 * with other addresses.
 */
async function withinOneMinute(scenario: (attempt: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const minute = Math.floor(Date.now() / 60_000);
    const before = (await rejections()).length;
    await scenario(attempt);
    if (Math.floor(Date.now() / 60_000) === minute) return (await rejections()).length - before;
  }
}

describe('how much is recorded', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await createHarness({ env: REAL_LIMITS });
  });

  it('one row a minute for an address, whatever it sends', async () => {
    const rows = await withinOneMinute(async (attempt) => {
      for (let sent = 0; sent < 5; sent += 1) {
        const answer = await harness.send('GET', TOKENS, { jwt: null, ...from(`198.51.100.${attempt}`) });
        expect(answer.status).toBe(401);
      }
    });
    expect(rows).toBe(1);
  });

  it('one row for an IPv6 network, whichever of its addresses is used', async () => {
    const rows = await withinOneMinute(async (attempt) => {
      for (let host = 1; host < 5; host += 1) {
        await harness.send('GET', TOKENS, { jwt: null, ...from(`2001:db8:77:${attempt}::${host}`) });
      }
    });
    expect(rows).toBe(1);
  });

  it('no more than sixty rows a minute in all, while good logins are let in', async () => {
    const rows = await withinOneMinute(async (attempt) => {
      for (let host = 0; host < 70; host += 1) {
        await harness.send('GET', TOKENS, { jwt: null, ...from(`198.51.${100 + attempt}.${host}`) });
      }
    });
    // The tests above may have used up a few rows of this minute.
    expect(rows).toBeGreaterThan(50);
    expect(rows).toBeLessThanOrEqual(60);
    expect((await harness.send('GET', TOKENS)).status).toBe(200);
  });
});

it('a limiter that fails suppresses the row and nothing else', async () => {
  const broken = { limit: async () => await Promise.reject(new Error('down')) };
  const harness = await createHarness({ env: { REJECTIONS_PER_ADDRESS: broken } });
  const before = (await rejections()).length;
  expect((await harness.send('GET', TOKENS, { jwt: null })).status).toBe(401);
  expect((await rejections()).length).toBe(before);
  expect(harness.lines).toContainEqual(
    expect.objectContaining({ level: 'error', event: 'rate_limiter_failed', request_id: expect.any(String) }),
  );
});

describe('an address', () => {
  it.each([
    [null, 'unknown'],
    ['203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:ffff::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
    // What is no address is taken as it comes.
    ['a:b', 'a:b::/64'],
    ['1:2:3:4:5:6:7:8::9', '1:2:3:4::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::2::3', '1:0:0:0::/64'],
  ])('%s belongs to %s', (ip, group) => {
    expect(addressGroup(ip)).toBe(group);
  });
});

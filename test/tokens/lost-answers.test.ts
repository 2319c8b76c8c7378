import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// D1 commits what became of a create, and no answer of it arrives: the service cannot know whether it was written down.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

/**
 * A harness with a movable clock, whose D1 answers the first trip of a create and loses the answers of the second and of its
 * two repeats. After those D1 is well again.
 */
async function losingSecondTrip() {
  let skewMs = 0;
  let trips = 0;
  const batch = async (statements: D1PreparedStatement[]) => {
    trips += 1;
    const isLost = trips >= 2 && trips <= 4;
    const results = await env.DB.batch(statements);
    return isLost ? await new Promise<never>(() => {}) : results;
  };
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') return batch;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const harness = await createHarness({
    db,
    runtime: {
      now: () => Date.now() + skewMs,
      timeout: (ms) => AbortSignal.timeout(ms / 10),
      sleep: async () => {},
    },
  });
  return { harness, age: (seconds: number) => void (skewMs += seconds * 1000) };
}

const live = async (harness: Harness) => (await harness.upstreamTokens()).filter((token) => !token.is_revoked);

describe('a create whose second D1 trip is committed, and every answer of it lost', () => {
  it('is withheld and revoked, and the trail does not say that it succeeded', async () => {
    const { harness } = await losingSecondTrip();
    const answer = await harness.send('POST', TOKENS, CREATE);
    expect(answer.status).toBe(503);
    expect(await live(harness)).toEqual([]);
    const rows = await harness.rows();
    const saysRevoked = rows.some((row) => row.status === 'failure' || row.action === 'service_account_token.revoke');
    expect(saysRevoked, `the whole trail: ${rows.map((r) => `${r.action} ${r.status}`).join(', ')}`).toBe(true);
  });

  it('leaves no live token in the inventory', async () => {
    const { harness } = await losingSecondTrip();
    await harness.send('POST', TOKENS, CREATE);
    expect((await harness.inventory()).filter((row) => row.revoked_at === null)).toEqual([]);
  });

  it('is not taken by the next list for a token that nobody here revoked', async () => {
    const { harness } = await losingSecondTrip();
    await harness.send('POST', TOKENS, CREATE);
    await harness.send('GET', TOKENS);
    expect((await harness.rows()).map((row) => row.error_code)).not.toContain('gone_upstream');
  });

  it('is revoked later, where the compensating revoke fails once', async () => {
    const { harness, age } = await losingSecondTrip();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 500 });
    expect((await harness.send('POST', TOKENS, CREATE)).status).toBe(503);
    age(121);
    await harness.cron();
    await harness.send('GET', TOKENS);
    await harness.cron();
    expect(await live(harness), 'an undelivered token stays alive for good').toEqual([]);
  });
});

import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// Each test states what should hold and is red today.

const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

/** A harness with a movable clock and a D1 whose batches may be interfered with. */
async function rig(options: Parameters<typeof createHarness>[0] = {}) {
  let skewMs = 0;
  let onBatch: ((n: number, run: () => Promise<unknown>) => Promise<unknown>) | null = null;
  let n = 0;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          n += 1;
          const run = async () => await target.batch(statements);
          return onBatch === null ? await run() : await onBatch(n, run);
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const harness = await createHarness({
    ...options,
    db,
    runtime: {
      now: () => Date.now() + skewMs,
      timeout: (ms) => AbortSignal.timeout(ms / 10),
      sleep: async () => {},
      ...options.runtime,
    },
  });
  return {
    harness,
    age: (seconds: number) => void (skewMs += seconds * 1000),
    intercept: (handler: typeof onBatch) => {
      n = 0;
      onBatch = handler;
    },
  };
}

const never = async (): Promise<never> => await new Promise<never>(() => {});
const live = async (h: Harness) => (await h.upstreamTokens()).filter((token) => !token.is_revoked);
const inWorkspace = (h: Harness, method: string) => ({ workspace_uuid: h.workspace, method });

describe('F1: a rename while the create is still open', () => {
  it('keeps the marker, so that the undelivered token is still found', async () => {
    const { harness: h, age } = await rig();
    await h.mint('another'); // Shows reconciliation that names are returned.
    await h.control.fault({ match: inWorkspace(h, 'POST'), drop: 'after_commit' });
    expect((await h.send('POST', TOKENS, CREATE)).status).toBe(504);
    const listed = await h.send('GET', TOKENS);
    const { id } = listed.body.data.tokens.find((token: { name: string }) => token.name === 'deploy');
    const renamed = await h.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'mine-now' } });
    expect(renamed.status).toBe(200);
    age(121);
    await h.cron();
    await h.send('GET', TOKENS);
    expect((await h.rows()).filter((row) => row.error_code === 'not_applied'), 'a live token is said not to exist').toEqual([]);
    expect((await live(h)).map(({ name }) => name.replace(/-csgn-.*/, ''))).toEqual(['another']);
  });
});

describe('F2: trip 2 is committed, and every answer of it lost', () => {
  it('the trail does not say success of a create that was withheld and revoked', async () => {
    const { harness: h, intercept } = await rig();
    // Trip 1 is answered; the answers of trip 2 and its two repeats are lost; then D1 is well again.
    intercept(async (n, run) => {
      const done = await run();
      return n >= 2 && n <= 4 ? await never() : done;
    });
    const answer = await h.send('POST', TOKENS, CREATE);
    expect(answer.status).toBe(503);
    expect(await live(h)).toEqual([]);
    const rows = await h.rows();
    const saysRevoked = rows.some((row) => row.status === 'failure' || row.action === 'service_account_token.revoke');
    expect(saysRevoked, `the whole trail: ${rows.map((r) => `${r.action} ${r.status}`).join(', ')}`).toBe(true);
  });

  it('the inventory does not hold the revoked token as live', async () => {
    const { harness: h, intercept } = await rig();
    intercept(async (n, run) => {
      const done = await run();
      return n >= 2 && n <= 4 ? await never() : done;
    });
    await h.send('POST', TOKENS, CREATE);
    expect((await h.inventory()).filter((row) => row.revoked_at === null)).toEqual([]);
  });

  it('the next list does not say that nobody here revoked it', async () => {
    const { harness: h, intercept } = await rig();
    intercept(async (n, run) => {
      const done = await run();
      return n >= 2 && n <= 4 ? await never() : done;
    });
    await h.send('POST', TOKENS, CREATE);
    const listed = await h.send('GET', TOKENS);
    expect((await h.rows()).map((row) => row.error_code)).not.toContain('gone_upstream');
  });

  it('and if the compensating revoke fails once, the token is revoked later all the same', async () => {
    const { harness: h, intercept, age } = await rig();
    intercept(async (n, run) => {
      const done = await run();
      return n >= 2 && n <= 4 ? await never() : done;
    });
    await h.control.fault({ match: inWorkspace(h, 'DELETE'), status: 500 });
    expect((await h.send('POST', TOKENS, CREATE)).status).toBe(503);
    age(121);
    await h.cron();
    await h.send('GET', TOKENS);
    await h.cron();
    expect(await live(h), 'an undelivered token stays alive for good').toEqual([]);
  });
});

describe('F5: a denial that D1 did not take', () => {
  const own = {
    own: { permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'], workspaces: ['*'], scopes: ['*'] },
  };

  it('a refused revoke is never settled as a success', async () => {
    const { harness: h, intercept, age } = await rig({ roles: own });
    intercept(async (n, run) => (n === 1 ? await run() : await Promise.reject(new Error('down'))));
    const jwt = await h.jwtFor('own');
    // Nobody has this id: the decision is 404, and nothing may be asked of PipeOps.
    expect((await h.send('DELETE', `${TOKENS}/tok-of-nobody`, { jwt })).status).toBe(503);
    intercept(null);
    age(121);
    await h.cron();
    expect(await h.rows()).toMatchObject([{ action: 'service_account_token.revoke', status: 'failure' }]);
  });

  it('a refused update is never settled as a success', async () => {
    const { harness: h, intercept, age } = await rig({ roles: own });
    const { id } = await h.mint();
    intercept(async (n, run) => (n === 1 ? await run() : await Promise.reject(new Error('down'))));
    const jwt = await h.jwtFor('own');
    expect((await h.send('PATCH', `${TOKENS}/${id}`, { jwt, body: { is_active: true } })).status).toBe(503);
    intercept(null);
    age(121);
    await h.cron();
    const rows = (await h.rows()).filter((row) => row.action === 'service_account_token.update');
    expect(rows).toMatchObject([{ actor_subject: 'own-1', status: 'failure' }]);
  });
});

describe('F6: a 404 that PipeOps did not say about a token', () => {
  it('an HTML 404 (a proxy, a wrong base path) is not a revoke that succeeded', async () => {
    const { harness: h } = await rig();
    const { id } = await h.mint();
    await h.control.fault({ match: inWorkspace(h, 'DELETE'), status: 404, html: true });
    const answer = await h.send('DELETE', `${TOKENS}/${id}`);
    expect([answer.status, (await live(h)).length]).not.toEqual([200, 1]);
  });

  it('a list that cannot be asked for is never a 404 of the token', async () => {
    const { harness: h } = await rig();
    const byHand = await h.control.insertToken({ workspace_uuid: h.workspace, name: 'by hand' });
    await h.control.fault({ match: inWorkspace(h, 'GET'), status: 404 });
    const answer = await h.send('DELETE', `${TOKENS}/${byHand.id}`);
    expect([502, 503, 504]).toContain(answer.status);
  });

  it('a create is not answered with "no such token"', async () => {
    const { harness: h } = await rig();
    await h.control.fault({ match: inWorkspace(h, 'POST'), status: 404 });
    const answer = await h.send('POST', TOKENS, CREATE);
    expect(answer.body.message).not.toMatch(/no such token/);
  });
});

describe('F7: PipeOps mixes workspaces up', () => {
  it('a listed token that names another workspace is neither shown, acted on nor adopted', async () => {
    const inA = await createHarness();
    const foreign = await inA.mint('of workspace A');
    const [wire] = (await inA.upstreamTokens()).map(({ secret: _secret, ...token }) => token);
    const roles = {
      b: { permissions: ['tokens:read', 'tokens:revoke'], tokens: 'any', workspaces: ['*'] },
    };
    const sent: string[] = [];
    const inB = await createHarness({
      roles,
      issuer: inA.issuer,
      runtime: {
        fetch: async (url, init) => {
          sent.push(`${init.method} ${url}`);
          if (init.method === 'DELETE') return Response.json({ success: true });
          return Response.json({
            success: true,
            data: { tokens: [{ id: wire!.id, name: wire!.name, workspace_id: inA.workspace, scopes: ['api:read'] }], total: 1 },
          });
        },
      },
    });
    const confined = await inB.jwtFor('b');
    const listed = await inB.send('GET', TOKENS, { jwt: confined });
    const revoked = await inB.send('DELETE', `${TOKENS}/${foreign.id}`, { jwt: confined });
    expect({
      shown: listed.body.data.tokens.length,
      status: revoked.status,
      deletes: sent.filter((line) => line.startsWith('DELETE')).length,
      adopted: (await inB.inventory()).length,
    }).toEqual({ shown: 0, status: 404, deletes: 0, adopted: 0 });
  });
});

describe('F8: a revoke that reconciliation found done', () => {
  it('is noted in the inventory', async () => {
    const { harness: h, age } = await rig();
    const { id } = await h.mint();
    await h.control.fault({ match: inWorkspace(h, 'DELETE'), drop: 'after_commit' });
    expect((await h.send('DELETE', `${TOKENS}/${id}`)).status).toBe(504);
    age(121);
    await h.cron();
    expect((await h.rows()).at(-1)).toMatchObject({ status: 'success' });
    await h.send('GET', TOKENS);
    await h.send('GET', TOKENS);
    expect((await h.inventory())[0]?.revoked_at).not.toBeNull();
  });
});

describe('F9: a 409 to a name that only this request can have', () => {
  it('is an unknown outcome: the create may have been committed by an earlier copy of itself', async () => {
    const { harness: h, age } = await rig();
    await h.control.fault({ match: inWorkspace(h, 'POST'), status: 409, commit: true });
    await h.send('POST', TOKENS, CREATE);
    age(121);
    await h.cron();
    expect(await live(h)).toEqual([]);
  });
});

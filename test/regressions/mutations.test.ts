import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { DRIFT_BATCH_TOKENS } from '../../src/config/limits.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// What an adversarial reading of the code once found. Each of these was red.

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

describe('a rename while the create is still open', () => {
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
    expect(
      (await h.rows()).filter((row) => row.error_code === 'not_applied'),
      'a live token is said not to exist',
    ).toEqual([]);
    expect((await live(h)).map(({ name }) => name.replace(/-csgn-.*/, ''))).toEqual(['another']);
  });
});

describe('trip 2 is committed, and every answer of it lost', () => {
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
    await h.send('GET', TOKENS);
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

describe('a 404 that PipeOps did not say about a token', () => {
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

describe('PipeOps mixes workspaces up', () => {
  it('a listed token that names another workspace is neither shown, acted on nor adopted', async () => {
    const inA = await createHarness();
    const byHand = await inA.control.insertToken({ workspace_uuid: inA.workspace, name: 'of workspace A' });
    const sent: string[] = [];
    const inB = await createHarness({
      issuer: inA.issuer,
      roles: { b: { permissions: ['tokens:read', 'tokens:revoke'], tokens: 'any', workspaces: ['*'] } },
      runtime: {
        fetch: async (url, init) => {
          sent.push(`${init.method} ${url}`);
          if (init.method === 'DELETE') return Response.json({ success: true });
          const token = { id: byHand.id, name: byHand.name, workspace_id: inA.workspace, scopes: ['api:read'] };
          if (url.includes(`/${byHand.id}?`)) return Response.json({ success: true, data: { token } });
          return Response.json({ success: true, data: { tokens: [token], total: 1 } });
        },
      },
    });
    const jwt = await inB.jwtFor('b');
    const listed = await inB.send('GET', TOKENS, { jwt });
    const adopted = (await inB.inventory()).length;
    const revoked = await inB.send('DELETE', `${TOKENS}/${byHand.id}`, { jwt });
    expect({
      shown: listed.body.data.tokens.length,
      adopted,
      status: revoked.status,
      deletes: sent.filter((line) => line.startsWith('DELETE')).length,
    }).toEqual({ shown: 0, adopted: 0, status: 404, deletes: 0 });
  });
});

describe('a revoke that reconciliation found done', () => {
  it('is noted in the inventory', async () => {
    const { harness: h, age } = await rig();
    const { id } = await h.mint();
    await h.control.fault({ match: inWorkspace(h, 'DELETE'), drop: 'after_commit', times: 2 });
    expect((await h.send('DELETE', `${TOKENS}/${id}`)).status).toBe(504);
    age(121);
    await h.cron();
    expect((await h.rows()).at(-1)).toMatchObject({ status: 'success' });
    await h.send('GET', TOKENS);
    await h.send('GET', TOKENS);
    expect((await h.inventory())[0]?.revoked_at).not.toBeNull();
  });
});

describe('revokes that reconciliation found done', () => {
  it('do not crowd out the drift that a list has to write down', async () => {
    const { harness: h } = await rig();
    const columns = 'workspace_uuid, token_id, owner_issuer, owner_subject, created_at';
    const enter = (id: string) =>
      env.DB.prepare(`insert into tokens (${columns}) values (?, ?, 'i', 's', 1)`).bind(h.workspace, id);
    const revoke = (id: string) =>
      env.DB.prepare(
        `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, detail, outcome) values (?, 1, 2, 'service_account_token.revoke', 'success', 'user', ?, ?, '{}', '{"settled_by":"reconciliation"}')`,
      ).bind(crypto.randomUUID(), h.workspace, id);
    const ids = Array.from({ length: DRIFT_BATCH_TOKENS }, (_, n) => `a${n}`);
    // What as many revokes leave behind whose answers were lost, and a token that somebody revoked by hand.
    await env.DB.batch([...ids.flatMap((id) => [enter(id), revoke(id)]), enter('z')]);
    const tokens = [...ids, 'z'].map((id) => ({ id, name: id, scopes: [], is_revoked: true }));
    const body = { success: true, message: '', data: { tokens, total: tokens.length } };
    await h.control.fault({ match: inWorkspace(h, 'GET'), body, times: 2 });
    for (const _ of [1, 2]) await h.send('GET', TOKENS);
    expect((await h.rows()).filter((row) => row.error_code === 'gone_upstream')).toMatchObject([{ token_id: 'z' }]);
  });
});

describe('a 409 to a name that only this request can have', () => {
  it('is an unknown outcome: the create may have been committed by an earlier copy of itself', async () => {
    const { harness: h, age } = await rig();
    await h.control.fault({ match: inWorkspace(h, 'POST'), status: 409, commit: true });
    await h.send('POST', TOKENS, CREATE);
    age(121);
    await h.cron();
    expect(await live(h)).toEqual([]);
  });
});

it('an attempt that cannot be judged does not stop the run for the others', async () => {
  const { harness: h, age } = await rig();
  await env.DB.prepare(
    `insert into audit_events (id, occurred_at, action, status, actor_type, token_id, detail) values (?, 1, 'service_account_token.revoke', 'attempted', 'user', 'tok-1', '{}')`,
  )
    .bind(crypto.randomUUID())
    .run();
  await h.control.fault({ match: inWorkspace(h, 'POST'), drop: 'after_commit' });
  await h.send('POST', TOKENS, CREATE);
  age(121);
  await h.cron().catch(() => {});
  const creates = (await h.rows()).filter(({ action }) => action === 'service_account_token.create');
  expect(creates.map((row) => row.status)).toEqual(['failure']);
});

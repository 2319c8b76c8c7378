import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { D1_SIZE_WARNING_BYTES, READY_PROBE_INTERVAL_MS } from '../../src/config/limits.ts';
import { createHarness, TOKENS, type HarnessOptions } from '../support/harness.ts';

const DOWN = {
  prepare: () => ({ bind: () => ({}) }),
  batch: async () => await Promise.reject(new Error('down')),
} as never;
const probe = { jwt: null };

/** D1, and how often it was asked. */
function countedD1() {
  let batches = 0;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          batches += 1;
          return await target.batch(statements);
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db, batches: () => batches };
}

describe('GET /healthz', () => {
  it('answers while the process runs, whatever D1 does', async () => {
    const harness = await createHarness({ db: DOWN });
    expect(await harness.send('GET', '/healthz', probe)).toMatchObject({ status: 200, body: { success: true } });
  });
});

describe('GET /readyz', () => {
  it('is ready, and counts the attempts that are open', async () => {
    const harness = await createHarness();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace }, drop: 'after_commit' });
    await harness.send('POST', TOKENS, { body: { name: 'open', scopes: ['api:read'] } });
    const answer = await harness.send('GET', '/readyz', probe);
    expect(answer).toMatchObject({
      status: 200,
      body: { data: { ready: true, not_ready: [], degraded: [], open_attempts: 1 } },
    });
    expect(answer.headers.get('Cache-Control')).toBe('no-store');
  });

  it('names D1 when it does not answer', async () => {
    const harness = await createHarness({ db: DOWN });
    const answer = await harness.send('GET', '/readyz', probe);
    expect(answer).toMatchObject({ status: 503, body: { success: false, status: 'error', code: 'not_ready' } });
    expect(answer.body.message).toBe('Not ready: d1.');
  });

  it('asks D1 once in five seconds, however often it is asked, and PipeOps never', async () => {
    let nowMs = 1_000_000_000_000;
    const { db, batches } = countedD1();
    const harness = await createHarness({ db, runtime: { now: () => nowMs } });
    await Promise.all(Array.from({ length: 20 }, async () => await harness.send('GET', '/readyz', probe)));
    expect(batches()).toBe(1);
    nowMs += READY_PROBE_INTERVAL_MS;
    await harness.send('GET', '/readyz', probe);
    expect(batches()).toBe(2);
    expect(await harness.upstream()).toEqual([]);
  });
});

describe('a database that is nearly full', () => {
  /** D1, with a size of its own telling. */
  const sized = (bytes: number): D1Database =>
    new Proxy(env.DB, {
      get: (target, key) => {
        if (key === 'batch') {
          return async (statements: D1PreparedStatement[]) =>
            (await target.batch(statements)).map((result) => ({
              ...result,
              meta: { ...result.meta, size_after: bytes },
            }));
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });

  it.each([
    [D1_SIZE_WARNING_BYTES - 1, [], false],
    [D1_SIZE_WARNING_BYTES, ['d1_size'], true],
  ])('at %i bytes: /readyz names %j, /api/v1/status says %s, and both go on', async (bytes, degraded, nearlyFull) => {
    const harness = await createHarness({ db: sized(bytes) });
    expect(await harness.send('GET', '/readyz', probe)).toMatchObject({
      status: 200,
      body: { data: { ready: true, degraded } },
    });
    expect((await harness.send('GET', '/api/v1/status')).body.data).toMatchObject({
      d1_bytes: bytes,
      d1_nearly_full: nearlyFull,
    });
  });
});

describe('GET /api/v1/whoami', () => {
  it('tells a caller who it is and what it may do', async () => {
    const harness = await createHarness();
    const answer = await harness.send('GET', '/api/v1/whoami', {
      jwt: await harness.jwtFor('admin', { email: 'a@example.com' }),
    });
    expect(answer.body.data).toEqual({
      issuer: 'https://issuer.example',
      subject: 'admin-1',
      label: 'a@example.com',
      actor_type: 'user',
      roles: [
        {
          name: 'admin',
          permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read'],
          tokens: 'any',
          workspaces: ['*'],
          scopes: ['*'],
          max_ttl_seconds: null,
        },
      ],
    });
  });
});

describe('GET /api/v1/status', () => {
  const status = async (options: HarnessOptions = {}) => {
    const harness = await createHarness(options);
    return { harness, answer: await harness.send('GET', '/api/v1/status') };
  };

  it('shows open attempts, when the credential ends, and the size of D1', async () => {
    const { answer } = await status();
    expect(answer.body.data).toEqual({
      open_attempts: { count: expect.any(Number), oldest_at: expect.anything() },
      credentials: [{ expires_at: expect.stringMatching(/^\d{4}-.*Z$/) }],
      d1_bytes: expect.any(Number),
      d1_nearly_full: false,
    });
  });

  it('does not guess when a credential ends that does not say', async () => {
    const { answer } = await status({ env: { PIPEOPS_ADMIN_TOKEN: 'an-opaque-session-of-somebody' } });
    expect(answer.body.data.credentials).toEqual([{ expires_at: null }]);
  });

  it('is 503 when D1 does not answer', async () => {
    expect((await status({ db: DOWN })).answer).toMatchObject({ status: 503, body: { code: 'audit_unavailable' } });
  });
});

it.each(['/api/v1/whoami?x=1', '/api/v1/status?verbose=true'])('%s: unknown parameters are 400', async (path) => {
  const answer = await (await createHarness()).send('GET', path);
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
});

import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COUNT_TOKENS_AGAIN_AFTER_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { tokensBeside, reserveToken, selectHeld, type Reservation } from '../../src/inventory/token-counts.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// The counts of live tokens: which triggers keep, and which a create is held against.

const FAR = '9999999999999';
const token = (id: string, owner: string, expiresAt = FAR, revokedAt = 'null'): string =>
  `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at)
    values ('w', '${id}', 'i', '${owner}', 1, ${expiresAt}, ${revokedAt})`;
const run = async (statements: string): Promise<unknown> =>
  await env.DB.batch(statements.split(';').map((statement) => env.DB.prepare(statement)));
const lives = async (): Promise<unknown> => {
  const { results } = await env.DB.prepare('select owner_subject, live from token_counts').all();
  return Object.fromEntries(results.map((row) => [String(row['owner_subject']), row['live']]));
};

const empty = async (): Promise<unknown> =>
  await run('delete from tokens; delete from token_counts; delete from open_creates');
beforeEach(empty);
afterEach(empty);

it.each<[string, string, Readonly<Record<string, number>>]>([
  ['nothing', `update tokens set unseen_at = 1`, { a: 1 }],
  ['an end', `update tokens set revoked_at = 1`, { a: 0 }],
  ['a second end', `update tokens set revoked_at = 1; update tokens set revoked_at = 2, ended_by = 'absent'`, { a: 0 }],
  ['an end undone', `update tokens set revoked_at = 1; update tokens set revoked_at = null`, { a: 1 }],
  ['another owner', `update tokens set owner_subject = 'b'`, { a: 0, b: 1 }],
  ['no owner', `update tokens set owner_subject = null, owner_issuer = null`, { a: 0 }],
  ['an end with another owner', `update tokens set owner_subject = 'b', revoked_at = 1`, { a: 0 }],
  ['another workspace', `update tokens set workspace_uuid = 'x'`, { a: 1 }],
  ['another expiry', `update tokens set expires_at = expires_at + 1`, { a: 1 }],
  ['an expiry that was over when it was counted', `update tokens set expires_at = 0`, { a: 0 }],
  ['no expiry', `update tokens set expires_at = null`, { a: 1 }],
  ['a row that goes', `delete from tokens`, { a: 0 }],
  ['a dead row that goes', `update tokens set revoked_at = 1; delete from tokens`, { a: 0 }],
  ['the same row once more', `${token('t', 'a')} on conflict do nothing`, { a: 1 }],
  ['a row that is ignored', token('t', 'a').replace('insert', 'insert or ignore'), { a: 1 }],
  [
    'a takeover by an upsert',
    `${token('t', 'b')} on conflict (workspace_uuid, token_id) do update set owner_subject = excluded.owner_subject`,
    { a: 0, b: 1 },
  ],
  ['a dead row that comes', token('u', 'a', FAR, '7'), { a: 1 }],
  ['an expired row that comes', token('u', 'a', '0'), { a: 1 }],
])('the count of an owner follows %s', async (_case, change, expected) => {
  await run(token('t', 'a'));
  await run(change);
  expect(await lives()).toEqual(expected);
});

describe('a token is reserved', () => {
  const NOW = 1_000_000_000;
  const owner = { issuer: 'i', subject: 'a' };
  const database = createDatabase(env.DB, workerRuntime);
  const context = { trace: { eventId: null, d1Trips: 0, d1Queries: 0, d1Ms: 0 } } as never;
  const reserve = async (changes: Partial<Reservation> = {}): Promise<number> => {
    const reservation = {
      owner,
      limit: { here: 3, anywhere: 5 },
      eventId: crypto.randomUUID(),
      keyHash: null,
      guard: sql`true`,
      nowMs: NOW,
      ...changes,
    };
    const batch = await database.batch(context, reserveToken(database, reservation));
    if (!batch.ok) throw new Error(batch.error);
    return tokensBeside(batch.value, true);
  };
  const held = async (nowMs = NOW): Promise<unknown> => {
    const batch = await database.batch(context, [selectHeld(database, owner, nowMs)]);
    return batch.ok ? batch.value[0] : batch.error;
  };

  it('below the limit, one after the other, and not at it', async () => {
    expect([await reserve(), await reserve(), await reserve(), await reserve()]).toEqual([0, 1, 2, Infinity]);
    expect(await held()).toEqual([{ held: 3 }]);
    expect(await reserve({ owner: { issuer: 'i', subject: 'b' } })).toBe(0);
    expect(await reserve({ owner: { issuer: 'j', subject: 'a' } })).toBe(0);
  });

  it('beside tokens that are alive: neither ended, nor expired since they were counted', async () => {
    await run(`${token('t1', 'a')}; ${token('t2', 'a', String(NOW + 5))}; ${token('t3', 'a', FAR, '7')}`);
    expect(await reserve()).toBe(2);
    expect(await reserve()).toBe(Infinity);
    // Counted just now: what expires at once is seen all the same.
    expect(await held(NOW + 5)).toEqual([{ held: 2 }]);
    expect(await reserve({ nowMs: NOW + 5 })).toBe(2);
    expect(await lives()).toEqual({ a: 1 });
  });

  it('under the most of what each role allows', async () => {
    for (let n = 0; n < 3; n += 1) await reserve();
    expect(await reserve({ limit: { here: 4, anywhere: 5 } })).toBe(3);
    expect(await reserve({ limit: { here: 4, anywhere: 5 } })).toBe(Infinity);
    expect(await env.DB.prepare('select max_tokens from token_counts').all()).toMatchObject({
      results: [{ max_tokens: 5 }],
    });
  });

  it('not for a repeat: another create holds its key', async () => {
    const keyHash = crypto.randomUUID();
    const eventId = crypto.randomUUID();
    await run(
      `insert into idempotency_keys (key_hash, request_fingerprint, event_id, expires_at) values ('${keyHash}', 'f', '${eventId}', 1)`,
    );
    expect(await reserve({ keyHash })).toBe(Infinity);
    expect(await held()).toEqual([{ held: 0 }]);
    expect(await reserve({ keyHash, eventId })).toBe(0);
  });

  it('not without its row', async () => {
    expect(await reserve({ guard: sql`false` })).toBe(Infinity);
    expect(await held()).toEqual([{ held: 0 }]);
  });

  it('whatever a wrong count says, once it is old', async () => {
    await run(token('t', 'a'));
    expect(await reserve()).toBe(1);
    await run(`update token_counts set live = 9, counted_at = ${NOW}`);
    expect(await reserve({ nowMs: NOW + COUNT_TOKENS_AGAIN_AFTER_MS - 1 })).toBe(Infinity);
    expect(await reserve({ nowMs: NOW + COUNT_TOKENS_AGAIN_AFTER_MS })).toBe(2);
    expect(await lives()).toEqual({ a: 1 });
  });
});

import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';

// A dashboard that polls each second must not fill the database, and still every read is in the trail.

const NOON = Date.UTC(2026, 10, 24, 12, 0, 10);

async function withClock(): Promise<{ harness: Harness; jwt: string; at: (seconds: number) => void }> {
  let nowMs = NOON;
  const harness = await createHarness({ runtime: { now: () => nowMs } });
  const jwt = await harness.issuer.sign({ sub: 'dashboard', role: 'admin' }, { nowMs: NOON });
  return {
    harness,
    jwt,
    at: (seconds) => {
      nowMs = NOON + seconds * 1000;
    },
  };
}

const counts = async (harness: Harness) =>
  (await harness.rows()).map(({ action, count }) => [action.split('.')[1], count]);

it('reads that are alike within a minute of the clock are one row', async () => {
  const { harness, jwt, at } = await withClock();
  const ids = new Set<string | null>();
  for (const second of [0, 1, 2, 49]) {
    at(second);
    ids.add((await harness.send('GET', TOKENS, { jwt })).headers.get('X-Audit-Event-Id'));
  }
  expect(await harness.rows()).toMatchObject([
    { count: 4, occurred_at: NOON, last_at: NOON + 49_000, status: 'success' },
  ]);
  expect([...ids]).toEqual([(await harness.rows())[0]?.id]);
  at(50);
  await harness.send('GET', TOKENS, { jwt });
  expect(await counts(harness)).toEqual([
    ['list', 4],
    ['list', 1],
  ]);
});

it('each of several concurrent reads is counted', async () => {
  const { harness, jwt } = await withClock();
  await Promise.all(Array.from({ length: 10 }, async () => await harness.send('GET', TOKENS, { jwt })));
  expect(await counts(harness)).toEqual([['list', 10]]);
});

/** Reads each of two tokens that were made elsewhere. */
const readTwo = async (h: Harness, jwt: string): Promise<void> => {
  for (const name of ['one', 'two']) {
    const { id } = await h.control.insertToken({ workspace_uuid: h.workspace, name });
    await h.send('GET', `${TOKENS}/${id}`, { jwt });
  }
};

describe('reads have rows of their own where they differ in', () => {
  const differences: readonly [string, (h: Harness, jwt: string) => Promise<unknown>][] = [
    [
      'caller',
      async (h) =>
        await h.send('GET', TOKENS, { jwt: await h.issuer.sign({ role: 'admin', sub: 'other' }, { nowMs: NOON }) }),
    ],
    ['address', async (h, jwt) => await h.send('GET', TOKENS, { jwt, headers: { 'CF-Connecting-IP': '203.0.113.7' } })],
    ['token', async (h, jwt) => await readTwo(h, jwt)],
    ['workspace', async (h, jwt) => await h.send('GET', `${TOKENS}?workspace_uuid=other-workspace`, { jwt })],
    [
      'outcome',
      async (h, jwt) => {
        await h.control.fault({ match: { workspace_uuid: h.workspace }, status: 500, times: 3 });
        await h.send('GET', TOKENS, { jwt });
      },
    ],
  ];
  it.each(differences)('%s', async (name, read) => {
    const { harness, jwt } = await withClock();
    if (name !== 'token') await harness.send('GET', TOKENS, { jwt });
    await read(harness, jwt);
    expect((await counts(harness)).every(([, count]) => count === 1)).toBe(true);
    // The service itself adds rows about tokens that a list shows and nobody here made.
    const rows = (await harness.rows()).filter(({ actor_type }) => actor_type !== 'system');
    expect(rows.length).toBe(name === 'workspace' ? 1 : 2);
  });
});

it('a failing read is counted too, and a denial never', async () => {
  const { harness, jwt } = await withClock();
  await harness.control.fault({ match: { workspace_uuid: harness.workspace }, status: 500, times: 2 });
  for (let sent = 0; sent < 2; sent += 1) await harness.send('GET', TOKENS, { jwt });
  expect(await counts(harness)).toEqual([['list', 2]]);
  for (let sent = 0; sent < 2; sent += 1) await harness.send('GET', `${TOKENS}/no-such-token`, { jwt });
  expect(await counts(harness)).toEqual([
    ['list', 2],
    ['get', 1],
    ['get', 1],
  ]);
});

it('mutations always have rows of their own', async () => {
  const { harness, jwt } = await withClock();
  await harness.mint('one', jwt);
  await harness.mint('one', jwt);
  expect(await counts(harness)).toEqual([
    ['create', 1],
    ['create', 1],
  ]);
});

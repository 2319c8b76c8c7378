import * as fc from 'fast-check';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, type Harness } from '../../support/harness.ts';
import { insertTimes } from './trail.ts';

const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';
const DAY_MS = 24 * 60 * 60 * 1000;
const SECOND_MS = 1_000;

interface Row {
  readonly seq: number;
  readonly occurred_at: number;
}

let harness: Harness;
let trail: Row[] = [];
/** A time of the right clock, so long ago that nothing is unfinished. */
let beginMs = 0;
beforeAll(async () => {
  harness = await createHarness();
  beginMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - 3 * DAY_MS;
  const right = Array.from({ length: 300 }, (_item, row) => beginMs + row * SECOND_MS);
  const ahead = Array.from({ length: 900 }, (_item, row) => beginMs + DAY_MS + row * SECOND_MS);
  const putRight = Array.from({ length: 700 }, (_item, row) => beginMs + (400 + row) * SECOND_MS);
  // These times are in the future.
  const future = Array.from({ length: 40 }, (_item, row) => beginMs + 30 * DAY_MS + row * SECOND_MS);
  const nextDay = Array.from({ length: 900 }, (_item, row) => beginMs + DAY_MS + (row - 100) * SECOND_MS);
  await insertTimes([...right, ...ahead, ...putRight, ...future, ...nextDay]);
  trail = (await env.DB.prepare('select seq, occurred_at from audit_events order by seq').all<Row>()).results;
});

const rfc3339 = (ms: number): string => new Date(ms).toISOString();
const ofTrail = { action: 'service_account_token.get' };
const windowOf = (fromMs: number | null, toMs: number | null): Record<string, string> => ({
  ...ofTrail,
  ...(fromMs !== null && { from: rfc3339(fromMs) }),
  ...(toMs !== null && { to: rfc3339(toMs) }),
});
const expectedOf = (fromMs: number | null, toMs: number | null): number[] =>
  trail.filter(({ occurred_at: at }) => at >= (fromMs ?? -Infinity) && at < (toMs ?? Infinity)).map(({ seq }) => seq);
const ask = async (path: string, parameters: Readonly<Record<string, string>>) => {
  const answer = await harness.send('GET', `${path}?${new URLSearchParams(parameters).toString()}`);
  expect(answer.status, answer.text).toBe(200);
  return answer;
};

/** The events of an export, and what its last line says. */
async function exported(parameters: Readonly<Record<string, string>>) {
  const lines = (await ask(EXPORT, parameters)).text.trimEnd().split('\n');
  const trailer: unknown = JSON.parse(lines.pop() ?? '');
  return { trailer, seqs: lines.map((line) => (JSON.parse(line) as Row).seq) };
}

const windows = fc.tuple(
  fc.option(
    fc.nat().map((share) => trail[share % trail.length]?.occurred_at ?? 0),
    { nil: null },
  ),
  fc.option(
    fc.oneof(
      fc.constantFrom(1, SECOND_MS, 100 * SECOND_MS, 2_000 * SECOND_MS, DAY_MS),
      fc.integer({ min: 1, max: 3_000 }).map((seconds) => seconds * SECOND_MS),
    ),
    { nil: null },
  ),
);

describe('after a clock that ran ahead was put right', () => {
  it('an export misses nothing, and is complete', async () => {
    await fc.assert(
      fc.asyncProperty(windows, async ([fromMs, lengthMs]) => {
        const toMs = lengthMs === null ? null : (fromMs ?? beginMs) + lengthMs;
        const expected = expectedOf(fromMs, toMs);
        const { seqs, trailer } = await exported(windowOf(fromMs, toMs));
        expect(seqs).toEqual(expected);
        expect(trailer).toEqual({ complete: true, count: expected.length, next: null });
      }),
      { numRuns: 15 },
    );
  });

  it('and so is one in CSV', async () => {
    const [fromMs, toMs] = [beginMs + DAY_MS, beginMs + DAY_MS + 500 * SECOND_MS];
    const answer = await ask(EXPORT, { ...windowOf(fromMs, toMs), format: 'csv' });
    const records = answer.text.trimEnd().split('\r\n').slice(1);
    expect(records.map((record) => Number(record.split(',')[0]))).toEqual(expectedOf(fromMs, toMs));
    expect(answer.headers.get('Link')).toBeNull();
  });

  it('a follower from a time on misses nothing, and ends where the trail does', async () => {
    const fromMs = beginMs + DAY_MS + 50 * SECOND_MS;
    const seqs: number[] = [];
    let cursor: string | null = null;
    for (let hasMore = true; hasMore;) {
      const { body } = await ask(EVENTS, {
        ...windowOf(fromMs, null),
        order: 'asc',
        limit: '200',
        ...(cursor !== null && { cursor }),
      });
      seqs.push(...body.data.map(({ seq }: Row) => seq));
      cursor = body.pagination.next_cursor;
      hasMore = body.pagination.has_more;
    }
    expect(seqs).toEqual(expectedOf(fromMs, null));
  });

  it('pages backwards from a cursor of before miss nothing either', async () => {
    const first = (await ask(EVENTS, { ...ofTrail, limit: '1' })).body;
    const window = windowOf(beginMs, beginMs + 350 * SECOND_MS);
    const seqs: number[] = [];
    for (let cursor: string | null = first.pagination.next_cursor; cursor !== null;) {
      const { body } = await ask(EVENTS, { ...window, limit: '200', cursor });
      seqs.push(...body.data.map(({ seq }: Row) => seq));
      cursor = body.pagination.next_cursor;
    }
    expect(seqs).toEqual(expectedOf(beginMs, beginMs + 350 * SECOND_MS).toReversed());
  });
});

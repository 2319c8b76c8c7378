import { describe, expect, it } from 'vitest';
import { follow, show } from '../../../commands/audit/show.ts';
import { outputTo } from '../../../commands/countersign/result.ts';
import { clientOf, event, pageOf, refusal, startTrailServer, type Reply } from './trail-server.ts';

/** A service with these answers, and a terminal that keeps what it is shown. No time passes. */
async function open(replies: readonly Reply[], stopAfterRequests = Infinity) {
  const server = await startTrailServer(replies);
  const lines: string[] = [];
  const notices: string[] = [];
  const slept: number[] = [];
  const stop = new AbortController();
  const sleep = async (ms: number) => await Promise.resolve(void slept.push(ms));
  const sink = {
    write: async (text: string) => {
      lines.push(...text.trimEnd().split('\n'));
      if (server.asked.length >= stopAfterRequests) stop.abort();
      await Promise.resolve();
    },
    notice: (line: string) => void notices.push(line),
    cells: 120,
  };
  return {
    server,
    client: clientOf(server.url, slept),
    output: outputTo(sink, { json: true }),
    table: outputTo(sink, {}),
    lines,
    notices,
    slept,
    following: { limit: 2, place: null, sleep, signal: stop.signal },
  };
}

const seqsOf = (lines: readonly string[]): number[] => lines.map((line) => (JSON.parse(line) as { seq: number }).seq);

describe('showing events', () => {
  it('pages until it has as many as asked for', async () => {
    const trail = await open([pageOf([event(9), event(8)], 'c8'), pageOf([], 'c5'), pageOf([event(3)], 'c3')]);
    await show(trail.client, { token_id: 'tok' }, { limit: 3, order: 'desc' }, trail.output);
    expect(seqsOf(trail.lines)).toEqual([9, 8, 3]);
    expect(trail.server.asked.map(({ query }) => query)).toEqual([
      { token_id: 'tok', order: 'desc', limit: '3' },
      { token_id: 'tok', order: 'desc', limit: '1', cursor: 'c8' },
      { token_id: 'tok', order: 'desc', limit: '1', cursor: 'c5' },
    ]);
    expect(trail.notices).toEqual([expect.stringContaining('There may be more')]);
  });

  it('says when nothing matches, aside', async () => {
    const trail = await open([pageOf([])]);
    await show(trail.client, {}, { limit: 3, order: 'desc' }, trail.table);
    expect([trail.lines, trail.notices]).toEqual([[], ['No events match.']]);
  });

  it('ends in ascending order although there is always a cursor', async () => {
    const trail = await open([pageOf([event(1)], 'c1', false)]);
    await show(trail.client, {}, { limit: 3, order: 'asc' }, trail.output);
    expect([seqsOf(trail.lines), trail.server.asked.length]).toEqual([[1], 1]);
  });

  it.each([
    ['as long as it is asked to', 429, { 'Retry-After': '7' }, 7_000],
    ['two minutes, where it asks for them', 503, { 'Retry-After': '120' }, 120_000],
    ['two seconds where nothing is said', 503, {}, 2_000],
  ])('waits for a service that is busy: %s', async (_name, status, headers: Record<string, string>, ms) => {
    const trail = await open([refusal(status, 'Later.', {}, headers), pageOf([event(1)])]);
    await show(trail.client, {}, { limit: 3, order: 'desc' }, trail.output);
    expect([seqsOf(trail.lines), trail.slept]).toEqual([[1], [ms]]);
  });

  it('gives up in the end', async () => {
    const trail = await open([refusal(503, 'The trail did not confirm this.')]);
    await expect(show(trail.client, {}, { limit: 3, order: 'desc' }, trail.output)).rejects.toThrow(
      'The trail did not confirm this.',
    );
    expect(trail.slept).toEqual([2_000, 4_000, 8_000, 16_000, 32_000]);
  });
});

describe('following the trail', () => {
  it('begins with the last events and shows each later one once', async () => {
    const replies = [
      pageOf([event(9), event(8), event(7)], 'c7', true),
      pageOf([event(8), event(9)], 'c9', false),
      pageOf([], 'c9', false),
      pageOf([event(10)], 'c10', true),
      pageOf([event(11)], 'c11', false),
    ];
    const trail = await open(replies, replies.length);
    await follow(trail.client, { status: 'failure' }, trail.following, trail.output);
    expect(seqsOf(trail.lines)).toEqual([8, 9, 10, 11]);
    expect(trail.server.asked.map(({ query }) => [query['order'], query['limit'], query['cursor']])).toEqual([
      ['desc', '3', undefined],
      ['asc', '200', 'c7'],
      ['asc', '200', 'c9'],
      ['asc', '200', 'c9'],
      ['asc', '200', 'c10'],
    ]);
    expect(trail.server.asked.every(({ query }) => query['status'] === 'failure')).toBe(true);
    // What can be had at once is not waited for.
    expect(trail.slept).toEqual([2_000, 2_000]);
  });

  it('begins where --from says', async () => {
    const trail = await open([pageOf([event(1)], 'c1', false)], 1);
    await follow(trail.client, { from: '2026-01-01T00:00:00Z' }, trail.following, trail.output);
    expect(trail.server.asked[0]?.query).toEqual({ from: '2026-01-01T00:00:00Z', order: 'asc', limit: '200' });
  });

  it('outlives a service that is busy, broken or gone', async () => {
    const gone: Reply = (response) => void response.destroy();
    const replies = [
      pageOf([]),
      refusal(429, 'Later.', {}, { 'Retry-After': '3' }),
      refusal(503, 'Later.'),
      gone,
      refusal(500, 'Broken.'),
      pageOf([event(1)], 'c1', false),
    ];
    const trail = await open(replies, replies.length);
    await follow(trail.client, {}, trail.following, trail.output);
    expect(seqsOf(trail.lines)).toEqual([1]);
    expect(trail.slept).toEqual([3_000, 4_000, 8_000, 16_000]);
    expect(trail.notices).toContain('The service does not answer; asking again in 8 s.');
  });

  it('does not wait for a service that was never there', async () => {
    const trail = await open([(response) => void response.destroy()]);
    await expect(follow(trail.client, {}, trail.following, trail.output)).rejects.toThrow('Nothing answers at');
    expect(trail.slept).toEqual([]);
  });

  it('ends when its JWT is no longer accepted', async () => {
    const trail = await open([pageOf([]), refusal(401, 'No.')]);
    await expect(follow(trail.client, {}, trail.following, trail.output)).rejects.toMatchObject({
      failure: { status: 401 },
    });
  });
});

describe('a place that outlives a follower', () => {
  it('is saved once the events before it are written, and where the next one goes on', async () => {
    const trail = await open(
      [pageOf([event(1)], 'c1', false), pageOf([], 'c1', false), pageOf([event(2)], 'c2', false)],
      3,
    );
    const saved: unknown[] = [];
    const place = {
      cursor: 'c0',
      save: async (cursor: string) => await Promise.resolve(void saved.push([cursor, trail.lines.length])),
    };
    await follow(trail.client, {}, { ...trail.following, place }, trail.output);
    expect(trail.server.asked.map(({ query }) => query['cursor'])).toEqual(['c0', 'c1', 'c1']);
    expect(saved).toEqual([
      ['c1', 1],
      ['c2', 2],
    ]);
  });
});

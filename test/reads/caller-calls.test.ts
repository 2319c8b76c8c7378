import { beforeEach, describe, expect, it } from 'vitest';
import { READ_CALLERS_MAX_COUNT, READ_KEYS_MAX_COUNT } from '../../src/config/limits.ts';
import { createCalledRows, createCallerCalls } from '../../src/reads/caller-calls.ts';
import { type EventOutcome, eventSubject, finalRow, successOutcome } from '../../src/trail/event.ts';
import { TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createCompany, jwtNow, list, namesIn, readsAt } from './isolates.ts';

// The calls to PipeOps that one caller's reads may cause: ten a minute in an isolate.

const MOST = 10;
const NOW = 1_000_000;
const ALICE = { issuer: 'https://issuer.example', subject: 'alice' };

describe('the calls of a caller', () => {
  it.each([
    ['another subject', { ...ALICE, subject: 'bob' }, 0],
    ['the same subject of another issuer', { ...ALICE, issuer: 'https://other.example' }, 0],
    ['itself', ALICE, 60],
  ])('are none of %s', (_who, who, wait) => {
    const callsOf = createCallerCalls();
    for (let sent = 0; sent < MOST; sent += 1) expect(callsOf(ALICE).take(NOW)).not.toBeNull();
    expect(callsOf(ALICE).take(NOW)).toBeNull();
    expect(callsOf(who).waitSeconds(NOW)).toBe(wait);
  });

  it('come back one by one, a minute after each was sent', () => {
    const calls = createCallerCalls()(ALICE);
    for (let sent = 0; sent < MOST; sent += 1) calls.take(NOW + sent * 1000);
    expect(calls.waitSeconds(NOW + 10_000)).toBe(50);
    expect(calls.take(NOW + 59_999)).toBeNull();
    expect(calls.take(NOW + 60_000)).not.toBeNull();
    expect(calls.take(NOW + 60_000)).toBeNull();
  });

  it('are given back where they were not sent', () => {
    const calls = createCallerCalls()(ALICE);
    for (let tried = 0; tried < 3 * MOST; tried += 1) calls.take(NOW)?.();
    expect(calls.waitSeconds(NOW)).toBe(0);
    for (let sent = 0; sent < MOST; sent += 1) expect(calls.take(NOW)).not.toBeNull();
  });

  it('do not wait for a clock that is put back', () => {
    const calls = createCallerCalls()(ALICE);
    for (let sent = 0; sent < MOST; sent += 1) calls.take(NOW + 3_600_000);
    expect(calls.take(NOW)).not.toBeNull();
  });

  it('are forgotten of those who were not seen for longest', () => {
    const callsOf = createCallerCalls();
    for (let sent = 0; sent < MOST; sent += 1) callsOf(ALICE).take(NOW);
    for (let other = 0; other < READ_CALLERS_MAX_COUNT; other += 1) {
      callsOf({ ...ALICE, subject: `other-${other}` }).take(NOW);
    }
    expect(callsOf(ALICE).waitSeconds(NOW)).toBe(0);
  });

  it('are remembered of as many callers as there is room for', () => {
    const callsOf = createCallerCalls();
    for (let sent = 0; sent < MOST; sent += 1) callsOf(ALICE).take(NOW);
    for (let other = 1; other < READ_CALLERS_MAX_COUNT; other += 1) {
      callsOf({ ...ALICE, subject: `other-${other}` }).take(NOW);
    }
    expect(callsOf(ALICE).waitSeconds(NOW)).toBe(60);
  });

  it('are forgotten of nobody for those who sent none', () => {
    const callsOf = createCallerCalls();
    for (let sent = 0; sent < MOST; sent += 1) callsOf(ALICE).take(NOW);
    for (let other = 0; other <= READ_CALLERS_MAX_COUNT; other += 1) {
      callsOf({ ...ALICE, subject: `other-${other}` }).take(NOW)?.();
    }
    expect(callsOf(ALICE).waitSeconds(NOW)).toBe(60);
  });

  it('are none of those that are given back after that', () => {
    const callsOf = createCallerCalls();
    const giveBack = callsOf(ALICE).take(NOW);
    for (let other = 0; other < READ_CALLERS_MAX_COUNT; other += 1) {
      callsOf({ ...ALICE, subject: `other-${other}` }).take(NOW);
    }
    giveBack?.();
    for (let sent = 0; sent < MOST; sent += 1) callsOf(ALICE).take(NOW + 1);
    giveBack?.();
    expect(callsOf(ALICE).take(NOW + 1)).toBeNull();
  });
});

describe('the row that an alike read of this minute was counted in', () => {
  const MINUTE = 60_000_000;
  const origin = { requestId: 'r-1', ip: null, userAgent: null, policyVersion: '0000000000000000' };
  const actor = { type: 'user', issuer: ALICE.issuer, subject: ALICE.subject, label: null } as const;
  const read = (atMs = MINUTE, outcome: EventOutcome = successOutcome(null), subject = ALICE.subject) => {
    const event = eventSubject('service_account_token.list', { ...actor, subject }, { workspaceUuid: 'w-1' });
    return finalRow(crypto.randomUUID(), atMs, origin, event, outcome);
  };
  const failed: EventOutcome = {
    status: 'failure',
    upstreamStatus: 503,
    errorCode: 'upstream_error',
    detail: { a: 1 },
  };

  it('is known whatever came of either', () => {
    const rows = createCalledRows();
    expect(rows.of(read())).toBeNull();
    rows.note(read(MINUTE, failed), 'event-1');
    expect(rows.of(read(MINUTE + 59_999, successOutcome(200)))).toBe('event-1');
    rows.note(read(), 'event-2');
    expect(rows.of(read(MINUTE, failed))).toBe('event-2');
    expect(rows.of(read(MINUTE, successOutcome(null), 'bob'))).toBeNull();
  });

  it('is forgotten with its minute, and where too many are known', () => {
    const rows = createCalledRows();
    rows.note(read(), 'event-1');
    rows.note(read(MINUTE, successOutcome(null), 'bob'), 'event-2');
    expect(rows.of(read())).toBe('event-1');
    rows.note(read(MINUTE + 60_000, successOutcome(null), 'bob'), 'event-3');
    expect(rows.of(read())).toBeNull();
    for (let other = 0; other < READ_KEYS_MAX_COUNT; other += 1) {
      rows.note(read(MINUTE + 60_000, successOutcome(null), `other-${other}`), 'event-4');
    }
    expect(rows.of(read(MINUTE + 60_000, successOutcome(null), 'bob'))).toBeNull();
    expect(rows.of(read(MINUTE + 60_000, successOutcome(null), `other-${READ_KEYS_MAX_COUNT - 1}`))).toBe('event-4');
  });
});

const NO_CACHE = { 'Cache-Control': 'no-cache' };
const gone = async (by: Harness, sub = 'admin-1'): Promise<Answer> =>
  await by.send('GET', `${TOKENS}/${crypto.randomUUID()}`, { jwt: await jwtNow(by, 'admin', { sub }) });

describe('a caller that has caused ten calls in a minute', () => {
  let company: Awaited<ReturnType<typeof createCompany>>;
  let isolate: Harness;
  beforeEach(async () => {
    company = await createCompany();
    isolate = company.first;
  });

  const ways: readonly (readonly [string, () => Promise<Harness>, (by: Harness) => Promise<Answer>])[] = [
    ['with no-cache', async () => isolate, async (by) => await list(by, NO_CACHE)],
    [
      'with lists that are asked for each time',
      async () => await company.another({ env: { SNAPSHOT_MAX_AGE_SECONDS: '0' } }),
      async (by) => await list(by),
    ],
    [
      'with single tokens beside a list that is partial',
      async () => {
        await isolate.control.behave(isolate.workspace, { list: { page_size: 2, pages: 'ignored' } });
        for (const name of ['b', 'c']) await isolate.mint(name);
        await list(isolate);
        return isolate;
      },
      async (by) => await gone(by),
    ],
    [
      'with lists of many pages',
      async () => {
        for (const name of ['b', 'c', 'd']) await isolate.mint(name);
        await isolate.control.behave(isolate.workspace, { list: { page_size: 1 } });
        return isolate;
      },
      async (by) => await list(by, NO_CACHE),
    ],
    [
      'with lists that are tried again and again',
      async () => {
        await isolate.control.fault({
          status: 503,
          times: 100,
          match: { workspace_uuid: isolate.workspace, method: 'GET' },
        });
        return isolate;
      },
      async (by) => await list(by),
    ],
  ];

  it.each(ways)('causes no more: %s', async (_way, prepare, read) => {
    await isolate.mint('one');
    const by = await prepare();
    const before = (await readsAt(isolate)).length;
    for (let second = 0; second < 15; second += 1) {
      company.age(3);
      await read(by);
    }
    const caused = (await readsAt(isolate)).length - before;
    expect(caused).toBeLessThanOrEqual(MOST);
    expect(caused).toBeGreaterThanOrEqual(MOST - 2);
    company.age(60);
    await read(by);
    expect((await readsAt(isolate)).length).toBeGreaterThan(before + caused);
  });

  const exhaust = async (): Promise<void> => {
    for (let second = 0; second < MOST; second += 1) {
      await list(isolate, NO_CACHE);
      company.age(3);
    }
  };

  it('gets the list that is current, which says that it is stale', async () => {
    await isolate.mint('one');
    await exhaust();
    const answer = await list(isolate, NO_CACHE);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=-\d; detail=stale$/);
    expect(namesIn(answer)).toEqual(['one']);
    expect((await isolate.rows()).at(-1)).toMatchObject({ action: 'service_account_token.list', status: 'success' });
    // To those who want no newer one it is not.
    expect((await list(isolate)).headers.get('Cache-Status')).toMatch(/^countersign; hit; ttl=\d+$/);
  });

  it('is told to wait where that is not current, and others are not', async () => {
    await isolate.mint('one');
    await exhaust();
    await isolate.mint('two');
    const answer = await list(isolate);
    expect([answer.status, answer.body.code]).toEqual([429, 'rate_limited']);
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(20);
    expect((await isolate.rows()).at(-1)).toMatchObject({ status: 'failure', error_code: 'rate_limited' });
    const other = await isolate.send('GET', TOKENS, { jwt: await jwtNow(isolate, 'admin', { sub: 'other' }) });
    expect(namesIn(other)).toEqual(['one', 'two']);
    // What the other one asked for is there for it too.
    expect(namesIn(await list(isolate))).toEqual(['one', 'two']);
  });

  it('takes no lease: nobody waits for a list that it will not ask for', async () => {
    await isolate.mint('one');
    await exhaust();
    await isolate.mint('two');
    await list(isolate);
    const pauses: number[] = [];
    const other = await company.another({ runtime: { sleep: async (ms) => void pauses.push(ms) } });
    expect(namesIn(await list(other))).toEqual(['one', 'two']);
    expect(pauses).toEqual([]);
  });

  it('changes tokens all the same', async () => {
    const { id } = await isolate.mint('one');
    await exhaust();
    expect((await isolate.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
  });
});

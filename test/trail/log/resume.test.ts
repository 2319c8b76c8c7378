import { env } from 'cloudflare:workers';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { leafHash } from '../../../src/tlog/merkle.ts';
import { createSigner, verifierText } from '../../../src/tlog/note.ts';
import { entryOf } from '../../../src/trail/log/facts.ts';
import { createFaults, FAULT_MODES, type FaultMode } from '../../support/faults.ts';
import { type Answer, createHarness, type Harness, type HarnessOptions, ISSUER } from '../../support/harness.ts';
import { filesOfLog, NAME, OTHER_TRAIL_KEY, readKey, TRAIL_KEY } from './built-logs.ts';
import {
  beginLog,
  entriesOf,
  eventsOf,
  fromBase64,
  leavesOf,
  logs,
  pending,
  stopLog,
  storedNote,
  storeFiles,
} from './stored-logs.ts';

const LOG = '/api/v1/audit/log';
const REASON = 'INC-9: D1 was restored to 10:00';
const roles = {
  operator: { permissions: ['trail:resume', 'audit:read'], tokens: 'any', workspaces: ['*'], scopes: [] },
};
const withKey = async (options: HarnessOptions = {}): Promise<Harness> =>
  await createHarness({ roles, ...options, env: { TRAIL_KEY, ...options.env } });
const resume = async (h: Harness, body: unknown = { reason: REASON }): Promise<Answer> =>
  await h.send('POST', LOG, { jwt: await h.jwtFor('operator'), body });
const newestOf = async (action: string): Promise<AuditEventRow | null> =>
  await env.DB.prepare('select * from audit_events where action = ? order by seq desc limit 1').bind(action).first();
const read = async (h: Harness, path: string): Promise<Answer> =>
  await h.send('GET', path, { jwt: await h.jwtFor('operator') });
const sealedIn = async (log: number): Promise<Record<string, unknown>> =>
  JSON.parse((await leavesOf(log))[0]?.entry ?? 'null');

/** Is done before each batch that would begin a new log. */
let beforeBatch: (batch: number) => Promise<unknown> = async () => await Promise.resolve();
/** Is done after each of them. If it throws, the batch is committed and its answer is lost. */
let afterBatch: (batch: number) => Promise<unknown> = async () => await Promise.resolve();
let batches = 0;
const hooked: D1Database = new Proxy(env.DB, {
  get: (target, key) => {
    const value: unknown = Reflect.get(target, key);
    if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
    return async (statements: D1PreparedStatement[]) => {
      const isBeginning = statements.length > 5;
      if (isBeginning) await beforeBatch((batches += 1));
      const results = await target.batch(statements);
      if (isBeginning) await afterBatch(batches);
      return results;
    };
  },
});

let h: Harness;
/** Another isolate. */
let other: Harness;
beforeAll(async () => {
  [h, other] = await Promise.all([withKey(), withKey({ db: hooked })]);
});
beforeEach(() => {
  beforeBatch = async () => await Promise.resolve();
  afterBatch = async () => await Promise.resolve();
  batches = 0;
});

describe('after D1 was rolled back', () => {
  let answer: Answer;
  let newestSeq: number;
  let begun: readonly (readonly [number, string])[];
  let known: string;

  beforeAll(async () => {
    await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'POST' }, drop: 'after_commit' });
    for (const name of ['open', 'one', 'two'])
      await h.send('POST', '/api/v1/service-account-tokens', { body: { name, scopes: ['api:read'] } });
    newestSeq = (await eventsOf()).at(-1)?.seq ?? 0;
    begun = (await eventsOf()).map(({ seq, status }) => [seq, status]);
    // The beginnings of the first two are published. What follows is assigned, and in another file than what was signed later.
    const kept = [
      { kind: 'recorded', seq: 1 },
      { kind: 'recorded', seq: 2 },
    ] as const;
    const lost = [
      { kind: 'settled', seq: 2 },
      { kind: 'final', seq: 3 },
    ] as const;
    await beginLog(NAME, [...kept, ...lost], kept.length);
    await env.DB.prepare(`insert into trail_pending values (1, 'settlement')`).run();
    const future = Array.from({ length: 20 }, (_, more) => entryOf('final', { seq: 3 + more, id: `lost-${more}` }));
    await storeFiles(await filesOfLog(1, NAME, [...(await entriesOf(kept)), ...future], [2, 12, 22]));
    known = await storedNote(1, 22);
    await stopLog('rolled_back');
    answer = await resume(h);
  });

  it('(one attempt is open, and two are settled)', () => {
    expect(begun).toEqual([
      [1, 'attempted'],
      [2, 'success'],
      [3, 'success'],
    ]);
  });

  it('a new log begins, and its caller learns what it follows', async () => {
    expect(answer.status).toBe(201);
    expect(answer.body.data).toEqual({
      number: 2,
      origin: `${NAME}/2`,
      begun_at: expect.any(String),
      because: 'rolled_back',
      previous: { number: 1, origin: NAME, size: 2, checkpoint: await storedNote(1, 2), known },
      kept_seq: 2,
      gap: { from: newestSeq + 1, to: 22 },
      event_id: answer.headers.get('X-Audit-Event-Id'),
    });
  });

  it('the event stands in the trail behind the gap, and what comes next behind it', async () => {
    const row = await newestOf('trail.resume');
    expect(row).toMatchObject({ seq: 23, status: 'success', actor_subject: 'operator-1', error_code: null });
    expect(JSON.parse(row?.detail ?? '')).toMatchObject({
      reason: REASON,
      log: 2,
      because: 'rolled_back',
      kept_size: 2,
      kept_seq: 2,
    });
    expect(JSON.parse(row?.outcome ?? '')).toEqual({ role: 'operator' });
    await read(h, '/api/v1/audit/export');
    expect((await eventsOf()).map(({ seq }) => seq)).toEqual([1, 2, 3, 23, 24]);
  });

  it('its first leaf has exactly the entry that readers of chains expect', async () => {
    const [leaf] = await leavesOf(2);
    const body = {
      at: answer.body.data.begun_at,
      log: 2,
      previous: { origin: NAME, size: 2, checkpoint: await storedNote(1, 2), known },
      kept_size: 2,
      kept_seq: 2,
      gap: { from: 4, to: 22 },
      because: 'rolled_back',
      reason: REASON,
      event_id: answer.body.data.event_id,
    };
    expect(leaf).toMatchObject({ log: 2, idx: 0, kind: 'resumed', seq: null, authentic: 1 });
    expect(JSON.parse(leaf?.entry ?? '')).toEqual({ v: 1, fact: 'resumed', ...body });
    const entry = entryOf('resumed', body);
    expect(leaf?.entry).toBe(new TextDecoder().decode(entry));
    expect(fromBase64(leaf?.hash ?? '')).toEqual(leafHash(entry));
  });

  it('the old log says so, and the new one goes on from where the old one had come', async () => {
    const [leaf] = await leavesOf(2);
    expect(await logs()).toEqual([
      expect.objectContaining({ number: 1, stopped: 'resumed', stopped_at: 2, size: 4, published_size: 2 }),
      {
        number: 2,
        origin: `${NAME}/2`,
        begun_at: Date.parse(answer.body.data.begun_at),
        size: 1,
        edge: JSON.stringify([leaf?.hash]),
        through_seq: 3,
        published_size: 0,
        published_at: null,
        stopped: null,
        stopped_at: null,
        key: null,
      },
    ]);
  });

  it('what only the lost part has sealed waits to be sealed anew, and what waited goes on waiting', async () => {
    expect(await pending()).toEqual({ 1: 'settlement', 2: 'settlement', 3: 'leaf' });
  });

  it('queries, exports and counts go over the gap', async () => {
    const seqs = (text: string): unknown[] =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).seq);
    const page = await read(
      h,
      '/api/v1/audit/events?order=asc&limit=2&latest=true&action=!audit.query,!audit.export,!audit.count',
    );
    const next = await read(
      h,
      `/api/v1/audit/events?order=asc&latest=true&action=!audit.query,!audit.export,!audit.count&cursor=${page.body.pagination.next_cursor}`,
    );
    expect([...page.body.data, ...next.body.data].map(({ seq }: AuditEventRow) => seq)).toEqual([1, 2, 3, 23]);
    const from = new Date(Date.now() - 3_600_000).toISOString();
    const file = await read(
      h,
      `/api/v1/audit/export?latest=true&from=${from}&action=!audit.query,!audit.export,!audit.count`,
    );
    expect(seqs(file.text)).toEqual([1, 2, 3, 23, undefined]);
    const counts = await read(h, `/api/v1/audit/counts?by=action&from=${from}`);
    expect(counts.body.data).toContainEqual({ key: 'trail.resume', count: 1 });
  });

  it('nothing is resumed twice', async () => {
    const again = await resume(h);
    expect([again.status, again.body.code]).toEqual([409, 'log_not_stopped']);
    expect(await newestOf('trail.resume')).toMatchObject({ status: 'failure', error_code: 'log_not_stopped' });
    expect(await logs()).toHaveLength(2);
  });
});

describe('a log that has published nothing', () => {
  it('is followed by one that names no checkpoint, and without a gap where nothing is known beyond D1', async () => {
    const { through_seq } = (await logs()).at(-1)!;
    await stopLog('forked');
    const { body } = await resume(h);
    expect(body.data).toMatchObject({
      number: 3,
      because: 'forked',
      previous: { number: 2, origin: `${NAME}/2`, size: 0, checkpoint: null, known: null },
      kept_seq: 2,
      gap: null,
    });
    expect(await sealedIn(3)).toMatchObject({ log: 3, gap: null, kept_size: 0, previous: { checkpoint: null } });
    expect((await logs()).at(-1)).toMatchObject({ through_seq });
    const row = await newestOf('trail.resume');
    expect(row?.seq).toBe((await eventsOf()).at(-1)?.seq);
  });
});

/** Whether the first leaf of a log names the event in which it was begun. */
const namesEvent = async (log: number, eventId: string | undefined): Promise<boolean> =>
  eventId !== undefined && (await sealedIn(log))['event_id'] === eventId;

/** Files of the current log that nobody signed, from which a gap follows: it reaches so many numbers beyond the newest event. */
async function sealBeyond(numbers: number): Promise<void> {
  const { number } = (await logs()).at(-1)!;
  const highest = ((await eventsOf()).at(-1)?.seq ?? 0) + numbers;
  await storeFiles(await filesOfLog(number, `${NAME}/${number}`, [entryOf('final', { seq: highest })]));
  await stopLog('rolled_back');
}

const addEvents = async (count: number): Promise<void> =>
  void (await env.DB.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail, outcome)
      select lower(hex(randomblob(16))), 1, 1, 'status.read', 'success', 'system', '{"policy":"0"}', '{}' from json_each(?)`,
  )
    .bind(JSON.stringify(Array.from({ length: count }, (_, index) => index)))
    .run());

describe('events that come between the reading and the batch', () => {
  it.each([
    ['one', 1],
    ['as many as there are first leaves for', 63],
    ['more than that, so that it is tried again', 70],
    ['more than the gap is long, so that there is none', 200],
  ])('%s: the gap begins behind them, and the leaf says so', async (_name, count) => {
    await sealBeyond(150);
    const newest = (await eventsOf()).at(-1)?.seq ?? 0;
    beforeBatch = async (batch) => (batch === 1 ? await addEvents(count) : undefined);
    const { status, body } = await resume(other);
    expect(status).toBe(201);
    const gap = count < 150 ? { from: newest + count + 1, to: newest + 150 } : null;
    expect(body.data.gap).toEqual(gap);
    expect((await sealedIn(body.data.number))['gap']).toEqual(gap);
    const [leaf] = await leavesOf(body.data.number);
    expect(fromBase64(leaf?.hash ?? '')).toEqual(leafHash(new TextEncoder().encode(leaf?.entry ?? '')));
    expect((await newestOf('trail.resume'))?.seq).toBe(Math.max(newest + 151, newest + count + 1));
  });

  it('a trail that grows too fast each time is not resumed', async () => {
    await sealBeyond(10_000);
    beforeBatch = async () => await addEvents(70);
    const { status, body } = await resume(other);
    expect([status, body.code]).toEqual([503, 'audit_unavailable']);
    expect((await logs()).at(-1)?.stopped).toBe('rolled_back');
    expect(await env.DB.prepare('select max(to_seq) as to_seq from trail_gaps').first('to_seq')).toBeLessThan(5_000);
  });
});

it('of two that come at once one begins a log', async () => {
  await stopLog('rolled_back');
  const last = (await logs()).at(-1)!.number;
  const answers = await Promise.all([resume(h), resume(other), resume(h)]);
  expect(answers.map(({ status }) => status).toSorted((one, next) => one - next)).toEqual([201, 409, 409]);
  expect((await logs()).slice(last)).toHaveLength(1);
});

it('one whose answer was lost does not have sealed a second time what the cron has sealed since', async () => {
  const { number, size } = (await logs()).at(-1)!;
  // A leaf that was never published: its event has to be sealed anew.
  const lost = env.DB.prepare(`insert into trail_leaves values (?, ?, 'final', 3, 'AAAA', 1, null)`).bind(number, size);
  await lost.run();
  await stopLog('forked');
  let awaited: Readonly<Record<string, string>> = {};
  afterBatch = async (batch) => {
    if (batch > 1) return;
    awaited = await pending();
    await env.DB.prepare('delete from trail_pending where seq = 3').run();
    throw new TypeError('injected: failed after its effect');
  };
  expect((await resume(other)).status).toBe(201);
  expect(batches).toBe(2);
  expect([awaited['3'], (await pending())['3']]).toEqual(['leaf', undefined]);
});

it('one whose log was resumed between its reading and its batch begins none', async () => {
  await stopLog('rolled_back');
  beforeBatch = async (batch) => (batch === 1 ? await resume(h) : undefined);
  const answer = await resume(other);
  expect([answer.status, answer.body.code]).toEqual([409, 'log_not_stopped']);
});

describe('a key that is lost', () => {
  /** The log says that this key signs it. */
  const signedBy = async (keyText: string): Promise<void> => {
    const { number, origin } = (await logs()).at(-1)!;
    const { verifier } = await createSigner(readKey(keyText), origin);
    await env.DB.prepare(`update trail_logs set key = ? where number = ?`).bind(verifierText(verifier), number).run();
  };

  it('is followed by a log of the new key, although the old one is not stopped', async () => {
    const { number, origin } = (await logs()).at(-1)!;
    await signedBy(TRAIL_KEY);
    expect((await resume(h)).status).toBe(409);
    await signedBy(OTHER_TRAIL_KEY);
    const { status, body } = await resume(h);
    expect(status).toBe(201);
    expect(body.data).toMatchObject({ because: 'key_lost', previous: { number, origin } });
    expect((await logs()).at(-2)).toMatchObject({ stopped: 'resumed', stopped_at: expect.any(Number) });
  });

  it('is none while it is to take over', async () => {
    await signedBy(OTHER_TRAIL_KEY);
    expect((await resume(await withKey({ env: { TRAIL_KEY_NEXT: OTHER_TRAIL_KEY } }))).status).toBe(409);
  });

  it('is found out by the last checkpoint, where no hand-over has named one', async () => {
    await stopLog();
    await resume(h);
    const { number, origin } = (await logs()).at(-1)!;
    const [leaf] = await leavesOf(number);
    const entries = [new TextEncoder().encode(leaf?.entry ?? '')];
    expect((await resume(h)).status).toBe(409);
    await env.DB.prepare('update trail_logs set published_size = 1 where number = ?').bind(number).run();
    await storeFiles(await filesOfLog(number, origin, entries, [1], OTHER_TRAIL_KEY));
    expect((await resume(h)).body.data).toMatchObject({ because: 'key_lost', previous: { number, size: 1 } });
    expect((await logs()).at(-2)).toMatchObject({ number, stopped: 'resumed' });
  });

  it('is found out so where the database was put back to before its hand-over', async () => {
    const { number, origin } = (await logs()).at(-1)!;
    const [leaf] = await leavesOf(number);
    const entries = [new TextEncoder().encode(leaf?.entry ?? '')];
    await storeFiles(await filesOfLog(number, origin, entries, [1], OTHER_TRAIL_KEY));
    await env.DB.prepare(
      `update trail_logs set published_size = 1, stopped = 'rolled_back', stopped_at = 1 where number = ?`,
    )
      .bind(number)
      .run();
    expect((await resume(h)).body.data).toMatchObject({ because: 'key_lost', previous: { number, size: 1 } });
  });
});

describe('a key that took over', () => {
  const keyUnder = async (origin: string, keyText = OTHER_TRAIL_KEY): Promise<string> =>
    verifierText((await createSigner(readKey(keyText), origin)).verifier);
  const bothKeys = async (): Promise<Harness> => await withKey({ env: { TRAIL_KEY_NEXT: OTHER_TRAIL_KEY } });
  /** The current log is handed over in its last leaf, which is published or not. */
  const handOver = async (isPublished: boolean): Promise<void> => {
    const { number, origin, size } = (await logs()).at(-1)!;
    const entry = `{"fact":"handover","v":1}`;
    await env.DB.batch([
      env.DB.prepare(`insert into trail_leaves values (?, ?, 'handover', null, ?, 1, ?)`).bind(
        number,
        size,
        Buffer.from(leafHash(new TextEncoder().encode(entry))).toString('base64'),
        entry,
      ),
      env.DB.prepare('update trail_logs set size = ?, published_size = ?, key = ? where number = ?').bind(
        size + 1,
        isPublished ? size + 1 : size,
        await keyUnder(origin),
        number,
      ),
    ]);
  };

  it('has the logs that follow as well, also while TRAIL_KEY is still the one before it', async () => {
    const both = await bothKeys();
    await handOver(true);
    for (const stop of ['rolled_back', 'forked'] as const) {
      // Each log follows the one before it.
      // oxlint-disable-next-line no-await-in-loop
      await stopLog(stop);
      // oxlint-disable-next-line no-await-in-loop
      expect((await resume(both)).body.data.because).toBe(stop);
      // oxlint-disable-next-line no-await-in-loop
      const { key, origin } = (await logs()).at(-1)!;
      // oxlint-disable-next-line no-await-in-loop
      expect(key).toBe(await keyUnder(origin));
    }
  });

  it('has none of them where nobody was shown the leaf in which it did: the key before it hands over again', async () => {
    await stopLog('rolled_back');
    await resume(h);
    await env.DB.prepare('update trail_logs set key = null where number = (select max(number) from trail_logs)').run();
    await handOver(false);
    await stopLog('rolled_back');
    await resume(await bothKeys());
    expect((await logs()).at(-1)?.key).toBeNull();
  });

  it('has none that follows the loss of it', async () => {
    await handOver(true);
    expect((await resume(h)).body.data.because).toBe('key_lost');
    expect((await logs()).at(-1)?.key).toBeNull();
  });
});

describe('nothing is resumed', () => {
  it.each<[string, unknown, number, string]>([
    ['without a reason', {}, 422, 'validation_failed'],
    ['for a reason that is empty', { reason: ' ' }, 422, 'validation_failed'],
    ['for a reason that is too long', { reason: 'x'.repeat(501) }, 422, 'validation_failed'],
    ['for a reason with a token in it', { reason: `saw sat_${'a'.repeat(40)}` }, 422, 'validation_failed'],
    ['for a reason and more', { reason: REASON, log: 1 }, 400, 'invalid_request'],
  ])('%s', async (_name, body, status, code) => {
    const answer = await resume(h, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it('where nothing is sealed', async () => {
    const answer = await resume(await createHarness({ roles }));
    expect([answer.status, answer.body.code]).toEqual([503, 'sealing_not_configured']);
    expect(await newestOf('trail.resume')).toMatchObject({ status: 'failure', error_code: 'sealing_not_configured' });
  });

  it('by somebody who was offboarded', async () => {
    await stopLog('forked');
    const subject = { issuer: ISSUER, subject: 'operator-1' };
    const jwt = await h.jwtFor('admin');
    await h.send('POST', '/api/v1/revocations', { jwt, body: { subject, reason: 'left' } });
    const answer = await resume(h);
    expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
    expect(await newestOf('trail.resume')).toMatchObject({ status: 'failure', error_code: 'subject_blocked' });
    await h.send('POST', '/api/v1/reinstatements', { jwt, body: { subject, reason: 'a test' } });
    expect((await logs()).at(-1)?.stopped).toBe('forked');
  });

  it('while the files of the log cannot be read', async () => {
    const bucket = {
      put: () => null,
      get: () => null,
      list: async () => await Promise.reject(new Error('R2 is down')),
    };
    const answer = await resume(await withKey({ env: { TRAIL: bucket } }));
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect((await logs()).at(-1)?.stopped).toBe('forked');
  });
});

describe('whatever fails on the way', () => {
  const plan = { point: 0, mode: FAULT_MODES[0] as FaultMode };
  const faults = createFaults(plan);
  let failing: Harness;
  let calls = 0;
  beforeAll(async () => {
    failing = await withKey({ db: faults.db, runtime: faults.runtime });
    await sealBeyond(20);
    faults.arm();
    await resume(failing);
    calls = faults.points.length;
  });

  it.each(FAULT_MODES)(
    'D1 %s, at each call of its own and one of the store: all of it is done, or nothing',
    async (mode) => {
      // The log is read first, then its files, then the newest event; the last call begins the new log.
      for (const point of [1, 3, calls - 1, calls]) {
        await sealBeyond(20);
        const old = { logs: (await logs()).length, newest: (await eventsOf()).at(-1)?.seq ?? 0 };
        faults.points.length = 0;
        Object.assign(plan, { point, mode });
        const answer = await resume(failing);
        const current = (await logs()).at(-1)!;
        const isBegun = current.stopped === null;
        expect((await logs()).length).toBe(old.logs + (isBegun ? 1 : 0));
        const gaps = await env.DB.prepare('select * from trail_gaps where from_seq > ?').bind(old.newest).all();
        expect(gaps.results).toHaveLength(isBegun ? 1 : 0);
        const rows = (await eventsOf()).filter(({ seq, status }) => seq > old.newest && status === 'success');
        expect(rows.map(({ action }) => action)).toEqual(isBegun ? ['trail.resume'] : []);
        // A batch whose fate is not known is sent again, and changes nothing the second time.
        expect([answer.status, isBegun]).toEqual(point === calls ? [201, true] : [503, false]);
        expect(await namesEvent(current.number, rows[0]?.id)).toBe(isBegun);
        // Whoever is not sure asks again.
        expect((await resume(h)).status).toBe(isBegun ? 409 : 201);
      }
    },
  );
});

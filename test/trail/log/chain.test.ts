import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { judge, type Judged } from '../../../commands/verify/judge/judge.ts';
import { parseKnown } from '../../../commands/verify/judge/known.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { grow, inclusionProof, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import { createSigner, verifierOf } from '../../../src/tlog/note.ts';
import { proveReceipt } from '../../../src/tlog/proof.ts';
import {
  entriesOfBundle,
  hashesOfTile,
  nodesOfTiles,
  TILE_WIDTH,
  tilePath,
  tileWidth,
} from '../../../src/tlog/tiles.ts';
import { storedFilesOf } from '../../../src/trail/log/beyond.ts';
import { checkpointKey, createR2Store } from '../../../src/trail/log/store.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { type Answer, createHarness, type Harness } from '../../support/harness.ts';
import { NAME, readKey, TRAIL_KEY } from './built-logs.ts';
import { clearTrail, unguarded } from './rig.ts';
import { eventsOf, leavesOf, logs, pending } from './stored-logs.ts';

// A database that is restored, from the first seal to the seal of the log that follows: what an auditor finds in the files of both.

const TABLES = [
  'audit_events',
  'open_creates',
  'trail_logs',
  'trail_leaves',
  'trail_pending',
  'trail_checkpoints',
  'trail_gaps',
  'audit_time_spans',
];
const keep = async (): Promise<void> =>
  void (await env.DB.batch(
    TABLES.map((table) => env.DB.prepare(`create table kept_${table} as select * from ${table}`)),
  ));
const restore = async (): Promise<void> =>
  await unguarded(
    TABLES.flatMap((table) => [
      `delete from ${table}`,
      `insert into ${table} select * from kept_${table}`,
      `drop table kept_${table}`,
    ]),
    '%',
  );

const files = storedFilesOf(createR2Store(env.TRAIL, workerRuntime), { trace: newTrace() });
const bytesOf = async (key: string): Promise<Uint8Array> => {
  const bytes = await files.get(key);
  if (bytes === null) throw new Error(`no file ${key}`);
  return bytes;
};

interface Entry {
  readonly fact: string;
  readonly seq?: number;
  readonly id?: string;
}

/** The entries of a log up to a size, whose root they must have. */
async function readLog(number: number, size: number): Promise<readonly Entry[]> {
  const entries: Uint8Array[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    const width = tileWidth('entries', index, size);
    entries.push(
      ...(entriesOfBundle(await bytesOf(`${number}/${tilePath({ level: 'entries', index, width })}`), width) ?? []),
    );
  }
  const note = new TextDecoder().decode(await bytesOf(checkpointKey(number, size)));
  expect(parseCheckpoint(note)?.checkpoint).toEqual({
    origin: number === 1 ? NAME : `${NAME}/${number}`,
    size,
    root: rootOf(grow([], 0, entries.map(leafHash))),
  });
  return entries.map((entry): Entry => JSON.parse(new TextDecoder().decode(entry)));
}

/** What an auditor finds who has the files, the export and the first verifier key, and has seen these checkpoints before. */
async function judged(h: Harness, nowMs: number, seen: readonly string[]): Promise<Judged> {
  const rows = await logs();
  const { text } = await h.send('GET', '/api/v1/audit/export?format=ndjson&latest=true');
  const known = parseKnown(seen.join('\n'), 'seen before');
  if (!known.ok) throw new Error(known.error);
  return await judge(
    {
      name: 'a restored service',
      atOnce: 1,
      logs: async () =>
        await Promise.resolve({
          logs: rows.map(({ number, origin, published_size: size, stopped }) => ({
            number,
            origin,
            size,
            stopped,
            stopped_at: null,
          })),
        }),
      checkpoint: async (log) => {
        const size = rows.find(({ number }) => number === log)?.published_size ?? 0;
        return size === 0 ? null : new TextDecoder().decode(await bytesOf(checkpointKey(log, size)));
      },
      tile: async (log, tile) => await files.get(`${log}/${tilePath(tile)}`),
      async *events() {
        yield* await Promise.resolve(text.trimEnd().split('\n'));
      },
    },
    {
      pins: [(await createSigner(readKey(TRAIL_KEY))).verifier],
      known: known.value,
      witnesses: [],
      quorum: 0,
      isLatest: true,
      isLive: true,
      nowMs,
      progress: () => {},
    },
  );
}

describe('a database that is restored', () => {
  let h: Harness;
  let skewMs = 0;
  let kept: readonly Entry[];
  let lost: readonly Entry[];
  let resumed: Answer;

  const create = async (name: string): Promise<Answer> =>
    await h.send('POST', '/api/v1/service-account-tokens', { body: { name, scopes: ['api:read'] } });
  const degraded = async (): Promise<readonly string[]> => (await h.send('GET', '/readyz')).body.data.degraded;
  const judgements = async (...seen: readonly string[]) => {
    const { verdicts, remarks } = await judged(h, Date.now() + skewMs, seen);
    const { integrity, completeness, freshness } = verdicts;
    return { verdicts: [integrity, completeness, freshness].map((verdict) => verdict?.judgement), remarks };
  };
  const publishedSize = async (): Promise<number> => (await logs()).at(-1)?.published_size ?? 0;
  beforeAll(async () => {
    await clearTrail();
    const operator = { permissions: ['trail:resume'], tokens: 'any', workspaces: ['*'], scopes: [] };
    h = await createHarness({
      roles: { operator },
      env: { TRAIL_KEY, TRAIL: env.TRAIL },
      runtime: { now: () => Date.now() + skewMs },
    });
    await create('one');
    await create('two');
    // A row that counts reads is still open when the database is kept.
    await h.send('GET', '/api/v1/audit/events');
    await h.cron();
    const keptSize = await publishedSize();
    await keep();
    // More than come between the restoration and the new log, so that a gap is left.
    // oxlint-disable-next-line no-await-in-loop -- in their order
    for (let lostEvents = 0; lostEvents < 8; lostEvents += 1) await create(`lost-${lostEvents}`);
    await h.cron();
    const lostSize = await publishedSize();
    await restore();
    kept = await readLog(1, keptSize);
    lost = (await readLog(1, lostSize)).slice(keptSize);
  });

  it('is noticed before anything is signed again, and writes go on', async () => {
    expect((await create('six')).status).toBe(201);
    await h.cron();
    expect((await logs()).map(({ stopped }) => stopped)).toEqual(['rolled_back']);
    expect(await degraded()).toContain('trail_rolled_back');
    expect((await create('seven')).status).toBe(201);
  });

  it('is wrong for an auditor who has seen what is lost, and stopped for any other', async () => {
    const lostNote = new TextDecoder().decode(await bytesOf(checkpointKey(1, kept.length + lost.length)));
    expect((await judgements(lostNote)).verdicts).toEqual(['good', 'wrong', 'wrong']);
    expect((await judgements()).verdicts).toEqual(['good', 'good', 'wrong']);
  });

  it('is resumed behind every number that was ever sealed', async () => {
    resumed = await h.send('POST', '/api/v1/audit/log', {
      jwt: await h.jwtFor('operator'),
      body: { reason: 'restored' },
    });
    expect(resumed.status).toBe(201);
    const highest = Math.max(...lost.map(({ seq = 0 }) => seq));
    expect(resumed.body.data.gap.to).toBe(highest);
    const known = parseCheckpoint(resumed.body.data.previous.known)?.checkpoint;
    expect(known?.size).toBe(kept.length + lost.length);
    expect(parseCheckpoint(resumed.body.data.previous.checkpoint)?.checkpoint.size).toBe(kept.length);
    // What /readyz has read is good for some seconds.
    skewMs += 60_000;
    expect(await degraded()).not.toContain('trail_rolled_back');
    // Numbers that no event has wait for no seal.
    const { size, through_seq } = (await logs()).at(-1)!;
    const waiting = Object.values(await pending()).filter((awaits) => awaits !== 'settlement').length;
    const fresh = (await eventsOf()).filter(({ seq }) => seq > through_seq).length;
    const { trail_log: told } = (await h.send('GET', '/api/v1/status')).body.data;
    expect(told.unsealed_events).toBe(fresh + size + waiting);
  });

  it('is sealed again: both logs together have each event, and no number has two', async () => {
    await create('eight');
    skewMs += 180_000;
    await h.cron();
    const { size, published_size } = (await logs()).at(-1)!;
    expect(published_size).toBe(size);
    const [first, ...rest] = await readLog(2, published_size);
    expect(first).toMatchObject({ fact: 'resumed', event_id: resumed.body.data.event_id });
    const sealed = [...kept, ...rest];
    const ids = new Map<number, string>();
    for (const { seq = 0, id = '' } of sealed) expect(ids.get(seq) ?? id).toBe((ids.set(seq, id), id));
    // What D1 has lost has numbers of the gap, or some that were given again before the log was resumed.
    const { gap } = resumed.body.data;
    const rows = await eventsOf();
    expect(rows.filter(({ seq }) => seq >= gap.from && seq <= gap.to)).toEqual([]);
    const waits = await pending();
    const open = rows.filter(({ seq }) => waits[seq] === 'close');
    expect([...ids].toSorted(([one], [two]) => one - two)).toEqual(
      rows.filter((row) => !open.includes(row)).map(({ seq, id }) => [seq, id]),
    );
    expect(rest.map(({ fact }) => fact)).toContain('counted');
  });

  it('is good again for every auditor, who is told of the loss', async () => {
    const { known, checkpoint } = resumed.body.data.previous;
    const { gap } = resumed.body.data;
    for (const seen of [[], [checkpoint], [known]]) {
      // oxlint-disable-next-line no-await-in-loop -- each adds a row to the trail that it reads
      const { verdicts, remarks } = await judgements(...seen);
      expect(verdicts).toEqual(['good', 'good', 'good']);
      expect(remarks).toContainEqual(expect.stringContaining(`"rolled_back"; "restored"`));
      expect(remarks.join()).toContain(`No event has a number from ${gap.from} to ${gap.to}.`);
    }
  });

  it('gives receipts of what the new log has sealed', async () => {
    const { published_size: size } = (await logs()).at(-1)!;
    const { publicKey } = (await createSigner(readKey(TRAIL_KEY))).verifier;
    const event = resumed.body.data.event_id;
    const seq = (await eventsOf()).find(({ id }) => id === event)?.seq;
    const leaf = (await leavesOf(2)).find((one) => one.seq === seq);
    const index = leaf?.idx ?? -1;
    const width = tileWidth('entries', 0, size);
    const entry = entriesOfBundle(await bytesOf(`2/${tilePath({ level: 'entries', index: 0, width })}`), width)?.[
      index
    ];
    const proof = await inclusionProof(
      index,
      size,
      nodesOfTiles(async (level, tile) => {
        const hashes = tileWidth(level, tile, size);
        return hashesOfTile(await bytesOf(`2/${tilePath({ level, index: tile, width: hashes })}`), hashes) ?? [];
      }),
    );
    const checkpoint = new TextDecoder().decode(await bytesOf(checkpointKey(2, size)));
    const proven = await proveReceipt(
      { entry: entry ?? new Uint8Array(), index, proof, checkpoint },
      verifierOf('log', `${NAME}/2`, publicKey),
    );
    expect(proven?.checkpoint.size).toBe(size);
    expect(new TextDecoder().decode(entry)).toContain(event);
  });
});

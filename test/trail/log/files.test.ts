import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { CALLER_READS_MAX_ROWS } from '../../../src/config/limits.ts';
import { tilesOf } from '../../../src/trail/log/receipt.ts';
import { parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { grow, inclusionProof, leafHash, rootOf } from '../../../src/tlog/merkle.ts';
import {
  cosign,
  createSigner,
  isSignedBy,
  parsePrivateKey,
  parseVerifier,
  privateKeyText,
  signatureLine,
  verifierOf,
  verifierText,
} from '../../../src/tlog/note.ts';
import { entriesOfBundle, newTiles, nodesOfTiles, tilePath } from '../../../src/tlog/tiles.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, type Harness } from '../../support/harness.ts';
import { insertRows } from '../query/trail.ts';
import { ORIGIN, putFile, resumed, seal, TRAIL_KEY } from './sealed.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';

// Rows are inserted as if requests had written them.
expectUnauthenticRows();

// The logs as trees of files, as a client of C2SP tlog-tiles reads them.

const AUDIT = '/api/v1/audit';
const EVENTS_COUNT = 700;

let harness: Harness;
let size = 0;
beforeAll(async () => {
  harness = await createHarness({ env: { TRAIL_KEY } });
  await insertRows(Array.from({ length: EVENTS_COUNT }, (_, at) => ({ request_id: `request-${at}` })));
  size = (await seal()).length;
});

interface Row {
  readonly action: string;
  readonly status: string;
  readonly error_code: string | null;
  readonly count: number;
  readonly detail: string;
}

/** What the reads of a caller left in the trail, without what every row says. */
async function rowsOf(subject: string) {
  const { results } = await env.DB.prepare(
    'select action, status, error_code, count, detail from audit_events where actor_subject = ? order by seq',
  )
    .bind(subject)
    .all<Row>();
  return results.map(({ detail, ...row }) => {
    const { policy: _policy, ...told } = JSON.parse(detail) as Record<string, unknown>;
    return { ...row, detail: told };
  });
}

/** A caller of its own, and what it is answered. */
async function reader() {
  const subject = `reader-${crypto.randomUUID()}`;
  const jwt = await harness.jwtFor('admin', { sub: subject });
  return {
    rows: async () => await rowsOf(subject),
    get: async (path: string, from = harness) => await from.send('GET', `${AUDIT}${path}`, { jwt }),
    bytes: async (path: string): Promise<Uint8Array> => {
      const request = new Request(`https://countersign.example${AUDIT}${path}`, {
        headers: { Authorization: `Bearer ${jwt}` },
      });
      return new Uint8Array(await (await harness.worker.fetch(request)).arrayBuffer());
    },
  };
}

it('a whole log is fetched file by file and leads to its signed root, in three rows of the trail', async () => {
  const { get, bytes, rows } = await reader();
  const listed = (await get('/log')).body.data;
  const text = await get('/checkpoint');
  expect(text.headers.get('Content-Type')).toBe('text/plain; charset=utf-8');
  const { note, checkpoint } = parseCheckpoint(text.text)!;
  expect(await isSignedBy(note, parseVerifier(listed.logs[0].verifier_key)!)).toBe(true);
  expect([checkpoint.origin, checkpoint.size]).toEqual([ORIGIN, size]);
  const tiles = newTiles(0, size);
  const files = await Promise.all(tiles.map(async (tile) => await bytes(`/${tilePath(tile)}`)));
  const entries = tiles.flatMap(({ level, width }, at) =>
    level === 'entries' ? (entriesOfBundle(files[at]!, width) ?? []) : [],
  );
  expect(rootOf(grow([], 0, entries.map(leafHash)))).toEqual(checkpoint.root);
  const found = await rows();
  expect(found).toEqual([
    { action: 'audit.query', status: 'success', error_code: null, count: 1, detail: { read: 'logs' } },
    { action: 'audit.query', status: 'success', error_code: null, count: 1, detail: { log: 1, read: 'checkpoint' } },
    expect.objectContaining({ detail: expect.objectContaining({ log: 1 }) }),
    expect.objectContaining({ detail: expect.objectContaining({ log: 1 }) }),
  ]);
  const entriesRead = found.find(({ detail }) => detail['read'] === 'entries');
  expect([entriesRead?.count, entriesRead?.detail]).toEqual([3, { log: 1, read: 'entries', from: 0, to: 65_535 }]);
  expect(found.find(({ detail }) => detail['read'] === 'hashes')?.count).toBe(tiles.length - 3);
});
it('takes far fewer rows a minute for a reader of the whole log than a caller may have', () => {
  // A caller's limit lets some 600 requests a minute pass, half of them for entries: a span has 256 bundles.
  expect(600 / 256 + 3).toBeLessThan(CALLER_READS_MAX_ROWS / 10);
});

describe('a tile', () => {
  it('of a size that was published before is served as long as the store has it', async () => {
    const { get } = await reader();
    await putFile('1/tile/0/002.p/5', new Uint8Array(160)).run();
    expect((await get('/tile/0/002.p/5')).status).toBe(200);
    expect((await get('/tile/0/002.p/6')).body.code).toBe('not_found');
  });

  it.each([
    ['beyond the published size', `/tile/0/002.p/${EVENTS_COUNT - 512 + 1}`],
    ['whole, that is partial', '/tile/0/002'],
    ['of a level that has none', '/tile/2/000.p/1'],
    ['of an index far away', '/tile/entries/x999/x999/999'],
    ['of a log that is not', '/logs/7/tile/0/000'],
  ])('%s is 404 although the store has it, and that is in the trail', async (_name, path) => {
    const { get, rows } = await reader();
    const [, tile] = /(tile\/.*)$/.exec(path)!;
    await putFile(`1/${tile}`, new Uint8Array(32)).run();
    const answer = await get(path);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(await rows()).toEqual([
      expect.objectContaining({ action: 'audit.query', status: 'failure', error_code: 'not_found', count: 1 }),
    ]);
  });

  it.each([
    '/tile/0/0',
    '/tile/0/0000',
    '/tile/00/000',
    '/tile/0/x000/000',
    '/tile/0/000.p/256',
    '/tile/0/000.p/0',
    '/tile/0/000.p/05',
    '/tile/0/000/',
    '/tile//0/000',
    '/tile/64/000',
    '/tile/-1/000',
    '/tile/0/%30%30%30',
    '/tile/0%2F000',
    '/tile/0/..%2f..%2f2/tile/0/000',
    '/tile/tile/0/000',
    '/%74ile/0/000',
    '/tile/ENTRIES/000',
    '/tile/0/000?width=1',
    '/logs/01/tile/0/000',
    '/logs/0/tile/0/000',
    '/logs/-1/checkpoint',
    '/logs/1e0/checkpoint',
    '/logs/%31%00/checkpoint',
    '/log?all=1',
    '/checkpoint?size=1',
  ])('or a log of the spelling %s is 400, and nothing is read', async (path) => {
    const { get, rows } = await reader();
    expect((await get(path)).status).toBe(400);
    expect(await rows()).toEqual([]);
  });

  it('that is published and lost is no 404: the log is damaged, and that is in the trail', async () => {
    const { get, rows } = await reader();
    await seal({ number: 2, before: [resumed(size)], fromSeq: Number.MAX_SAFE_INTEGER });
    const lost = '2/tile/entries/000.p/1';
    const moved = async (from: string, to: string): Promise<void> => {
      const { sql } = (await env.DB.prepare(
        "select sql from sqlite_master where name = 'trail_objects_update_guard'",
      ).first<{
        sql: string;
      }>())!;
      await env.DB.batch([
        env.DB.prepare('drop trigger trail_objects_update_guard'),
        env.DB.prepare('update trail_objects set key = ?2 where key = ?1').bind(from, to),
        env.DB.prepare(sql),
      ]);
    };
    await moved(lost, 'away');
    // The current log is the last one, and each is had by its number.
    const answers = [await get('/tile/entries/000.p/1'), await get('/logs/2/tile/entries/000.p/1')];
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual(answers.map(() => [500, 'log_damaged']));
    expect((await rows()).map(({ error_code }) => error_code)).toEqual(['log_damaged', 'log_damaged']);
    await moved('away', lost);
    const now = await Promise.all(
      ['', '/logs/2', '/logs/1'].map(async (log) => await get(`${log}/tile/entries/000.p/1`)),
    );
    expect(now.map(({ status }) => status)).toEqual([200, 200, 404]);
    const texts = await Promise.all(
      ['', '/logs/2', '/logs/1'].map(async (log) => (await get(`${log}/checkpoint`)).text),
    );
    expect(texts.map((text) => parseCheckpoint(text)?.checkpoint.origin)).toEqual([
      `${ORIGIN}/2`,
      `${ORIGIN}/2`,
      ORIGIN,
    ]);
  });
});

describe('nothing leaves', () => {
  it.each([
    ['the list', '/log', 1],
    ['the checkpoint', '/logs/1/checkpoint', 2],
    ['a bundle of entries', '/logs/1/tile/entries/000', 3],
    ['a receipt', null, 4],
  ])('where the read of %s cannot be recorded', async (_name, path, batches) => {
    const first = await env.DB.prepare('select id from audit_events order by seq limit 1').first<string>('id');
    for (let failing = 1; failing <= batches; failing += 1) {
      const { db } = failingBatches((batch) => batch === failing);
      const broken = await createHarness({ like: harness, env: { TRAIL_KEY }, db });
      const { get } = await reader();
      const answer = await get(path ?? `/events/${first}/receipt`, broken);
      expect([failing, answer.status, answer.body.code]).toEqual([failing, 503, 'audit_unavailable']);
      expect(answer.text).not.toContain('request-');
    }
  });

  it('of a service that does not seal its trail', async () => {
    const plain = await createHarness({ like: harness });
    const { get, rows } = await reader();
    for (const path of ['/log', '/checkpoint', '/tile/0/000', '/logs/1/checkpoint', '/logs/1/tile/0/000']) {
      const answer = await get(path, plain);
      expect([answer.status, answer.body.code]).toEqual([503, 'sealing_not_configured']);
    }
    expect(await rows()).toEqual([]);
  });
});

describe('the list of logs', () => {
  it('names the key of each log, and no key for one whose key this service does not have any more', async () => {
    const { get } = await reader();
    const { logs, current, witnesses } = (await get('/log')).body.data;
    const keyOf = (log: { verifier_key: string }) => parseVerifier(log.verifier_key)?.name;
    expect([logs.map(keyOf), current, witnesses]).toEqual([[ORIGIN, `${ORIGIN}/2`], 2, []]);
    const TRAIL_KEY_NOW = await privateKeyText('log', ORIGIN, new Uint8Array(32).fill(8));
    const other = await createHarness({ like: harness, env: { TRAIL_KEY: TRAIL_KEY_NOW } });
    expect((await get('/log', other)).body.data.logs.map((log: { verifier_key: unknown }) => log.verifier_key)).toEqual(
      [null, null],
    );
  });

  it('counts what is not sealed yet, and since when', async () => {
    const { get } = await reader();
    const at = Date.UTC(2025, 5, 1);
    await seal({ number: 2, fromSeq: EVENTS_COUNT });
    await insertRows([{ occurred_at: at }, {}]);
    // The row of this very read comes after it.
    expect((await get('/log')).body.data.unsealed).toEqual({ events: 2, oldest_at: new Date(at).toISOString() });
  });
});

describe('the status', () => {
  const seed = new Uint8Array(32).fill(5);

  it('tells how far the trail is sealed, and who has cosigned that', async () => {
    const { get } = await reader();
    const witness = await createSigner(parsePrivateKey(await privateKeyText('witness', 'witness.test', seed))!);
    const silent = verifierText(verifierOf('witness', 'silent.test', witness.verifier.publicKey));
    const atSeconds = 1_800_000_000;
    await seal({ number: 2, fromSeq: EVENTS_COUNT, cosignatures: signatureLine(await cosign('', atSeconds, witness)) });
    const TRAIL_WITNESSES = `https://w.test ${verifierText(witness.verifier)}, https://s.test ${silent}`;
    const witnessed = await createHarness({ like: harness, env: { TRAIL_KEY, TRAIL_WITNESSES } });
    const { trail_log: told } = (await witnessed.send('GET', '/api/v1/status')).body.data;
    const log = (await get('/log', witnessed)).body.data;
    expect(told).toEqual({
      number: 2,
      size: log.logs[1].size,
      published_size: log.logs[1].size,
      published_at: log.logs[1].published_at,
      stopped: null,
      unsealed_events: 0,
      oldest_unsealed_at: null,
      witnesses: [
        { name: 'witness.test', cosigned_at: new Date(atSeconds * 1000).toISOString() },
        { name: 'silent.test', cosigned_at: null },
      ],
    });
    expect(log.witnesses).toEqual([
      { url: 'https://w.test', key: verifierText(witness.verifier) },
      { url: 'https://s.test', key: silent },
    ]);
  });
});

describe('the tiles of a receipt', () => {
  it.each([1, 2, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 70_000, 16_777_216, 100_000_001])(
    'in a log of %i leaves are all that its proof needs, and two a level at the most',
    async (leaves) => {
      const indices = [0, 1, 255, 256, 65_535, 65_536, Math.floor(leaves / 2), leaves - 256, leaves - 2, leaves - 1];
      for (const index of indices.filter((one) => one >= 0 && one < leaves)) {
        const tiles = tilesOf(index, leaves);
        const known = new Set(tiles.map((tile) => `${tile.level}/${tile.index}`));
        const asked: string[] = [];
        const nodes = nodesOfTiles(async (level, at) => {
          asked.push(`${level}/${at}`);
          return await Promise.resolve(Array.from({ length: 256 }, () => new Uint8Array(32)));
        });
        await inclusionProof(index, leaves, nodes);
        expect([index, asked.filter((one) => !known.has(one))]).toEqual([index, []]);
        expect(
          Math.max(...[0, 1, 2, 3].map((level) => tiles.filter((tile) => tile.level === level).length)),
        ).toBeLessThanOrEqual(2);
        expect(tiles.every(({ width }) => width > 0)).toBe(true);
      }
    },
  );
});

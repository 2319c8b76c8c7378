import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { createWitness, type Seen } from '../../../local/witness/witness.ts';
import { ANCHOR_AGAIN_AFTER_MS, ANCHOR_TIMEOUT_MS } from '../../../src/config/trail-limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { TrailAnchorRow } from '../../../src/db/schema.ts';
import { createBudget } from '../../../src/kit/budget.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { ok } from '../../../src/kit/result.ts';
import { cosign, createSigner, isSignedBy, parseNote, signatureLine } from '../../../src/tlog/note.ts';
import { createAnchors, isDue, withCosignatures } from '../../../src/trail/log/anchors.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { addRows, clearTrail, createRig, finalRow, KEY, ORIGIN as SEALED_ORIGIN, readLog } from './rig.ts';
import { ORIGIN, signerOf, smallLog, type SmallLog } from './small-log.ts';

// Checkpoints go to witnesses and URLs outside. Those may fail, lie or know more than D1; the network of these tests hands each request to
// the small witness, or to one that does what the protocol has no word for.

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;
const WITNESS = 'https://witness.example/w';
const URL_OUTSIDE = 'https://anchor.example/hook/s3cret?key=s3cret';

type Handler = (body: string, url: string) => Response | Promise<Response>;

beforeEach(clearTrail);

/** A deployment with one witness, which is the small one unless a handler stands in its place, and perhaps a URL. */
async function setUp(options: { witness?: Handler; url?: Handler; log?: SmallLog } = {}) {
  let nowMs = NOW;
  const log = options.log ?? (await smallLog([3, 7, 300]));
  const signer = await signerOf('witness', 'witness.example/w', 9);
  const seen = new Map<string, Seen>();
  const small = createWitness({
    signer,
    logs: [log.signer.verifier],
    seen,
    persist: () => {},
    now: () => nowMs,
  });
  const asWitness: Handler = async (body) => {
    const { status, contentType, body: text } = await small(body);
    return new Response(text, { status, headers: { 'Content-Type': contentType } });
  };
  const lines: Readonly<Record<string, unknown>>[] = [];
  const requests: { readonly url: string; readonly init: RequestInit; readonly body: string }[] = [];
  const runtime = {
    ...workerRuntime,
    now: () => nowMs,
    log: (line: Readonly<Record<string, unknown>>) => void lines.push(line),
    timeout: (ms: number) => {
      deadline = new AbortController();
      deadlinesMs.push(ms);
      return deadline.signal;
    },
    fetch: async (url: string, init: RequestInit) => {
      const body = typeof init.body === 'string' ? init.body : '';
      requests.push({ url, init, body });
      const handler = url.startsWith(WITNESS) ? (options.witness ?? asWitness) : options.url;
      return (await handler?.(body, url)) ?? new Response(null, { status: 204 });
    },
  };
  let deadline = new AbortController();
  const deadlinesMs: number[] = [];
  const database = createDatabase(env.DB, runtime);
  const reads: string[] = [];
  const store = {
    get: async (_context: unknown, key: string) => {
      reads.push(key);
      return await Promise.resolve(ok(log.files.get(key) ?? null));
    },
  };
  const witnesses = [{ url: WITNESS, verifier: signer.verifier }];
  const trailLog = { bucket: null, witnesses, anchors: options.url === undefined ? [] : [URL_OUTSIDE] };
  const anchors = createAnchors({ database, runtime, store, trailLog });
  const publish = async (size: number): Promise<void> => {
    await env.DB.batch([
      env.DB.prepare(
        `insert into trail_logs (number, origin, begun_at, size, edge, through_seq, published_size)
         select 1, ?, 0, 0, '[]', 0, 0 where not exists (select 1 from trail_logs)`,
      ).bind(ORIGIN),
      env.DB.prepare('update trail_logs set size = ?, published_size = ?').bind(size, size),
      env.DB.prepare('insert into trail_checkpoints (log, size, note, signed_at) values (1, ?, ?, 0)').bind(
        size,
        await log.noteAt(size),
      ),
    ]);
  };
  const run = async (d1Queries = 92) => {
    const trace = newTrace();
    const context = { requestId: 'r', traceparent: null, ip: null, userAgent: null, policyVersion: 'p', trace };
    const report = await anchors.send(context, createBudget(trace, runtime, { d1Queries, ms: 25_000 }));
    return { ...report, queries: trace.d1Queries };
  };
  const checkpoint = async (size: number) =>
    await env.DB.prepare('select note, cosignatures, sent_at from trail_checkpoints where size = ?')
      .bind(size)
      .first<{ note: string; cosignatures: string; sent_at: number | null }>();
  const places = async () =>
    (await env.DB.prepare('select * from trail_anchors order by host desc').all<TrailAnchorRow>()).results;
  return {
    log,
    signer,
    seen,
    anchors,
    lines,
    requests,
    reads,
    publish,
    run,
    checkpoint,
    places,
    asWitness,
    pass: (ms: number) => void (nowMs += ms),
    deadlinesMs,
    expire: () => deadline.abort(),
  };
}

const isCosigned = async (note: string, cosignatures: string, by: Awaited<ReturnType<typeof signerOf>>) => {
  const parsed = parseNote(`${note}${cosignatures}`);
  return parsed !== null && (await isSignedBy(parsed, by.verifier));
};

describe('a checkpoint', () => {
  it('is cosigned by a witness that has never seen the log, and by proofs from then on', async () => {
    const { publish, run, checkpoint, signer, places, pass, requests } = await setUp();
    for (const size of [3, 7, 300]) {
      await publish(size);
      expect(await run()).toMatchObject({ taken: 1, failed: 0, stop: null });
      const row = await checkpoint(size);
      expect(await isCosigned(row?.note ?? '', row?.cosignatures ?? '', signer)).toBe(true);
      expect(row?.sent_at).toBe((await places())[0]?.heard_at);
      pass(MINUTE);
    }
    expect(requests.map(({ body }) => body.split('\n', 1)[0])).toEqual(['old 0', 'old 3', 'old 7']);
    expect(await places()).toMatchObject([{ host: 'witness.example', size: 300, failures: 0, problem: null }]);
  });

  it('goes out again where the Worker was killed after it was published, or before the cosignature was kept', async () => {
    const { publish, run, checkpoint, places } = await setUp();
    await publish(3);
    await run();
    await publish(7);
    // Nothing was sent. And again: the witness took it, and nothing was written.
    for (const _ of [1, 2]) {
      expect(await run()).toMatchObject({ taken: 1, stop: null });
      expect((await checkpoint(7))?.cosignatures).not.toBe('');
      await env.DB.batch([
        env.DB.prepare(`update trail_checkpoints set cosignatures = '', sent_at = null where size = 7`),
        env.DB.prepare('update trail_anchors set size = 3'),
      ]);
    }
    expect(await places()).toMatchObject([{ size: 3 }]);
  });

  it('is sent again after an hour without a new one, and not before, so that its cosignature says how fresh the log is', async () => {
    const { publish, run, checkpoint, pass } = await setUp();
    await publish(3);
    await run();
    const before = (await checkpoint(3))?.cosignatures ?? '';
    pass(ANCHOR_AGAIN_AFTER_MS - 1);
    expect(await run()).toMatchObject({ taken: 0, failed: 0 });
    pass(1);
    expect(await run()).toMatchObject({ taken: 1, failed: 0 });
    const after = (await checkpoint(3))?.cosignatures ?? '';
    expect(after).not.toBe(before);
    expect(after.split('\n')).toHaveLength(2);
    expect((await checkpoint(3))?.sent_at).toBe(NOW + ANCHOR_AGAIN_AFTER_MS);
  });

  it('reaches a URL with the cosignatures that there are, and neither the log nor D1 learns its path', async () => {
    const { publish, run, requests, lines, signer, places } = await setUp({
      url: () => new Response('x'.repeat(100_000), { status: 200 }),
    });
    await publish(3);
    expect(await run()).toMatchObject({ taken: 2, failed: 0, stop: null });
    const sent = requests.find(({ url }) => url === URL_OUTSIDE);
    expect(sent?.init).toMatchObject({ method: 'POST', redirect: 'manual' });
    expect(new Headers(sent?.init.headers).get('Content-Type')).toBe('text/plain; charset=utf-8');
    expect(await isCosigned(sent?.body ?? '', '', signer)).toBe(true);
    expect(JSON.stringify([lines, await places()])).not.toContain('s3cret');
    expect(lines.map(({ event, host, witness }) => [event, host, witness])).toEqual([
      ['trail.anchored', 'witness.example', 'witness.example/w'],
      ['trail.anchored', 'anchor.example', null],
    ]);
  });

  it('waits for a run that has queries left, and takes no more of them than it says', async () => {
    const { publish, run, requests, anchors } = await setUp({ url: () => new Response(null, { status: 204 }) });
    await publish(300);
    expect(await run(anchors.queries - 1)).toMatchObject({ taken: 0, queries: 0 });
    expect(requests).toEqual([]);
    const { taken, queries } = await run(anchors.queries);
    expect(taken).toBe(2);
    expect(queries).toBe(5);
  });
});

const asSize = (size: number | string): Response =>
  new Response(`${size}\n`, { status: 409, headers: { 'Content-Type': 'text/x.tlog.size' } });

describe('a witness that', () => {
  it.each<[string, Handler, string]>([
    ['does not know the log', () => new Response(null, { status: 404 }), 'unknown_log'],
    ['does not trust the key', () => new Response(null, { status: 403 }), 'untrusted_key'],
    ['says that it has seen another log', () => new Response(null, { status: 422 }), 'inconsistent'],
    ['is broken', () => new Response('stack trace', { status: 500 }), 'unexpected_status'],
    ['answers 400', () => new Response(null, { status: 400 }), 'unexpected_status'],
    ['says 409 without a size', () => new Response('7\n', { status: 409 }), 'unexpected_status'],
    ['says a size that is none', () => asSize('many'), 'unexpected_status'],
    ['says one size and refuses it', () => asSize(3), 'conflict'],
    ['is elsewhere', () => Response.redirect('https://elsewhere.example/', 307), 'redirected'],
    ['is gone', () => Promise.reject(new Error('Network connection lost.')), 'unreachable'],
    ['sends without an end', () => new Response('— x'.repeat(8_000)), 'unreadable'],
    ['sends no text', () => new Response(Uint8Array.of(0xff, 0xfe)), 'unreadable'],
    ['says nothing', () => new Response(''), 'bad_cosignature'],
    ['says something else', () => new Response('OK\n'), 'bad_cosignature'],
  ])('%s fails, holds nothing back and is told by its host', async (_, witness, problem) => {
    const { publish, run, lines, checkpoint, places } = await setUp({
      witness,
      url: () => new Response(null, { status: 204 }),
    });
    await publish(7);
    expect(await run()).toMatchObject({ taken: 1, failed: 1, stop: null });
    expect(lines.filter(({ event }) => event === 'trail.anchor_failed')).toMatchObject([
      { level: 'warn', host: 'witness.example', problem, origin: ORIGIN, size: 7 },
    ]);
    expect(await checkpoint(7)).toMatchObject({ cosignatures: '', sent_at: null });
    expect(await places()).toMatchObject([
      { heard_at: null, failures: 1, problem },
      { heard_at: NOW, failures: 0 },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/stack trace|elsewhere|connection lost/);
  });

  it('does not answer in time is left', async () => {
    const { publish, run, expire, places, deadlinesMs } = await setUp({
      witness: async () => {
        expire();
        return await new Promise(() => {});
      },
    });
    await publish(3);
    expect(await run()).toMatchObject({ taken: 0, failed: 1, stop: null });
    expect(await places()).toMatchObject([{ problem: 'timeout' }]);
    expect(deadlinesMs).toContain(ANCHOR_TIMEOUT_MS);
  });

  const lying: readonly [string, (of: { log: SmallLog; note: string; body: string }) => Promise<string>][] = [
    [
      'with another key',
      async ({ body }) =>
        signatureLine(await cosign(body, NOW / 1000, await signerOf('witness', 'witness.example/w', 8))),
    ],
    [
      'under another name',
      async ({ body }) => signatureLine(await cosign(body, NOW / 1000, await signerOf('witness', 'other.example', 9))),
    ],
    [
      'with another key and the key id of the pinned one',
      async ({ body }) => {
        const { keyId } = (await signerOf('witness', 'witness.example/w', 9)).verifier;
        const forged = await cosign(body, NOW / 1000, await signerOf('witness', 'witness.example/w', 8));
        return signatureLine({ ...forged, keyId });
      },
    ],
    [
      'another checkpoint',
      async ({ log }) => {
        const other = parseNote(await log.noteAt(3))?.body ?? '';
        return signatureLine(await cosign(other, NOW / 1000, await signerOf('witness', 'witness.example/w', 9)));
      },
    ],
    [
      'another checkpoint that it sends along',
      async ({ log }) => {
        const note = await log.noteAt(3);
        const signer = await signerOf('witness', 'witness.example/w', 9);
        return `\n${note}${signatureLine(await cosign(parseNote(note)?.body ?? '', NOW / 1000, signer))}`;
      },
    ],
    [
      'more than the checkpoint',
      async ({ note }) => {
        const signer = await signerOf('witness', 'witness.example/w', 9);
        return `\nmore\n\n${signatureLine(await cosign(`${note}\nmore\n`, NOW / 1000, signer))}`;
      },
    ],
    [
      'a time of another day',
      async ({ body }) =>
        signatureLine(await cosign(body, NOW / 1000 - 90_000, await signerOf('witness', 'witness.example/w', 9))),
    ],
    [
      'a time that has not come',
      async ({ body }) =>
        signatureLine(await cosign(body, NOW / 1000 + 90_000, await signerOf('witness', 'witness.example/w', 9))),
    ],
    [
      'nothing but its name',
      async () => {
        const { keyId, name } = (await signerOf('witness', 'witness.example/w', 9)).verifier;
        return signatureLine({ name, keyId, payload: new Uint8Array(72) });
      },
    ],
  ];
  it.each(lying)('signs %s is not believed', async (_, answer) => {
    const log = await smallLog([3, 7]);
    const { publish, run, checkpoint, places } = await setUp({
      log,
      witness: async (sent) => {
        const note = sent.slice(sent.indexOf('\n\n') + 2);
        return new Response(await answer({ log, note, body: parseNote(note)?.body ?? '' }));
      },
    });
    await publish(7);
    expect(await run()).toMatchObject({ taken: 0, failed: 1, stop: null });
    expect((await checkpoint(7))?.cosignatures).toBe('');
    expect(await places()).toMatchObject([{ problem: 'bad_cosignature', size: 0 }]);
  });

  it('signs with several keys is believed by the pinned one', async () => {
    const other = await signerOf('witness', 'witness.example/w', 8);
    const { publish, run, checkpoint, signer } = await setUp({
      witness: async (sent) => {
        const body = parseNote(sent.slice(sent.indexOf('\n\n') + 2))?.body ?? '';
        const by = await signerOf('witness', 'witness.example/w', 9);
        const lines = [await cosign(body, NOW / 1000, other), await cosign(body, NOW / 1000, by)];
        return new Response(lines.map(signatureLine).join(''));
      },
    });
    await publish(3);
    expect(await run()).toMatchObject({ taken: 1 });
    const row = await checkpoint(3);
    expect(await isCosigned(row?.note ?? '', row?.cosignatures ?? '', signer)).toBe(true);
    expect(await isCosigned(row?.note ?? '', row?.cosignatures ?? '', other)).toBe(false);
  });

  it('was restored from a backup is led on from the size that it has', async () => {
    const { publish, run, seen, log, requests, pass } = await setUp();
    await publish(7);
    await run();
    seen.set(ORIGIN, { size: 3, root: log.rootAt(3) });
    await publish(300);
    pass(MINUTE);
    expect(await run()).toMatchObject({ taken: 1, stop: null });
    expect(requests.map(({ body }) => body.split('\n', 1)[0])).toEqual(['old 0', 'old 7', 'old 3']);
  });

  it('has a larger size than D1 stops the log', async () => {
    const { publish, run, seen, log, lines, places } = await setUp();
    await publish(7);
    seen.set(ORIGIN, { size: 300, root: log.rootAt(300) });
    expect(await run()).toMatchObject({ stop: { because: 'rolled_back', log: 1, size: 300 } });
    expect(lines).toMatchObject([{ level: 'error', problem: 'ahead', host: 'witness.example', known_size: 300 }]);
    expect(await places()).toMatchObject([{ size: 300, problem: 'ahead' }]);
  });

  it('was sent a larger checkpoint by another run meanwhile stops nothing', async () => {
    const { publish, run, asWitness, log } = await setUp({
      witness: async (sent) => {
        await publish(300);
        await asWitness(`old 0\n\n${await log.noteAt(300)}`, WITNESS);
        return await asWitness(sent, WITNESS);
      },
    });
    await publish(7);
    expect(await run()).toMatchObject({ taken: 0, failed: 1, stop: null });
  });

  it.each([
    ['at the size of the checkpoint', 7],
    ['below it', 5],
  ])('has seen another log %s stops this one, which was rolled back and has grown since', async (_, size) => {
    const { publish, run, seen } = await setUp();
    const other = await smallLog([300], { from: 4 });
    seen.set(ORIGIN, { size, root: other.rootAt(size) });
    await publish(7);
    expect(await run()).toMatchObject({ stop: { because: 'forked', log: 1, size } });
  });

  it('is remembered with a size that is not its own is asked what it has before anything is concluded', async () => {
    const { publish, run, seen, pass, log } = await setUp({ log: await smallLog([3, 7, 300]) });
    const other = await smallLog([300], { from: 2 });
    await publish(3);
    await run();
    seen.set(ORIGIN, { size: 3, root: other.rootAt(3) });
    await publish(7);
    pass(MINUTE);
    // It says that the proof from what it was remembered with is wrong. That may be its memory, or ours.
    expect(await run()).toMatchObject({ failed: 1, stop: null });
    pass(MINUTE);
    expect(await run()).toMatchObject({ stop: { because: 'forked', size: 3 } });
    expect(log.files.size).toBeGreaterThan(0);
  });
});

describe('a URL that', () => {
  it.each<[string, Handler, string]>([
    ['answers 500', () => new Response('boom', { status: 500 }), 'unexpected_status'],
    ['redirects', () => Response.redirect('https://elsewhere.example/', 302), 'redirected'],
    ['is gone', () => Promise.reject(new Error('gone')), 'unreachable'],
    ['knows a size that is not larger', () => asSize(7), 'unexpected_status'],
  ])('%s fails, and the witness does not', async (_, url, problem) => {
    const { publish, run, places, checkpoint } = await setUp({ url });
    await publish(7);
    expect(await run()).toMatchObject({ taken: 1, failed: 1, stop: null });
    expect(await places()).toMatchObject([{ problem: null }, { host: 'anchor.example', problem }]);
    const row = await checkpoint(7);
    expect([row?.cosignatures === '', row?.sent_at]).toEqual([false, null]);
  });

  it('knows a larger size than D1 stops the log', async () => {
    const { publish, run } = await setUp({ url: () => asSize(8) });
    await publish(7);
    expect(await run()).toMatchObject({ stop: { because: 'rolled_back', log: 1, size: 8 } });
  });
});

describe('files of the log', () => {
  it.each<[string, (files: Map<string, Uint8Array>) => void]>([
    ['is missing', (files) => void files.delete('1/tile/0/000')],
    ['has other bytes', (files) => void files.set('1/tile/0/000', new Uint8Array(8_192))],
    ['is cut short', (files) => void files.set('1/tile/0/000', new Uint8Array(100))],
  ])('where one %s, nothing is sent that a witness would take for a fork', async (_, change) => {
    const log = await smallLog([7, 300]);
    const { publish, run, requests, pass, places } = await setUp({ log });
    await publish(7);
    await run();
    change(log.files);
    await publish(300);
    pass(MINUTE);
    expect(await run()).toMatchObject({ taken: 0, failed: 1, stop: null });
    expect(requests).toHaveLength(1);
    expect(await places()).toMatchObject([{ size: 7, problem: 'no_proof' }]);
  });
});

describe('whether a place is due', () => {
  const row = (change: Partial<TrailAnchorRow>): TrailAnchorRow => ({
    log: 1,
    target: 't',
    host: 'h',
    size: 7,
    heard_at: NOW,
    tried_at: NOW,
    failures: 0,
    problem: null,
    ...change,
  });
  it.each<[string, TrailAnchorRow | null, number, boolean]>([
    ['never sent anything', null, 0, true],
    ['it has the checkpoint', row({}), 59 * MINUTE, false],
    ['it has the checkpoint for an hour', row({}), 60 * MINUTE, true],
    ['it was heard by a clock that ran ahead', row({ heard_at: NOW + 90 * MINUTE }), 0, true],
    ['it lacks the checkpoint', row({ size: 3 }), 0, true],
    ['it has failed once', row({ size: 3, failures: 1 }), 0, true],
    ['it has failed twice, a moment ago', row({ size: 3, failures: 2 }), MINUTE - 1, false],
    ['it has failed twice, a minute ago', row({ size: 3, failures: 2 }), MINUTE, true],
    ['it has failed five times, seven minutes ago', row({ size: 3, failures: 5 }), 7 * MINUTE, false],
    ['it has failed five times, eight minutes ago', row({ size: 3, failures: 5 }), 8 * MINUTE, true],
    ['it has failed for days, an hour ago', row({ size: 3, failures: 90 }), 60 * MINUTE, true],
    ['it has failed where it had the checkpoint', row({ failures: 2 }), MINUTE, true],
    ['it has failed by a clock that ran ahead', row({ failures: 9, tried_at: NOW + MINUTE }), 0, true],
  ])('where %s', (_, place, laterMs, due) => {
    expect(isDue(place, 7, NOW + laterMs)).toBe(due);
  });
});

it('keeps of each witness the newest cosignature alone', async () => {
  const [one, other] = [await signerOf('witness', 'one', 1), await signerOf('witness', 'other', 2)];
  const at = async (seconds: number, by = one) => await cosign('a\n1\nx\n', seconds, by);
  const lines = withCosignatures('', [await at(5), await at(5, other)]);
  expect(lines.split('\n')).toHaveLength(3);
  expect(withCosignatures(lines, [await at(9)])).toBe(signatureLine(await at(9)) + signatureLine(await at(5, other)));
  expect(withCosignatures(lines, [await at(4)])).toBe(lines);
});

describe('a run of sealing', () => {
  /** A deployment that seals, and a small witness. */
  async function sealing() {
    const signer = await signerOf('witness', 'witness.example/w', 9);
    const seen = new Map<string, Seen>();
    const logs = [(await createSigner(KEY)).verifier];
    const small = createWitness({ signer, logs, seen, persist: () => {}, now: () => Date.now() });
    const calls: string[] = [];
    const fetch = async (_url: string, { body }: RequestInit): Promise<Response> => {
      const text = typeof body === 'string' ? body : '';
      calls.push(text.split('\n', 1)[0] ?? '');
      const answer = await small(text);
      return new Response(answer.body, { status: answer.status, headers: { 'Content-Type': answer.contentType } });
    };
    const outside = { witnesses: [{ url: WITNESS, verifier: signer.verifier }], anchors: [] };
    const rig = (store: 'r2' | 'd1' = 'r2') => createRig({ store, outside, runtime: { fetch, now: () => Date.now() } });
    return { rig, seen, calls };
  }

  it.each(['r2', 'd1'] as const)('has what it publishes cosigned, by proofs from the files in %s', async (store) => {
    const { rig, calls, seen } = await sealing();
    for (const size of [2, 4]) {
      await addRows([finalRow({ id: `a${size}` }), finalRow({ id: `b${size}` })]);
      const { run, failures } = rig(store);
      expect(await run()).toEqual({ sealed: 2, publishedSize: size });
      expect(failures()).toEqual([]);
    }
    expect(calls).toEqual(['old 0', 'old 2']);
    expect(seen.get(SEALED_ORIGIN)?.size).toBe(4);
  });

  it('stops the log where a witness knows more of it than D1, and goes on to ask it', async () => {
    const { rig, seen, calls } = await sealing();
    await addRows([finalRow({ id: 'a' })]);
    await rig().run();
    seen.set(SEALED_ORIGIN, { size: 9, root: new Uint8Array(32) });
    await addRows([finalRow({ id: 'b' })]);
    const found = rig();
    await found.run();
    expect(found.failures()).toMatchObject([{ because: 'rolled_back', where: 'size 9 at witness.example' }]);
    expect(await readLog()).toMatchObject({ published_size: 2, stopped: 'rolled_back' });
    await addRows([finalRow({ id: 'c' })]);
    const after = rig();
    expect(await after.run()).toEqual({ sealed: 0, publishedSize: 2 });
    expect(after.failures()).toEqual([]);
    expect(calls).toHaveLength(3);
  });

  it('is not kept back by a witness that is gone', async () => {
    const outside = { witnesses: [], anchors: ['https://anchor.example/'] };
    const rig = createRig({ outside, runtime: { fetch: async () => await Promise.reject(new Error('gone')) } });
    await addRows([finalRow({ id: 'a' })]);
    expect(await rig.run()).toEqual({ sealed: 1, publishedSize: 1 });
    expect(rig.failures()).toEqual([]);
    expect(rig.lines).toMatchObject([{ event: 'trail.checkpoint' }, { event: 'trail.anchor_failed' }]);
  });
});

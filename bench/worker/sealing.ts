import { createWitness } from '../../local/witness/witness.ts';
import { CRON_SHARES } from '../../src/config/limits.ts';
import { LOG_CLOSE_AFTER_MS, OBJECTS_AT_ONCE } from '../../src/config/trail-limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { createBudget } from '../../src/kit/budget.ts';
import { createMac } from '../../src/kit/mac.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { parsePrivateKey, privateKeyText, type PrivateKey } from '../../src/tlog/note.ts';
import { createAnchors } from '../../src/trail/log/anchors.ts';
import { createSealing, type Sealing } from '../../src/trail/log/sealing.ts';
import { createSigning } from '../../src/trail/log/signing.ts';
import { createLogStore } from '../../src/trail/log/store.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { signerOf } from '../../test/trail/log/small-log.ts';
import type { LayEvents, PlayMinute, PrepareSealing, SealingAges, SealingRun } from '../sealing-report.ts';
import { percentile } from '../statistics.ts';
import { createArrivals, type Arrivals } from './arrivals.ts';
import { aroundTrips } from './d1-trips.ts';

// The sealing of the trail by a clock that goes on only by what each call is said to take, so that nothing else that this machine does
// is in the figures. Events arrive while a run is under way too.

type Env = Readonly<Record<string, unknown>>;

interface Clock {
  readonly now: () => number;
  readonly advanceTo: (ms: number) => void;
}

/** What is counted while a run is under way. */
interface Counts {
  calls: number;
  longestBatchMs: number;
}

interface Play {
  readonly d1: D1Database;
  readonly clock: Clock;
  readonly arrivals: Arrivals;
  readonly sealing: Sealing;
  readonly counts: Counts;
  readonly lines: Readonly<Record<string, unknown>>[];
  /** When each size was published. */
  readonly published: { readonly size: number; readonly atMs: number }[];
  minute: number;
}

const ORIGIN = 'countersign.example.com/trail';
const BEGAN_MS = Date.UTC(2026, 10, 24, 12);
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const WITNESS_URL = 'https://witness.example/w';
const ANCHOR_URL = 'https://anchor.example/checkpoints';
const AGES_PAGE = 50_000;

const plays = new Map<string, Play>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === '/bench/prepare') {
      await prepare(await request.json<PrepareSealing>(), env);
      return new Response(null, { status: 204 });
    }
    const command = await request.json<PlayMinute | LayEvents>();
    const play = plays.get(command.name);
    if (play === undefined) throw new Error(`${command.name} is not prepared`);
    if ('events' in command) {
      await play.arrivals.lay(command.events, BEGAN_MS - DAY_MS);
      return new Response(null, { status: 204 });
    }
    return Response.json(pathname === '/bench/ages' ? await agesOf(play) : await playMinute(play));
  },
};

async function prepare(command: PrepareSealing, env: Env): Promise<void> {
  const { name, statements, store: kind, isOutside, perMinute, callMs, costs } = command;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- bench/sealing.ts binds them
  const [d1, bucket] = [env[`DB_${name}`] as D1Database, env[`BUCKET_${name}`] as R2Bucket];
  await d1.batch(statements.map((sql) => d1.prepare(sql)));
  const clock = createClock(BEGAN_MS);
  const arrivals = createArrivals(d1, { beganMs: BEGAN_MS, perMinute });

  const counts: Counts = { calls: 0, longestBatchMs: 0 };
  const lines: Play['lines'] = [];
  const published: Play['published'] = [];
  const key = await keyOf(ORIGIN);
  const distance = createDistance(clock, callMs);
  const outside = isOutside ? await createOutside(clock, distance) : null;
  const runtime: Runtime = {
    ...workerRuntime,
    now: clock.now,
    // No deadline ends a call: what a call takes here is not what it is said to take.
    timeout: () => new AbortController().signal,
    after: () => () => {},
    fetch: async (url, init) => outside?.fetch(url, init) ?? new Response(null, { status: 404 }),
    log: (line) => {
      lines.push(line);
      if (line['event'] === 'trail.checkpoint') published.push({ size: Number(line['size']), atMs: clock.now() });
    },
  };
  const far = aroundTrips(d1, async (_statements, trip) => {
    clock.advanceTo(clock.now() + costs.batchMs);
    await arrivals.until(clock.now());
    const answer = await trip();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sealing sends batches alone
    const all = answer as readonly D1Result[];
    const busyMs = sum(all, ({ meta }) => meta.rows_read * costs.readMs + meta.rows_written * costs.writtenMs);
    counts.longestBatchMs = Math.max(counts.longestBatchMs, busyMs);
    clock.advanceTo(clock.now() + Math.ceil(busyMs + sum(all, ({ results }) => results.length * costs.handledMs)));
    return answer;
  });
  const database = createDatabase(far, runtime);
  const store = createLogStore({
    database,
    bucket: kind === 'r2' ? farBucket(bucket, distance, counts) : null,
    runtime,
  });
  const mac = createMac(new Uint8Array(32).fill(1), 'bench');
  const trailLog = { witnesses: outside?.witnesses ?? [], anchors: outside?.anchors ?? [] };
  const sealing = createSealing({
    database,
    store,
    signing: createSigning({ key, nextKey: null }),
    anchors: isOutside ? createAnchors({ database, runtime, store, trailLog }) : null,
    runtime,
    config: { key },
    // Two MACs over a row, as a settled attempt has them.
    isAuthentic: (row) => mac(...Object.values(row)) !== mac(row.id, row.status),
  });
  plays.set(name, { d1, clock, arrivals, sealing, counts, lines, published, minute: 0 });
}

const sum = (results: readonly D1Result[], of: (result: D1Result) => number): number =>
  results.reduce((all, result) => all + of(result), 0);

async function keyOf(name: string): Promise<PrivateKey> {
  const key = parsePrivateKey(await privateKeyText('log', name, new Uint8Array(32).fill(7)));
  if (key === null) throw new Error('A private key is not read as it was written.');
  return key;
}

function createClock(beginMs: number): Clock {
  let nowMs = beginMs;
  return {
    now: () => nowMs,
    advanceTo: (ms) => {
      nowMs = Math.max(nowMs, ms);
    },
  };
}

/** Calls to somewhere as far away as that, OBJECTS_AT_ONCE of them at a time, by this clock. */
function createDistance(clock: Clock, ms: number) {
  let underWay = 0;
  let freeAt: number[] = [];
  return async <T>(call: () => Promise<T>): Promise<T> => {
    if (underWay === 0) freeAt = Array.from({ length: OBJECTS_AT_ONCE }, () => clock.now());
    underWay += 1;
    const endsAt = Math.min(...freeAt) + ms;
    freeAt[freeAt.indexOf(endsAt - ms)] = endsAt;
    try {
      return await call();
    } finally {
      underWay -= 1;
      clock.advanceTo(endsAt);
    }
  };
}
type Distance = ReturnType<typeof createDistance>;

/** A witness that cosigns and a URL that takes all, each as far away as R2. */
async function createOutside(clock: Clock, distance: Distance) {
  const signer = await signerOf('witness', 'witness.example/w', 9);
  const { verifier } = await signerOf('log', ORIGIN, 7);
  const small = createWitness({ signer, logs: [verifier], seen: new Map(), persist: () => {}, now: clock.now });
  return {
    witnesses: [{ url: WITNESS_URL, verifier: signer.verifier }],
    anchors: [ANCHOR_URL],
    fetch: async (url: string, { body }: RequestInit): Promise<Response> =>
      await distance(async () => {
        if (!url.startsWith(WITNESS_URL)) return new Response(null, { status: 204 });
        const { status, contentType, body: text } = await small(typeof body === 'string' ? body : '');
        return new Response(text, { status, headers: { 'Content-Type': contentType } });
      }),
  };
}

/** A bucket at that distance. */
const farBucket = (bucket: R2Bucket, distance: Distance, counts: Counts): R2Bucket =>
  new Proxy(bucket, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        counts.calls += 1;
        return await distance(async (): Promise<unknown> => await value.apply(target, given));
      };
    },
  });

async function playMinute(play: Play): Promise<SealingRun> {
  const { clock, arrivals, sealing, counts, lines, published } = play;
  play.minute += 1;
  const runAtMs = BEGAN_MS + play.minute * MINUTE_MS;
  // A run that is longer than its minute delays the next one.
  clock.advanceTo(runAtMs);
  await arrivals.until(clock.now());
  Object.assign(counts, { calls: 0, longestBatchMs: 0 });
  lines.length = 0;
  const before = published.length;
  const trace = newTrace();
  const startedAt = clock.now();
  const { sealed } = await sealing.run({ trace }, createBudget(trace, { now: clock.now }, CRON_SHARES.sealing));
  return {
    sealed,
    ms: clock.now() - startedAt,
    checkpoints: published.length - before,
    d1Queries: trace.d1Queries,
    ...counts,
    failures: lines.filter(({ level }) => level !== 'info').map((line) => JSON.stringify(line)),
  };
}

/** How long facts waited, of those that have come since the clock began. */
async function agesOf({ d1, published, minute }: Play): Promise<SealingAges> {
  const ages: number[] = [];
  const size = published.at(-1)?.size ?? 0;
  let at = 0;
  for (let begin = 0; begin < size; begin += AGES_PAGE) {
    const leaves = await d1
      .prepare(
        `select l.idx as idx, case l.kind when 'settled' then a.settled_at when 'counted' then a.closed_at
             when 'final' then max(a.occurred_at, a.settled_at) else a.occurred_at end as fact_at
           from trail_leaves as l cross join audit_events as a on a.seq = l.seq where l.idx >= ? and l.idx < ? order by l.idx`,
      )
      .bind(begin, Math.min(begin + AGES_PAGE, size))
      .all<{ idx: number; fact_at: number }>();
    for (const { idx, fact_at: factAt } of leaves.results) {
      while ((published[at]?.size ?? Infinity) <= idx) at += 1;
      const sealedAt = published[at]?.atMs ?? Number.NaN;
      if (factAt >= BEGAN_MS) ages.push(sealedAt - factAt);
    }
  }
  const runAtMs = BEGAN_MS + minute * MINUTE_MS;
  const left = await d1
    .prepare(
      `select (select count(*) from audit_events as a where a.occurred_at + iif(a.read_key is null, 0, ?1) <= ?2
            and not exists (select 1 from trail_leaves as l where l.seq = a.seq and l.idx < ?3))
          + (select count(*) from trail_pending as p cross join audit_events as a on a.seq = p.seq
              where p.awaits = 'settlement' and a.settled_at <= ?2) as facts`,
    )
    .bind(LOG_CLOSE_AFTER_MS, runAtMs, size)
    .first<{ facts: number }>();
  return {
    facts: ages.length,
    p50Ms: percentile(ages, 0.5),
    p99Ms: percentile(ages, 0.99),
    worstMs: percentile(ages, 1),
    left: left?.facts ?? Number.NaN,
  };
}

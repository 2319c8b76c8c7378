import { CALLER_ROWS_MAX_COUNT } from '../src/config/limits.ts';
import { atMost, round2, type Bar } from './bars.ts';
import { callerHeaders, makeCallers, serviceVariables } from './callers.ts';
import { migrations } from './audit-trail.ts';
import { requestBytes } from './http-connection.ts';
import { runClosedLoad, type LoadFigures } from './load.ts';
import { LIST_PATH, LIST_WORKSPACE, TOKENS_PATH } from './names.ts';
import { sized } from './quick.ts';
import { interleave, medianRatio } from './rounds.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';
import { startUpstream } from './upstream.ts';
import { withWorkerd } from './workerd-process.ts';

const NORMAL_CALLERS = 20;
const TOKENS = 20;
/** Of each of the normal ones: some fifty requests a second together, far below what the Worker can do. */
const PAUSE_MS = 400;
const GREEDY_CONNECTIONS = 8;
/** Three times what its limit allows: as a client that retries whatever it is told. */
const GREEDY_PAUSE_MS = 250;
const GREEDY_REQUESTS = 2_000;
const ROUNDS = sized(9, 2);
const ROUND_MS = sized(5_000, 500);

const P50_MAX = 2;
const P99_MAX = 2.5;

/**
 * Twenty callers who list, get and create now and then, by themselves and beside one at its limits, who asks three times as
 * often as it may for all that is denied, unknown, new or large.
 */
export async function benchGreedy(): Promise<readonly Bar[]> {
  await using upstream = await startUpstream();
  const callers = await makeCallers(NORMAL_CALLERS + 1);
  const { started, workerd } = await withWorkerd(
    async () => await startWorker('bench/worker/greedy.ts', serviceVariables(upstream, callers), ['DB']),
  );
  await using worker = started;
  // Its log lines are dropped unread, as in the bench of what users feel.
  workerd?.stdout?.unpipe().resume();
  const { origin } = new URL(worker.url);
  await answered(await fetch(`${origin}/bench/migrate`, { method: 'POST', body: JSON.stringify(migrations()) }));
  const [greedyJwt = '', ...jwts] = callers.jwts;
  const ids = await mint(origin, jwts[0] ?? '');

  const normal = {
    origin,
    requests: normalRequests(jwts, ids),
    connections: NORMAL_CALLERS,
    pauseMs: PAUSE_MS,
    forMs: ROUND_MS,
  };
  const greedy = {
    origin,
    requests: greedyRequests(greedyJwt),
    connections: GREEDY_CONNECTIONS,
    pauseMs: GREEDY_PAUSE_MS,
    accepts: () => true,
    forMs: ROUND_MS,
  };
  let asked = 0;
  const rounds = await interleave<'alone' | 'beside', LoadFigures>(
    [
      ['alone', async () => await runClosedLoad(normal)],
      [
        'beside',
        async () => {
          const [figures, taken] = await Promise.all([runClosedLoad(normal), runClosedLoad(greedy)]);
          asked += taken.answers;
          return figures;
        },
      ],
    ],
    ROUNDS,
  );
  const [alone = [], beside = []] = [rounds.get('alone'), rounds.get('beside')];
  const most: number = JSON.parse(await answered(await fetch(`${origin}/bench/rows`)));
  console.log(
    `${NORMAL_CALLERS} callers with pauses, by themselves and beside one that sent ${asked} requests and got what its limits allow: medians of ${ROUNDS} interleaved rounds of ${ROUND_MS / 1000} s.`,
  );
  console.table({ alone: rowOf(alone), 'beside the greedy one': rowOf(beside) });
  return [
    atMost(
      'twenty callers beside a greedy one: p50, ratio to themselves alone',
      ratio(beside, alone, 'p50Ms'),
      P50_MAX,
    ),
    atMost('the same: p99', ratio(beside, alone, 'p99Ms'), P99_MAX),
    atMost('rows of the greedy caller in a minute', most, CALLER_ROWS_MAX_COUNT),
  ];
}

type Figure = 'p50Ms' | 'p99Ms';

const ratio = (to: readonly LoadFigures[], from: readonly LoadFigures[], figure: Figure): number =>
  medianRatio(
    to.map((figures) => figures[figure]),
    from.map((figures) => figures[figure]),
  );

const rowOf = (rounds: readonly LoadFigures[]) => ({
  'requests/s': Math.round(median(rounds.map(({ perSecond }) => perSecond))),
  'p50 ms': round2(median(rounds.map(({ p50Ms }) => p50Ms))),
  'p99 ms': round2(median(rounds.map(({ p99Ms }) => p99Ms))),
});

async function mint(origin: string, jwt: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let index = 0; index < TOKENS; index += 1) {
    const headers = { ...callerHeaders(jwt), 'Content-Type': 'application/json' };
    const body = JSON.stringify({ name: `deploy-${index}`, scopes: ['api:read'] });
    const { data }: { data: { id: string } } = JSON.parse(
      await answered(await fetch(`${origin}${LIST_PATH}`, { method: 'POST', headers, body })),
    );
    ids.push(data.id);
  }
  return ids;
}

/** Eight lists and gets to a rename. */
const normalRequests = (jwts: readonly string[], ids: readonly string[]): readonly Buffer[] =>
  Array.from({ length: 9 }, (_kind, kind) =>
    jwts.map((jwt, index) => {
      const path = `${TOKENS_PATH}/${ids[(index + kind) % ids.length]}?workspace_uuid=${LIST_WORKSPACE}`;
      if (kind === 8) return requestBytes('PATCH', path, callerHeaders(jwt), { name: `renamed-${index}` });
      return requestBytes('GET', kind % 2 === 0 ? LIST_PATH : path, callerHeaders(jwt));
    }),
  ).flat();

/** What costs most, and makes rows: each is another one. None has a body, which a refusal leaves unread, and then the connection ends. */
function greedyRequests(jwt: string): readonly Buffer[] {
  const headers = callerHeaders(jwt);
  const kinds: readonly ((id: string) => Buffer)[] = [
    (id) => requestBytes('GET', `${TOKENS_PATH}/${id}?workspace_uuid=${LIST_WORKSPACE}`, headers),
    (id) => requestBytes('DELETE', `${TOKENS_PATH}/${id}?workspace_uuid=${LIST_WORKSPACE}`, headers),
    (id) => requestBytes('GET', `${TOKENS_PATH}?workspace_uuid=${id}`, headers),
    () => requestBytes('GET', LIST_PATH, { ...headers, 'Cache-Control': 'no-cache' }),
    (id) => requestBytes('GET', `/api/v1/audit/events?ip=192.0.2.1&request_id=${id}`, headers),
    (id) => requestBytes('GET', `/api/v1/audit/events/${id}`, headers),
    (id) => requestBytes('POST', `/api/v1/webhooks/deliveries/${id}/retry`, headers),
  ];
  return Array.from({ length: GREEDY_REQUESTS }, (_request, index) =>
    kinds[index % kinds.length]?.(crypto.randomUUID()),
  ).filter((request) => request !== undefined);
}

async function answered(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return text;
}

import type { HourReport } from '../hour-report.ts';
import { LIST_PATH, LIST_WORKSPACE, TOKENS_PATH } from '../names.ts';
import { createChance, type Clock } from './clock.ts';
import { createExpectedLists, type Change } from './expected-lists.ts';
import { createListReader } from './list-reader.ts';

const ORIGIN = 'https://countersign.example';
const SEEDED_TOKENS = 20;
/** The age to which a list may be served, as is promised: SNAPSHOT_MAX_AGE_SECONDS by default. */
const AGE_MAX_MS = 15_000;
/** Creates outnumber revokes. */
const KINDS = ['create', 'rename', 'create', 'revoke'] as const;

export interface TrafficOptions {
  readonly send: (request: Request) => Promise<Response>;
  readonly clock: Clock;
  readonly jwts: readonly string[];
  readonly seconds: number;
  readonly mutations: number;
  readonly seed: number;
}

export type TrafficReport = Omit<HourReport, 'pipeopsCalls' | 'pipeops429s' | 'd1Trips'>;

export interface Traffic {
  /** Makes the tokens that are there from the beginning. */
  seed(): Promise<void>;
  /** Every caller lists at once, and whatever changes within that second changes: half of it while they do. */
  playSecond(): Promise<void>;
  report(): TrafficReport;
}

export function createTraffic({ send, clock, jwts, seconds, mutations, seed }: TrafficOptions): Traffic {
  const chance = createChance(seed);
  const moments = Array.from({ length: mutations }, () => chance() * seconds).toSorted((a, b) => a - b);
  const expected = createExpectedLists();
  const reader = createListReader();
  const failedReads: Record<string, number> = {};
  const failedMutations: Record<string, number> = {};
  const refusedCallers = new Set<string>();
  let second = 0;
  let made = 0;
  let reads = 0;
  let staleReads = 0;
  let blindReads = 0;
  let oldestReadMs = 0;

  const read = async (jwt: string): Promise<void> => {
    const overAtBegin = expected.over();
    const response = await send(new Request(`${ORIGIN}${LIST_PATH}`, { headers: headersOf(jwt) }));
    reads += 1;
    const text = await response.text();
    if (response.status === 429) refusedCallers.add(jwt);
    if (response.status !== 200) {
      count(failedReads, response.status);
      return;
    }
    const { shown, takenMs } = reader.read(text);
    const ageMs = takenMs === null ? 0 : clock.ms - takenMs;
    oldestReadMs = Math.max(oldestReadMs, ageMs);
    if (ageMs > AGE_MAX_MS || Number(response.headers.get('Age')) * 1000 > AGE_MAX_MS) staleReads += 1;
    if (!expected.allows(shown, overAtBegin)) blindReads += 1;
  };

  const change = async (kind: Change['kind'], name: string): Promise<void> => {
    const jwt = pick(jwts, chance());
    const id = pick([...expected.live.keys()], chance());
    const next: Change = kind === 'create' ? { kind, name } : kind === 'rename' ? { kind, id, name } : { kind, id };
    expected.begin(next);
    const response = await send(requestOf(next, jwt));
    const text = await response.text();
    if (response.ok) {
      const { data }: { data?: { id?: string } } = JSON.parse(text);
      expected.confirm(data?.id ?? id);
      return;
    }
    expected.withdraw();
    count(failedMutations, response.status);
    if (response.status === 429) refusedCallers.add(jwt);
  };

  const changeUntil = async (limit: number, moves: boolean): Promise<void> => {
    for (let at = moments[made]; at !== undefined && at < limit; at = moments[made]) {
      made += 1;
      if (moves) clock.ms = clock.beganMs + Math.floor(at * 1000);
      // One after the other: then it is known what lists may show.
      await change(KINDS[made % KINDS.length] ?? 'create', `changed-${made}`);
    }
  };

  return {
    seed: async () => {
      for (let index = 0; index < SEEDED_TOKENS; index += 1) await change('create', `deploy-${index}`);
      if (Object.keys(failedMutations).length > 0) throw new Error(`seeding: ${JSON.stringify(failedMutations)}`);
    },
    playSecond: async () => {
      clock.ms = clock.beganMs + second * 1000;
      reader.forget();
      const half = jwts.length >> 1;
      await Promise.all([
        ...jwts.slice(0, half).map(read),
        changeUntil(second + 0.5, false),
        ...jwts.slice(half).map(read),
      ]);
      await changeUntil(second + 1, true);
      second += 1;
    },
    report: () => ({
      seconds: second,
      reads,
      failedReads,
      callersWith429: refusedCallers.size,
      staleReads,
      oldestReadMs,
      blindReads,
      mutations: made,
      failedMutations,
    }),
  };
}

function requestOf(change: Change, jwt: string): Request {
  const { kind } = change;
  const query = `?workspace_uuid=${LIST_WORKSPACE}`;
  const url = `${ORIGIN}${TOKENS_PATH}${kind === 'create' ? '' : `/${change.id}`}${query}`;
  if (kind === 'revoke') return new Request(url, { method: 'DELETE', headers: headersOf(jwt) });
  const body = {
    name: change.name,
    ...(kind === 'create' && { scopes: ['api:read'], workspace_uuid: LIST_WORKSPACE }),
  };
  const headers = { ...headersOf(jwt), 'Content-Type': 'application/json' };
  return new Request(url, { method: kind === 'create' ? 'POST' : 'PATCH', headers, body: JSON.stringify(body) });
}

const headersOf = (jwt: string) => ({ Authorization: `Bearer ${jwt}`, 'CF-Connecting-IP': '203.0.113.7' });

const pick = (from: readonly string[], chance: number): string => from[Math.floor(chance * from.length)] ?? '';

const count = (into: Record<string, number>, status: number): void => {
  into[status] = (into[status] ?? 0) + 1;
};

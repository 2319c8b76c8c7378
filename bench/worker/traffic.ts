import type { HourReport, PrepareCommand } from '../hour-report.ts';
import { TOKENS_PATH } from '../names.ts';
import { createChance } from '../statistics.ts';
import { createExpectedLists, type Change, type ExpectedLists } from './expected-lists.ts';
import { createListReader } from './list-reader.ts';
import type { Clock } from './virtual-pipeops.ts';

const ORIGIN = 'https://countersign.example';
/** A list that says that it is stale may be so old. */
const STALE_MAX_MS = 3_600_000;
/** Creates outnumber revokes. */
const KINDS = ['create', 'rename', 'create', 'revoke'] as const;

export interface TrafficOptions extends Pick<
  PrepareCommand,
  'jwts' | 'workspaces' | 'readers' | 'everySeconds' | 'seconds' | 'mutations' | 'seed'
> {
  readonly send: (request: Request) => Promise<Response>;
  readonly clock: Clock;
  /** The age to which a list may be served, as is promised. */
  readonly ageMaxMs: number;
  /** What is there from the beginning: names by their ids. */
  readonly seeded: (workspaceUuid: string) => ReadonlyMap<string, string>;
}

export type TrafficReport = Omit<HourReport, 'pipeopsCalls' | 'pipeops429s' | 'd1Trips'>;

export interface Traffic {
  /** The callers whose turn it is list at once, and whatever changes within that second changes: half of it while they do. */
  playSecond(): Promise<void>;
  report(): TrafficReport;
}

/** A workspace that is read. */
interface Place {
  readonly uuid: string;
  readonly expected: ExpectedLists;
  /** In which second it was read first; null: not yet. */
  readSecond: number | null;
}

export function createTraffic(options: TrafficOptions): Traffic {
  const { send, clock, jwts, seconds, mutations } = options;
  const chance = createChance(options.seed);
  const moments = Array.from({ length: mutations }, () => chance() * seconds).toSorted((a, b) => a - b);
  const places = options.workspaces.map((uuid): Place => ({
    uuid,
    expected: createExpectedLists(options.seeded(uuid)),
    readSecond: null,
  }));
  const reader = createListReader();
  const failedReads: Record<string, number> = {};
  const failedMutations: Record<string, number> = {};
  let second = 0;
  let made = 0;
  let turn = 0;
  let reads = 0;
  let answered = 0;
  let waits = 0;
  let staleReads = 0;
  let markedReads = 0;
  let blindReads = 0;
  let oldestReadMs = 0;
  let sumReadMs = 0;

  const read = async (place: Place, jwt: string): Promise<void> => {
    const { expected } = place;
    const wasRead = place.readSecond !== null;
    const overAtBegin = expected.over();
    const url = `${ORIGIN}${TOKENS_PATH}?workspace_uuid=${place.uuid}`;
    const response = await send(new Request(url, { headers: headersOf(jwt) }));
    reads += 1;
    const text = await response.text();
    if (response.status !== 200) {
      const isTold = Number(response.headers.get('Retry-After')) > 0 && text.includes('rate_limited');
      if (!wasRead && isTold) {
        waits += 1;
        return;
      }
      count(failedReads, response.status);
      return;
    }
    place.readSecond ??= second;
    const { shown, takenMs } = reader.read(text);
    const ageMs = takenMs === null ? 0 : clock.ms - takenMs;
    answered += 1;
    sumReadMs += ageMs;
    oldestReadMs = Math.max(oldestReadMs, ageMs);
    const isMarked = response.headers.get('Cache-Status')?.includes('stale') === true;
    const isOld = ageMs > options.ageMaxMs || Number(response.headers.get('Age')) * 1000 > options.ageMaxMs;
    if (isMarked) markedReads += 1;
    if (isOld && (!isMarked || ageMs > STALE_MAX_MS)) staleReads += 1;
    if (!expected.allows(shown, overAtBegin)) blindReads += 1;
  };

  const change = async ({ uuid, expected }: Place, kind: Change['kind'], name: string): Promise<void> => {
    const jwt = pick(jwts, chance()) ?? '';
    const id = pick([...expected.live.keys()], chance()) ?? '';
    const next: Change = kind === 'create' ? { kind, name } : kind === 'rename' ? { kind, id, name } : { kind, id };
    expected.begin(next);
    const response = await send(requestOf(uuid, next, jwt));
    const text = await response.text();
    if (response.ok) {
      const { data }: { data?: { id?: string } } = JSON.parse(text);
      expected.confirm(data?.id ?? id);
      return;
    }
    expected.withdraw();
    count(failedMutations, response.status);
  };

  const changeUntil = async (limit: number, moves: boolean): Promise<void> => {
    for (let at = moments[made]; at !== undefined && at < limit; at = moments[made]) {
      made += 1;
      if (moves) clock.ms = clock.beganMs + Math.floor(at * 1000);
      const place = pick(places, chance());
      // One after the other: then it is known what lists may show.
      if (place !== undefined) await change(place, KINDS[made % KINDS.length] ?? 'create', `changed-${made}`);
    }
  };

  /** Every workspace is read by its readers, who are others each time. */
  const readAll = (): readonly (() => Promise<void>)[] =>
    places.flatMap((place) =>
      Array.from({ length: options.readers }, () => {
        turn += 1;
        const jwt = jwts[turn % jwts.length] ?? '';
        return async () => await read(place, jwt);
      }),
    );

  return {
    playSecond: async () => {
      clock.ms = clock.beganMs + second * 1000;
      reader.forget();
      const due = second % options.everySeconds === 0 ? readAll() : [];
      const half = due.length >> 1;
      await Promise.all([
        ...due.slice(0, half).map(async (one) => await one()),
        changeUntil(second + 0.5, false),
        ...due.slice(half).map(async (one) => await one()),
      ]);
      await changeUntil(second + 1, true);
      second += 1;
    },
    report: () => ({
      seconds: second,
      reads,
      failedReads,
      waits,
      allReadSeconds: places.reduce<number | null>(
        (last, { readSecond }) => (last === null || readSecond === null ? null : Math.max(last, readSecond)),
        0,
      ),
      staleReads,
      markedReads,
      oldestReadMs,
      averageReadMs: sumReadMs / Math.max(1, answered),
      blindReads,
      mutations: made,
      failedMutations,
    }),
  };
}

function requestOf(workspaceUuid: string, change: Change, jwt: string): Request {
  const { kind } = change;
  const query = `?workspace_uuid=${workspaceUuid}`;
  const url = `${ORIGIN}${TOKENS_PATH}${kind === 'create' ? '' : `/${change.id}`}${query}`;
  if (kind === 'revoke') return new Request(url, { method: 'DELETE', headers: headersOf(jwt) });
  const body = {
    name: change.name,
    ...(kind === 'create' && { scopes: ['api:read'], workspace_uuid: workspaceUuid }),
  };
  const headers = { ...headersOf(jwt), 'Content-Type': 'application/json' };
  return new Request(url, { method: kind === 'create' ? 'POST' : 'PATCH', headers, body: JSON.stringify(body) });
}

const headersOf = (jwt: string) => ({ Authorization: `Bearer ${jwt}`, 'CF-Connecting-IP': '203.0.113.7' });

const pick = <T>(from: readonly T[], chance: number): T | undefined => from[Math.floor(chance * from.length)];

const count = (into: Record<string, number>, status: number): void => {
  into[status] = (into[status] ?? 0) + 1;
};

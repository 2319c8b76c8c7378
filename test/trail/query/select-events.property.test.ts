import { env } from 'cloudflare:workers';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EventFilter, NO_FILTER, type Direction } from '../../../src/trail/query/params.ts';
import { readScan, selectEvents } from '../../../src/trail/query/page.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { createDatabase } from '../../../src/db/database.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES } from '../../../src/vocabulary.ts';
import { insertRows, OPEN } from './trail.ts';

const database = createDatabase(env.DB, workerRuntime);
const BEGIN_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const ROWS = 400;

const oneOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
/** Few subjects and labels, so that they meet: `a` and `x|a` are both, and one issuer is a part of another. */
const NAMES = ['a', 'b', 'x|a', 'y|x|a'] as const;

const row = fc.record({
  // There are pauses, in which nobody works.
  stepMs: fc.oneof({ weight: 30, arbitrary: fc.nat({ max: 1_500 }) }, { weight: 1, arbitrary: oneOf(90_000, HOUR_MS) }),
  // How long an event is on its way to the database.
  earlyMs: fc.oneof(fc.constant(0), fc.nat({ max: 60_000 })),
  // By how much the clock is wrong from here on.
  clockMs: fc.oneof({ weight: 60, arbitrary: fc.constant(null) }, oneOf(0, 0, 0, 2 * HOUR_MS, 30 * HOUR_MS, -HOUR_MS)),
  status: oneOf(...AUDIT_STATUSES),
  action: oneOf(...AUDIT_ACTIONS),
  actor_type: oneOf(...ACTOR_TYPES),
  actor_issuer: oneOf('x', 'y', null),
  actor_subject: oneOf(...NAMES, null),
  actor_label: oneOf(...NAMES, null),
  workspace_uuid: oneOf('w1', 'w2', null),
  token_id: oneOf('t1', 't2', 't3', null),
  request_id: oneOf('r1', 'r2', null),
  ip: oneOf('192.0.2.1', '::1', null),
});

let trail: AuditEventRow[] = [];
let lastMs = 0;
beforeAll(async () => {
  let atMs = BEGIN_MS;
  let offMs = 0;
  const rows = fc.sample(row, { numRuns: ROWS, seed: 4 }).map(({ stepMs, earlyMs, clockMs, status, ...columns }) => {
    atMs += stepMs;
    offMs = clockMs ?? offMs;
    return { ...columns, ...(status === 'attempted' ? OPEN : { status }), occurred_at: atMs + offMs - earlyMs };
  });
  lastMs = atMs;
  for (let first = 0; first < rows.length; first += 50) await insertRows(rows.slice(first, first + 50));
  trail = (await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;
});

/** What a filter means, without any index. */
const matches = (event: AuditEventRow, filter: EventFilter): boolean =>
  (filter.actions.length === 0 || filter.actions.some((action) => action === event.action)) &&
  (filter.status ?? event.status) === event.status &&
  (filter.actorType ?? event.actor_type) === event.actor_type &&
  (filter.tokenId ?? event.token_id) === event.token_id &&
  (filter.workspaceUuid ?? event.workspace_uuid) === event.workspace_uuid &&
  (filter.requestId ?? event.request_id) === event.request_id &&
  (filter.ip ?? event.ip) === event.ip &&
  (filter.fromMs ?? event.occurred_at) <= event.occurred_at &&
  event.occurred_at < (filter.toMs ?? Infinity) &&
  (filter.own === null || (event.actor_issuer === filter.own.issuer && event.actor_subject === filter.own.subject)) &&
  (filter.actor === null ||
    [event.actor_subject, event.actor_label, `${event.actor_issuer}|${event.actor_subject}`].includes(filter.actor));

const nullable = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 2, nil: null });
/** Times within the trail, before it and after it, of wrong clocks too. */
const time = fc.nat().map((share) => BEGIN_MS - 2 * HOUR_MS + (share % (lastMs - BEGIN_MS + 40 * HOUR_MS)));
const filters: fc.Arbitrary<EventFilter> = fc.record({
  actions: fc.oneof(
    fc.constant([]),
    fc.subarray([...AUDIT_ACTIONS], { minLength: 1 }),
    fc.subarray([...AUDIT_ACTIONS], { minLength: 1, maxLength: 2 }),
  ),
  status: nullable(oneOf(...AUDIT_STATUSES)),
  actor: nullable(oneOf(...NAMES, 'x|b', 'nobody')),
  own: nullable(fc.record({ issuer: oneOf('x', 'y'), subject: oneOf(...NAMES, 'nobody') })),
  actorType: nullable(oneOf(...ACTOR_TYPES)),
  tokenId: nullable(oneOf('t1', 't2', 'none')),
  workspaceUuid: nullable(oneOf('w1', 'w2')),
  requestId: nullable(oneOf('r1', 'r2')),
  ip: nullable(oneOf('192.0.2.1', '::1')),
  fromMs: nullable(time),
  toMs: nullable(time),
});
/** A few filters together find something. All of them together hardly ever do. */
const fewFilters = fc
  .tuple(filters, fc.subarray(['actions', 'status', 'actor', 'own', 'tokenId', 'fromMs', 'toMs', 'ip'] as const))
  .map(([filter, kept]) => ({ ...NO_FILTER, ...Object.fromEntries(kept.map((name) => [name, filter[name]])) }));
/** The pages of a filter, from a position to the end. */
async function readPages(filter: EventFilter, direction: Direction, from: number | null, limitRows: number) {
  const seen: number[] = [];
  let seq = from;
  for (let pages = 0; pages <= ROWS; pages += 1) {
    const query = selectEvents(database, filter, { direction, seq }, limitRows);
    const read = await database.batch({ trace: newTrace() }, [query]);
    if (!read.ok) throw new Error(`D1 ${read.error}`);
    const { events, reachedSeq } = readScan(read.value[0], limitRows);
    expect(events.length).toBeLessThanOrEqual(limitRows);
    seen.push(...events.map((event) => event.seq));
    if (reachedSeq === null) return seen;
    seq = reachedSeq;
  }
  throw new Error('the pages never end');
}

describe('the pages of a query', () => {
  it.each([
    ['any filters together', filters],
    ['few filters', fewFilters],
  ])(
    'hold every row that matches, one time and in order: %s',
    async (_name, arbitrary) => {
      let found = 0;
      await fc.assert(
        fc.asyncProperty(
          arbitrary,
          oneOf<Direction>('asc', 'desc'),
          fc.option(fc.integer({ min: 0, max: ROWS + 2 }), { nil: null }),
          fc.integer({ min: 8, max: 120 }),
          async (filter, direction, from, limitRows) => {
            const isBehind = ({ seq }: AuditEventRow) =>
              from === null || (direction === 'asc' ? seq > from : seq < from);
            const expected = trail.filter((event) => isBehind(event) && matches(event, filter)).map(({ seq }) => seq);
            if (direction === 'desc') expected.reverse();
            expect(await readPages(filter, direction, from, limitRows)).toEqual(expected);
            found += expected.length;
          },
        ),
        { numRuns: 80 },
      );
      expect(found).toBeGreaterThan(0);
    },
    60_000,
  );
});

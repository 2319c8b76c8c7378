import { env } from 'cloudflare:workers';
import { asc, type SQL } from 'drizzle-orm';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EventFilter, NO_FILTER } from '../../../src/trail/query/filter.ts';
import type { Direction } from '../../../src/trail/query/params.ts';
import { readScan, selectEvents } from '../../../src/trail/query/page.ts';
import { mayComeToMatch, notOwnQueries } from '../../../src/trail/query/plan.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { type AuditEventRow, auditEvents } from '../../../src/db/schema.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import {
  ACTOR_TYPES,
  AUDIT_ACTIONS,
  AUDIT_STATUSES,
  type AuditAction,
  type ErrorCode,
} from '../../../src/vocabulary.ts';
import { insertRows, OPEN } from './trail.ts';

const database = createDatabase(env.DB, workerRuntime);
const BEGIN_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const ROWS = 400;

const oneOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const ISSUERS = ['https://x', 'https://x/y'] as const;
/** Few subjects and labels, so that they meet: each is both, and one issuer is a part of another. */
const NAMES = ['a', 'b', 'x|a', '|a', 'https://x|a'] as const;
/** Names of actors: some are exact. */
const ACTORS = [...NAMES, 'https://x/y|a', 'https://x|https://x|a', '|b', 'https://x|', '|', 'x|b', 'nobody'] as const;
/** The beginnings of the secrets of tokens, which the inventory knows. Four tokens share the first, and `t1` is in two workspaces. */
const PREFIXES = { t1: 'sat_one', t2: 'sat_one', t4: 'sat_one', t5: 'sat_one', t3: 'sat_two' } as const;
const OWNED = ['t1', 't3'] as const;
const OWNER = { issuer: ISSUERS[0], subject: NAMES[0] };
/** What only rows of grants name. */
const GRANTS: readonly AuditAction[] = AUDIT_ACTIONS.filter((action) =>
  /^(service_account_token\.(create|update|revoke)|webhook\.retry)$/.test(action),
);

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
  actor_issuer: oneOf(...ISSUERS, null),
  actor_subject: oneOf(...NAMES, null),
  actor_label: oneOf(...NAMES, null),
  workspace_uuid: oneOf('w1', 'w2', null),
  token_id: oneOf('t1', 't2', 't3', 't4', 't5', null),
  token_name: oneOf('deploy', 'Deploy', null),
  error_code: fc.constantFrom<ErrorCode | null>('forbidden', 'not_found', null),
  asked: oneOf({ scopes: ['s:a', 's:b'] }, { preset: 'p', preset_scopes: ['s:b'] }, {}),
  policy: oneOf('1'.repeat(16), '2'.repeat(16)),
  came: oneOf({ role: 'ci' }, { role: 'dev', came: { scopes: ['S:C'] } }, {}),
  request_id: oneOf('r1', 'r2', null),
  ip: oneOf('192.0.2.1', '::1', null),
});

let trail: AuditEventRow[] = [];
let lastMs = 0;
beforeAll(async () => {
  let atMs = BEGIN_MS;
  let offMs = 0;
  const rows = fc
    .sample(row, { numRuns: ROWS, seed: 4 })
    .map(({ stepMs, earlyMs, clockMs, status, asked, policy, came, ...columns }) => {
      atMs += stepMs;
      offMs = clockMs ?? offMs;
      const isGrant = GRANTS.includes(columns.action);
      const detail = JSON.stringify({
        ...(isGrant ? asked : { scope: 's:a', role: 'ci', policy_version: policy }),
        policy,
      });
      const settled = { status, outcome: JSON.stringify(isGrant ? came : {}) };
      return {
        ...columns,
        detail,
        ...(status === 'attempted' ? { ...OPEN, error_code: null } : settled),
        occurred_at: atMs + offMs - earlyMs,
      };
    });
  lastMs = atMs;
  for (let first = 0; first < rows.length; first += 50) await insertRows(rows.slice(first, first + 50));
  await env.DB.batch(
    [
      ...Object.entries(PREFIXES).map(([id, prefix]) => ['w1', id, prefix] as const),
      ['w2', 't1', 'sat_one'] as const,
    ].map(([workspace, id, prefix]) => {
      const isOwned = OWNED.some((owned) => owned === id);
      return env.DB.prepare(
        `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, token_prefix) values (?, ?, ?, ?, 1, ?)`,
      ).bind(workspace, id, isOwned ? OWNER.issuer : null, isOwned ? OWNER.subject : null, prefix);
    }),
  );
  trail = (await env.DB.prepare('select * from audit_events order by seq').all<AuditEventRow>()).results;
});

/** What a filter means, without any index. */
const matches = (event: AuditEventRow, filter: EventFilter): boolean =>
  (filter.actions.length === 0 || filter.actions.includes(event.action)) &&
  !filter.except.includes(event.action) &&
  (filter.status ?? event.status) === event.status &&
  (filter.code ?? event.error_code) === event.error_code &&
  (filter.actorType ?? event.actor_type) === event.actor_type &&
  (filter.tokenId ?? event.token_id) === event.token_id &&
  (filter.tokenName ?? event.token_name) === event.token_name &&
  (filter.tokenPrefix === null || isOfPrefix(event.token_id, filter)) &&
  (filter.scope === null || scopesOf(event).includes(filter.scope)) &&
  (filter.role === null || parsed(event.outcome)['role'] === filter.role) &&
  (filter.policyVersion ?? parsed(event.detail)['policy']) === parsed(event.detail)['policy'] &&
  (filter.workspaceUuid ?? event.workspace_uuid) === event.workspace_uuid &&
  (filter.requestId ?? event.request_id) === event.request_id &&
  (filter.ip ?? event.ip) === event.ip &&
  (filter.fromMs ?? event.occurred_at) <= event.occurred_at &&
  event.occurred_at < (filter.toMs ?? Infinity) &&
  (filter.own === null || (event.actor_issuer === filter.own.issuer && event.actor_subject === filter.own.subject)) &&
  (filter.actor === null || namesOf(event, filter.actor).includes(filter.actor));

const parsed = (json: string | null) => JSON.parse(json ?? '{}') as Record<string, unknown>;
const scopesOf = ({ detail, outcome }: AuditEventRow): unknown[] => {
  const [asked, came] = [parsed(detail), parsed(outcome)['came'] as { scopes: string[] } | undefined];
  return [
    asked['scopes'] ?? [],
    asked['preset_scopes'] ?? [],
    came?.scopes.map((scope) => scope.toLowerCase()) ?? [],
  ].flat();
};
/** A caller's own events are found by the prefixes of its own tokens alone. */
const isOfPrefix = (id: string | null, { own, tokenPrefix }: EventFilter): boolean =>
  Object.entries(PREFIXES).some(([token, prefix]) => token === id && prefix === tokenPrefix) &&
  (own === null ||
    (own.issuer === OWNER.issuer && own.subject === OWNER.subject && OWNED.some((owned) => owned === id)));
/** Whoever names an issuer, or says that there is none, names no label and no other subject. */
const namesOf = ({ actor_issuer, actor_subject, actor_label }: AuditEventRow, asked: string): (string | null)[] =>
  asked.startsWith('|') || asked.startsWith('https:')
    ? [`${actor_issuer ?? ''}|${actor_subject ?? ''}`]
    : [actor_subject, actor_label];

const nullable = <T>(values: fc.Arbitrary<T>) => fc.option(values, { freq: 2, nil: null });
/** Times within the trail, before it and after it, of wrong clocks too. */
const time = fc.nat().map((share) => BEGIN_MS - 2 * HOUR_MS + (share % (lastMs - BEGIN_MS + 40 * HOUR_MS)));
const filters: fc.Arbitrary<EventFilter> = fc.record({
  actions: fc.oneof(
    fc.constant([]),
    fc.subarray([...AUDIT_ACTIONS], { minLength: 1 }),
    fc.subarray([...AUDIT_ACTIONS], { minLength: 1, maxLength: 2 }),
  ),
  except: fc.oneof(fc.constant([]), fc.subarray([...AUDIT_ACTIONS])),
  status: nullable(oneOf(...AUDIT_STATUSES)),
  code: nullable(fc.constantFrom<ErrorCode>('forbidden', 'not_found')),
  actor: nullable(oneOf(...ACTORS)),
  own: nullable(fc.record({ issuer: oneOf(...ISSUERS), subject: oneOf(...NAMES, 'nobody') })),
  actorType: nullable(oneOf(...ACTOR_TYPES)),
  tokenId: nullable(oneOf('t1', 't2', 'none')),
  tokenName: nullable(oneOf('deploy', 'other')),
  tokenPrefix: nullable(oneOf('sat_one', 'sat_two', 'sat_none')),
  scope: nullable(oneOf('s:a', 's:b', 's:c')),
  role: nullable(oneOf('ci', 'dev')),
  policyVersion: nullable(oneOf('1'.repeat(16), '3'.repeat(16))),
  workspaceUuid: nullable(oneOf('w1', 'w2')),
  requestId: nullable(oneOf('r1', 'r2')),
  ip: nullable(oneOf('192.0.2.1', '::1')),
  fromMs: nullable(time),
  toMs: nullable(time),
});
const SOME = [
  'actions',
  'except',
  'status',
  'code',
  'actor',
  'own',
  'tokenId',
  'tokenName',
  'tokenPrefix',
  'scope',
  'role',
  'policyVersion',
  'fromMs',
  'toMs',
  'ip',
] as const;
/** A few filters together find something. All of them together hardly ever do. */
const fewFilters = fc
  .tuple(filters, fc.subarray([...SOME], { maxLength: 3 }))
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
    ['any filters together', filters, 40, 0],
    ['few filters', fewFilters, 90, 100],
  ])(
    'hold every row that matches, one time and in order: %s',
    async (_name, arbitrary, numRuns, least) => {
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
        { numRuns },
      );
      expect(found).toBeGreaterThanOrEqual(least);
    },
    60_000,
  );
});

/** The rows that a condition holds for. */
async function rowsWhere(condition: SQL | undefined): Promise<number[]> {
  const { build } = database;
  const query = build.select({ seq: auditEvents.seq }).from(auditEvents).where(condition).orderBy(asc(auditEvents.seq));
  const read = await database.batch({ trace: newTrace() }, [query]);
  if (!read.ok) throw new Error(`D1 ${read.error}`);
  return read.value[0].map(({ seq }) => seq);
}

describe('rows that may come to match', () => {
  it('are those that match apart from what settling them gives', async () => {
    const mayMatch = (event: AuditEventRow, filter: EventFilter): boolean => {
      const { tokenId, tokenPrefix } = filter;
      const settled = { status: null, role: null, scope: null, code: null, tokenId: null, tokenPrefix: null };
      return (
        matches(event, { ...filter, ...settled }) &&
        (tokenId === null || (event.token_id ?? tokenId) === tokenId) &&
        (tokenPrefix === null || event.token_id === null || isOfPrefix(event.token_id, filter))
      );
    };
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fewFilters, async (filter) => {
        // A scope or a role is given by grants alone.
        const ofGrants = filter.scope !== null || filter.role !== null;
        const bySeq = new Map(trail.map((event) => [event.seq, event]));
        const isCompared = (event: AuditEventRow | undefined): boolean =>
          event !== undefined && (!ofGrants || GRANTS.includes(event.action));
        const expected = trail.filter((event) => isCompared(event) && mayMatch(event, filter)).map(({ seq }) => seq);
        const rows = await rowsWhere(mayComeToMatch(filter));
        expect(rows.filter((seq) => isCompared(bySeq.get(seq)))).toEqual(expected);
        found += expected.length;
      }),
      { numRuns: 120 },
    );
    expect(found).toBeGreaterThan(100);
  });
});

it('of a caller’s own queries none is shown, and those of all others are', async () => {
  for (const issuer of ISSUERS) {
    for (const subject of NAMES) {
      const isOwn = (event: AuditEventRow): boolean =>
        event.action === 'audit.query' && event.actor_issuer === issuer && event.actor_subject === subject;
      const shown = trail.filter((event) => !isOwn(event)).map(({ seq }) => seq);
      expect(await rowsWhere(notOwnQueries({ issuer, subject }))).toEqual(shown);
    }
  }
});

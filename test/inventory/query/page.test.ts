import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type Query } from '../../../src/db/database.ts';
import type { TokenRow } from '../../../src/db/schema.ts';
import { type InventoryFilter, isByExpiry, NO_TOKEN_FILTER } from '../../../src/inventory/query/filter.ts';
import { stateOf } from '../../../src/inventory/query/item.ts';
import { readPage, selectPage } from '../../../src/inventory/query/page.ts';
import type { Asked, Place } from '../../../src/inventory/query/params.ts';
import { viewOf } from '../../../src/inventory/query/view.ts';
import { usageOf } from '../../../src/inventory/usage.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { maySee } from '../../../src/policy/decide.ts';
import type { Caller } from '../../../src/policy/types.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { role } from '../../policy/builders.ts';
import { anyOwner } from '../../support/no-macs.ts';
import { measuredD1 } from '../../support/measured-d1.ts';

// A page of the inventory as D1 gives it: what it shows, held against a plain filter of all tokens, and what it reads.

const DAY = 24 * 60 * 60 * 1000;
const NOW = 1_000 * DAY;
const ISSUER = 'https://issuer.example';

const { db, of: costOf } = measuredD1();
const database = createDatabase(db, workerRuntime);
async function send<Rows>(queries: readonly Query<Rows[]>[]): Promise<Rows[][]> {
  const sent = await database.batch({ trace: newTrace() }, queries);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the rows of these queries
  return (sent.ok ? sent.value : []) as Rows[][];
}

const read = (tokens: 'own' | 'any', ...workspaces: string[]) =>
  role({ permissions: ['tokens:read'], tokens, workspaces });
const caller = (...roles: Caller['roles']): Caller => ({
  issuer: ISSUER,
  subject: 'me',
  label: null,
  actorType: 'user',
  claims: {},
  roles,
});
const CALLERS: Readonly<Record<string, Caller>> = {
  'any token anywhere': caller(read('any', '*')),
  'any token of one workspace': caller(read('any', 'w1')),
  'any token of two': caller(read('any', 'w1', 'w3')),
  'any of two, and its own anywhere': caller(read('any', 'w1', 'w3'), read('own', '*')),
  'any of one, and its own in two': caller(read('own', 'w0', 'w1'), read('any', 'w1')),
  'its own anywhere': caller(read('own', '*')),
  'its own in one': caller(read('own', 'w2')),
  'nothing, since its role does not read': caller(role({ permissions: ['tokens:revoke'], tokens: 'any' })),
};

describe('what a caller sees', () => {
  it.each(Object.entries(CALLERS))('of %s is what each of its roles shows', async (_name, who) => {
    const shown = await pageThrough(who, {});
    const seen = rows.filter((row) => maySee(who, knownTokenOf(row)));
    expect(shown.ids).toEqual(inOrder(seen, {}).map(nameOf));
  });
});

/** Every filter, with a value that some tokens have and others lack. */
const FILTERS: Readonly<Record<string, Partial<InventoryFilter>>> = {
  workspace_uuid: { workspaceUuid: 'w1' },
  'owner, the caller': { owner: { issuer: ISSUER, subject: 'me' } },
  'owner, another': { owner: { issuer: ISSUER, subject: 'you' } },
  'owner, of another issuer': { owner: { issuer: 'https://other.example', subject: 'me' } },
  'owner, none': { owner: 'none' },
  label: { label: 'ME@acme.example' },
  role: { role: 'ci' },
  policy_version: { policyVersion: 'p1' },
  scope: { scope: 'api:write' },
  token_name: { tokenName: 'n3' },
  token_id: { tokenId: 't7' },
  token_prefix: { tokenPrefix: 'sat_2' },
  token_sha256: { tokenSha256: 'f7' },
  'state, one': { states: ['active'] },
  'state, several': { states: ['retiring', 'suspended', 'expired'] },
  'usage, unknown': { usages: ['unknown'] },
  'usage, several': { usages: ['never_used', 'recent', 'unused'] },
  created: { created: { fromMs: NOW - 60 * DAY, toMs: NOW - 20 * DAY } },
  expires_from: { expires: { fromMs: NOW - 2 * DAY, toMs: null } },
  expires_to: { expires: { fromMs: null, toMs: NOW + 3 * DAY } },
  last_used: { lastUsed: { fromMs: NOW - 100 * DAY, toMs: NOW - DAY } },
  replaces: { replaces: 't4' },
  replaced_by: { replacedBy: 't5' },
};
const NAMES = Object.keys(FILTERS);
const PAIRS = NAMES.flatMap((one, index) => NAMES.slice(index + 1).map((other) => [one, other] as const));

describe.each(Object.entries(CALLERS))('to %s', (_name, who) => {
  it('each filter shows the tokens that match it, in order, however its pages end', async () => {
    for (const name of NAMES) {
      const filter = FILTERS[name]!;
      const expected = inOrder(matching(who, filter), filter).map(nameOf);
      expect([name, (await pageThrough(who, filter)).ids]).toEqual([name, expected]);
    }
  });
});

// Of the callers that are looked up in ways of their own.
describe.each(['any token anywhere', 'any of two, and its own anywhere', 'its own anywhere'])('to %s', (name) => {
  const who = CALLERS[name]!;
  it('each pair of filters shows the tokens that match both', async () => {
    const filters = PAIRS.map(([one, other]) => ({ ...FILTERS[one], ...FILTERS[other] }));
    const asked = filters.map((filter) => askedFor(who, filter, null, 200));
    const pages: unknown[] = [];
    // D1 takes any number of statements, and one batch for all of them would be slow to bind.
    for (let first = 0; first < asked.length; first += 50) {
      const some = asked.slice(first, first + 50);
      const sent = await send(some.map((one) => selectPage(database, one, 500)));
      pages.push(...sent.map((page, index) => readPage(page, [], some[index]!, anyOwner).items.map(itemName)));
    }
    const expected = filters.map((filter) => inOrder(matching(who, filter), filter).map(nameOf));
    expect(PAIRS.map((pair, index) => [pair, pages[index]])).toEqual(
      PAIRS.map((pair, index) => [pair, expected[index]]),
    );
  });
});

describe('what a page reads', () => {
  const LIMIT = 20;
  const SCAN = 200;
  const MANY = 3_000;
  /** A token is read by its index, in the table, and for what is known of its workspace. */
  const SHOWN = 4 * LIMIT;

  beforeAll(async () => {
    await env.DB.prepare(
      `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${MANY})
      insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, owner_label, created_at, expires_at, revoked_at, ended_by,
        token_prefix, fingerprint, name, scopes, role, replaces, replaced_by)
      select 'many' || (i % 3), 'm' || i, '${ISSUER}', 'many' || (i % 3), 'many' || (i % 3) || '@acme.example', i, ${NOW} + 1 + i / 300,
        iif(i % 5, null, i), iif(i % 5, null, 'absent'), 'sat_m' || (i % 2), 'm' || i, 'm', '[]', 'ci', 'r' || (i % 2), 'r' || (i % 2) from n`,
    ).run();
  });
  const many = (subject: string, ...roles: Caller['roles']): Caller => ({ ...caller(...roles), subject });
  const all = many('me', read('any', '*'));
  const own = many('many1', read('own', '*'));
  const some = many('many2', read('any', 'many0', 'many1'), read('own', '*'));
  const soon = { expires: { fromMs: NOW, toMs: null } };
  const owner = { issuer: ISSUER, subject: 'many1' };
  const middle = { workspaceUuid: 'many1', tokenId: 'm1501', dueMs: null };
  const midway = { ...middle, dueMs: NOW + 1 + 5 };

  it.each<[string, Caller, Partial<InventoryFilter>, number]>([
    ['no filter', all, {}, SHOWN],
    ['owner', all, { owner }, SHOWN],
    ['label', all, { label: 'many1@acme.example' }, SHOWN],
    ['workspace_uuid', all, { workspaceUuid: 'many1' }, SHOWN],
    ['token_prefix', all, { tokenPrefix: 'sat_m1' }, SHOWN],
    ['replaces', all, { replaces: 'r1' }, SHOWN],
    ['replaced_by', all, { replacedBy: 'r1' }, SHOWN],
    ['expires', all, soon, SHOWN],
    ['expires, active', all, { expires: { fromMs: null, toMs: NOW + DAY }, states: ['active'] }, SHOWN + LIMIT],
    ['expires and owner', all, { ...soon, owner }, SHOWN],
    ['expires and workspace_uuid', all, { ...soon, workspaceUuid: 'many1' }, SHOWN],
    ['no filter, of its own', own, {}, SHOWN],
    ['expires, of its own', own, soon, SHOWN],
    ['no filter, of several workspaces', some, {}, 10 * LIMIT],
    ['expires, of several workspaces', some, soon, 10 * LIMIT],
    ['role, which no index has', all, { role: 'ci' }, SHOWN + LIMIT],
  ])('by %s is a few rows for each token that it shows, first and deep', async (_name, who, filter, most) => {
    const first = await pageOf(who, filter, null, LIMIT, SCAN);
    const deep = await pageOf(
      who,
      filter,
      isByExpiry({ ...NO_TOKEN_FILTER, ...filter }) ? midway : middle,
      LIMIT,
      SCAN,
    );
    expect([first.items.length, deep.items.length]).toEqual([LIMIT, LIMIT]);
    expect(Math.max(first.rowsRead, deep.rowsRead)).toBeLessThanOrEqual(most);
  });

  it.each<[string, Caller, Partial<InventoryFilter>]>([
    ['token_sha256', all, { tokenSha256: 'm1501' }],
    ['token_sha256, of several workspaces', some, { tokenSha256: 'm1501' }],
    ['token_id', all, { tokenId: 'm1501' }],
    ['token_id, of several workspaces', some, { tokenId: 'm1501' }],
    ['token_id and expires', all, { tokenId: 'm1501', ...soon }],
  ])('by %s is a look into an index', async (_name, who, filter) => {
    const page = await pageOf(who, filter, null, LIMIT, SCAN);
    expect(page.items.map(itemName)).toEqual(['many1/m1501']);
    expect(page.rowsRead).toBeLessThan(60);
  });

  it.each<[string, Caller, Partial<InventoryFilter>, number]>([
    ['anything', all, { role: 'none' }, 2],
    ['an owner', all, { owner, tokenName: 'none' }, 2],
    ['a workspace', all, { workspaceUuid: 'many1', scope: 'none' }, 2],
    ['its own', own, { tokenId: 'm1502' }, 2],
    ['what expires', all, { ...soon, tokenPrefix: 'none' }, 2],
    ['several workspaces', some, { role: 'none' }, 9],
    ['what expires in several workspaces', some, { ...soon, role: 'none' }, 10],
    ['use', all, { usages: ['recent'] }, 3],
  ])('is bounded where nothing is found in %s, and the next page goes on', async (_name, who, filter, each) => {
    const first = await pageOf(who, filter, null, LIMIT, SCAN);
    expect([first.items.length, first.isPartial]).toEqual([0, true]);
    const second = await pageOf(who, filter, first.next, LIMIT, SCAN);
    expect(second.next).not.toEqual(first.next);
    expect(Math.max(first.rowsRead, second.rowsRead)).toBeLessThanOrEqual(each * SCAN + 30);
  });

  it('does not tell of what the caller may not see, by what it reads or where it ends', async () => {
    const elsewhere = many('nobody', read('own', '*'));
    for (const [there, nowhere] of [
      [{ tokenSha256: 'm1501' }, { tokenSha256: 'nothing' }],
      [{ tokenPrefix: 'sat_m1' }, { tokenPrefix: 'sat_none' }],
      [{ tokenId: 'm1501' }, { tokenId: 'nothing' }],
      [{ owner }, { owner: { ...owner, subject: 'nobody-else' } }],
      [{ replaces: 'r1' }, { replaces: 'none' }],
    ] as const) {
      const ask = async (filter: Partial<InventoryFilter>) => await pageOf(elsewhere, filter, null, LIMIT, SCAN);
      expect(await ask(there)).toEqual(await ask(nowhere));
    }
    const behind = async (after: Place) => {
      const { rowsRead: _one, ...page } = await pageOf(elsewhere, {}, after, LIMIT, SCAN);
      return page;
    };
    expect(await behind(middle)).toEqual(await behind({ ...middle, tokenId: 'nothing' }));
  });
});

// ── The tokens ──

const TOKENS = 64;
let rows: readonly TokenRow[] = [];
const ADVANCED: Readonly<Record<string, number | null>> = { w0: NOW - DAY, w1: NOW - DAY, w2: NOW - 8 * DAY, w3: null };
const unusedAfter = { ci: 5 * 24 * 60 * 60 };

/** The i-th token. Multiples of primes stand for chance. */
function tokenOf(i: number): Partial<TokenRow> {
  const pick = <T>(step: number, ...values: readonly T[]): T => values[(i * step) % values.length]!;
  const owner = pick(1, ['me', ISSUER], ['you', ISSUER], ['me', ISSUER], null, ['me', 'https://other.example']);
  const isEnded = i % 11 === 0;
  return {
    workspace_uuid: pick(7, 'w0', 'w1', 'w2', 'w3'),
    // Each id is in two workspaces, or in three.
    token_id: `t${Math.floor(i / 3)}`,
    owner_issuer: owner?.[1] ?? null,
    owner_subject: owner?.[0] ?? null,
    owner_label: owner === null ? null : `${owner[0]}@acme.example`,
    created_at: NOW - 90 * DAY + i * DAY,
    // Many expire at one time, and many never.
    expires_at: pick(1, NOW + DAY, null, NOW + DAY, NOW + 9 * DAY, NOW - DAY, NOW + DAY, null),
    revoked_at: isEnded ? NOW - 1 : null,
    ended_by: isEnded ? 'acknowledged' : null,
    token_prefix: pick(5, 'sat_1', 'sat_2', 'sat_3', null),
    fingerprint: `f${i}`,
    suspended_by: pick(1, null, null, null, '["owner"]', null, null, null, null, '["leak","owner"]'),
    name: pick(3, 'n1', 'n2', 'n3', 'n4', null),
    scopes: pick(1, '["api:read"]', '["api:read","api:write"]', null),
    role: pick(1, 'ci', 'admin', null),
    policy_version: pick(3, 'p1', 'p2'),
    replaces: i % 4 === 1 ? `t${i % 6}` : null,
    replaced_by: i % 4 === 2 ? `t${i % 6}` : null,
    retires_at: i % 9 === 4 ? NOW + DAY : null,
    last_used_at: pick(1, null, NOW - 4 * DAY, NOW - 6 * DAY, NOW - 95 * DAY),
    usage_seen_at: i % 8 === 7 ? null : NOW - DAY,
    usage_doubted_at: i % 13 === 12 ? NOW - DAY : null,
  };
}

beforeAll(async () => {
  const insert = (table: string, row: object) => {
    const columns = Object.keys(row);
    return env.DB.prepare(
      `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`,
    ).bind(...Object.values(row));
  };
  await env.DB.batch([
    ...Array.from({ length: TOKENS }, (_item, i) => insert('tokens', tokenOf(i))),
    ...Object.entries(ADVANCED).map(([workspace_uuid, usage_advanced_at]) =>
      insert('workspaces', { workspace_uuid, generation: 0, lease_until: 0, usage_advanced_at }),
    ),
  ]);
  rows = (await env.DB.prepare('select * from tokens order by rowid desc').all<TokenRow>()).results;
});

// ── The plain filter ──

const nameOf = ({ workspace_uuid, token_id }: Pick<TokenRow, 'workspace_uuid' | 'token_id'>): string =>
  `${workspace_uuid}/${token_id}`;
const itemName = ({ workspace_uuid, id }: { workspace_uuid: string; id: string }): string => `${workspace_uuid}/${id}`;
const knownTokenOf = (row: TokenRow) => ({
  workspaceUuid: row.workspace_uuid,
  tokenId: row.token_id,
  owner:
    row.owner_issuer === null || row.owner_subject === null
      ? null
      : { issuer: row.owner_issuer, subject: row.owner_subject },
  suspendedBy: [],
});

const within = (ms: number | null, { fromMs, toMs }: { fromMs: number | null; toMs: number | null }): boolean =>
  (fromMs === null && toMs === null) || (ms !== null && ms >= (fromMs ?? -Infinity) && ms < (toMs ?? Infinity));

function matches(row: TokenRow, given: Partial<InventoryFilter>): boolean {
  const f = { ...NO_TOKEN_FILTER, ...given };
  const { owner } = f;
  const is = (wanted: string | null, value: string | null): boolean => wanted === null || wanted === value;
  return (
    is(f.workspaceUuid, row.workspace_uuid) &&
    (owner === null ||
      (owner === 'none'
        ? row.owner_issuer === null
        : owner.issuer === row.owner_issuer && owner.subject === row.owner_subject)) &&
    is(f.label?.toLowerCase() ?? null, row.owner_label) &&
    is(f.role, row.role) &&
    is(f.policyVersion, row.policy_version) &&
    (f.scope === null || (row.scopes?.includes(`"${f.scope}"`) ?? false)) &&
    is(f.tokenName, row.name) &&
    is(f.tokenId, row.token_id) &&
    is(f.tokenPrefix, row.token_prefix) &&
    is(f.tokenSha256, row.fingerprint) &&
    (f.states.length === 0 || f.states.includes(stateOf(row, NOW))) &&
    (f.usages.length === 0 ||
      f.usages.includes(usageOf(row, ADVANCED[row.workspace_uuid] ?? null, unusedAfter, NOW))) &&
    within(row.created_at, f.created) &&
    within(row.expires_at, f.expires) &&
    (!isByExpiry(f) || row.revoked_at === null) &&
    within(row.last_used_at, f.lastUsed) &&
    is(f.replaces, row.replaces) &&
    is(f.replacedBy, row.replaced_by)
  );
}

const matching = (who: Caller, filter: Partial<InventoryFilter>): readonly TokenRow[] =>
  rows.filter((row) => maySee(who, knownTokenOf(row)) && matches(row, filter));

/** The newest first, or those that expire soonest, and of these the oldest. */
const inOrder = (some: readonly TokenRow[], filter: Partial<InventoryFilter>): readonly TokenRow[] =>
  isByExpiry({ ...NO_TOKEN_FILTER, ...filter })
    ? some.toReversed().toSorted((one, other) => one.expires_at! - other.expires_at!)
    : some;

// ── Asking ──

function askedFor(who: Caller, given: Partial<InventoryFilter>, after: Place | null, limitRows: number): Asked {
  const filter = { ...NO_TOKEN_FILTER, ...given };
  const { tokenSha256 } = filter;
  return {
    filter,
    after,
    limitRows,
    view: viewOf(who, filter.workspaceUuid),
    // As if there were a second key, with which no token is recognised.
    fingerprints: tokenSha256 === null ? null : ['of-another-key', tokenSha256],
    unusedAfter,
    nowMs: NOW,
  };
}

async function pageOf(who: Caller, given: Partial<InventoryFilter>, after: Place | null, limit: number, scan: number) {
  const asked = askedFor(who, given, after, limit);
  let page = readPage([], [], asked, anyOwner);
  const { rowsRead } = await costOf(async () => {
    const [answer = []] = await send([selectPage(database, asked, scan)]);
    page = readPage(answer, [], asked, anyOwner);
  });
  return { ...page, rowsRead };
}

/** All pages of a filter, which are so small that most of them are partial. */
async function pageThrough(who: Caller, given: Partial<InventoryFilter>, limit = 13, scan = 17) {
  const ids: string[] = [];
  const partial: boolean[] = [];
  let after: Place | null = null;
  do {
    const page: Awaited<ReturnType<typeof pageOf>> = await pageOf(who, given, after, limit, scan);
    ids.push(...page.items.map(itemName));
    partial.push(page.isPartial);
    after = page.next;
  } while (after !== null);
  return { ids, partial };
}

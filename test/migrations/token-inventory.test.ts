import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from 'vitest';
import { newWorkspace, storedSpellingsOf } from '../support/spellings.ts';
import { MIGRATIONS, statementsOf } from './migrations.ts';

// What was granted to the tokens that are there already is told by the trail, and recorded beside them as far as it is.

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.now();
const W = newWorkspace();
const OTHER = newWorkspace();

interface Before {
  /** Of the token. Default: W. */
  readonly workspace?: string;
  /** As the trail spells it. Default: that of the token. */
  readonly spelled?: string;
  readonly id?: string;
  readonly owner?: string | null;
  readonly minted?: object;
  readonly name?: string | null;
  readonly role?: string | null;
  readonly at?: number;
  readonly expiresAt?: number | null;
  readonly revokedAt?: number | null;
  /** Later events: their action and status, the name and the scopes that they give. */
  readonly later?: readonly { action?: string; status?: string; name?: string; scopes?: readonly string[] }[];
}

/** Each token that was there before, and what is recorded of it afterwards. */
const TOKENS: Readonly<Record<string, readonly [Before, Readonly<Record<string, unknown>>]>> = {
  'with scopes': [
    { minted: { scopes: ['api:read', 'api:write'], policy: '0123456789abcdef' }, expiresAt: NOW + 90 * DAY },
    {
      name: 'deploy',
      scopes: '["api:read","api:write"]',
      role: 'ci',
      policy_version: '0123456789abcdef',
      lifetime_seconds: 100 * 24 * 60 * 60,
      replaces: null,
      replaced_by: null,
      retires_at: null,
      last_used_at: null,
      usage_seen_at: null,
    },
  ],
  'with a preset': [
    { minted: { preset: 'sandbox', preset_scopes: ['api:read', 'logs:read'] } },
    { scopes: '["api:read","logs:read"]', policy_version: null, lifetime_seconds: null },
  ],
  'with scopes and a preset': [
    { minted: { scopes: ['api:write', 'api:read'], preset: 'sandbox', preset_scopes: ['logs:read'] } },
    { scopes: '["api:write","api:read","logs:read"]' },
  ],
  'with a preset of which its row has no room for every scope': [
    { minted: { scopes: ['a'], preset: 'wide', preset_scopes: ['b'], more_preset_scopes: 3 } },
    { scopes: null },
  ],
  'with a preset, from before its scopes were recorded': [
    { minted: { scopes: ['api:read'], preset: 'sandbox' } },
    { scopes: null },
  ],
  'with such a preset, and scopes that an update has named since': [
    { minted: { preset: 'sandbox' }, later: [{ scopes: ['api:read'] }] },
    { scopes: '["api:read"]' },
  ],
  'updated twice': [
    { later: [{ scopes: ['a', 'b'], name: 'one' }, { scopes: ['c'] }, { name: 'two' }] },
    { scopes: '["c"]', name: 'two' },
  ],
  'with updates that failed, are open, or gave neither': [
    {
      later: [
        { status: 'failure', scopes: ['x'], name: 'failed' },
        { status: 'attempted', scopes: ['y'], name: 'open' },
        {},
        { action: 'service_account_token.revoke', name: 'not-a-name' },
      ],
    },
    { scopes: '["api:read"]', name: 'deploy' },
  ],
  'without role, from before it was recorded': [{ role: null }, { role: null, scopes: '["api:read"]' }],
  'that appeared at PipeOps': [
    { owner: null, minted: {}, name: 'by hand', role: null, expiresAt: NOW + 400 * DAY },
    { name: 'by hand', scopes: null, role: null, lifetime_seconds: null },
  ],
  'that appeared at PipeOps, and was updated here': [
    { owner: null, minted: {}, name: 'by hand', role: null, later: [{ scopes: ['api:read'], name: 'ours' }] },
    { name: 'ours', scopes: null },
  ],
  'of an id that another workspace has too': [
    { id: 'twin', later: [{ name: 'first', scopes: ['first'] }] },
    { name: 'first', scopes: '["first"]' },
  ],
  'of that id in the other workspace': [
    { id: 'twin', workspace: OTHER },
    { name: 'deploy', scopes: '["api:read"]' },
  ],
  ...Object.fromEntries(
    Object.entries(storedSpellingsOf(W)).map(([name, spelled]) => [
      `whose workspace was spelled ${name}`,
      [
        { spelled, later: [{ name: 'renamed', scopes: ['less'] }] },
        { name: 'renamed', scopes: '["less"]' },
      ] as const,
    ]),
  ),
  'of a workspace that is no UUID': [
    { workspace: 'Shop-1', later: [{ name: 'renamed', scopes: ['less'] }] },
    { name: 'renamed', scopes: '["less"]' },
  ],
  'of another that differs in case alone': [
    { workspace: 'shop-1', id: 'of a workspace that is no UUID' },
    { name: 'deploy', scopes: '["api:read"]' },
  ],
};

/** Lifetimes in days, how much of them is over, and how many days before the end the next notice is due. */
const NOTICES: readonly (readonly [number, number, number | null])[] = [
  [100, 10, 30],
  [100, 75, 7],
  [100, 95, 1],
  [100, 99.5, null],
  [60, 10, 7],
  [60.1, 10, 30],
  [14, 3, 1],
  [14.1, 3, 7],
  [2, 0.1, null],
  [2.1, 0.1, 1],
  [0.5, 0.1, null],
];

let database: DatabaseSync;
const insert = (table: string, row: Readonly<Record<string, string | number | null>>): void => {
  const columns = Object.keys(row);
  const sql = `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`;
  database.prepare(sql).run(...Object.values(row));
};

let events = 0;
const event = (before: Before & { readonly id: string }, more: Readonly<Record<string, string | number | null>>) => {
  const id = `event-${(events += 1)}`;
  const { workspace = W, spelled = workspace, at = NOW - 10 * DAY } = before;
  const settled = more['status'] === 'attempted' ? null : at;
  insert('audit_events', {
    id,
    occurred_at: at,
    settled_at: settled,
    actor_type: 'user',
    workspace_uuid: spelled,
    token_id: before.id,
    ...more,
  });
  return id;
};

function enter(name: string, given: Before): void {
  const before = { id: name, ...given };
  const { owner = 'ci', minted = { scopes: ['api:read'] }, role = 'ci', at = NOW - 10 * DAY } = before;
  const created = event(before, {
    action: 'service_account_token.create',
    status: 'success',
    token_name: before.name === undefined ? 'deploy' : before.name,
    detail: JSON.stringify(minted),
    outcome: JSON.stringify(role === null ? {} : { role }),
  });
  insert('tokens', {
    workspace_uuid: before.workspace ?? W,
    token_id: before.id,
    owner_issuer: owner === null ? null : 'https://issuer.example',
    owner_subject: owner,
    create_event_id: created,
    created_at: at,
    expires_at: before.expiresAt ?? null,
    revoked_at: before.revokedAt ?? null,
  });
  for (const { action = 'service_account_token.update', status = 'success', ...gave } of before.later ?? []) {
    event(before, {
      action,
      status,
      token_name: gave.name ?? null,
      detail: JSON.stringify({ ...(gave.scopes !== undefined && { scopes: gave.scopes }) }),
      outcome: status === 'attempted' ? null : '{}',
    });
  }
}

const recorded = (name: string) => {
  const { workspace = W, id = name } = TOKENS[name]?.[0] ?? {};
  return database.prepare('select * from tokens where workspace_uuid = ? and token_id = ?').get(workspace, id);
};

beforeAll(() => {
  database = new DatabaseSync(':memory:');
  const own = MIGRATIONS.findIndex((name) => name.endsWith('_token_inventory.sql'));
  for (const statement of MIGRATIONS.slice(0, own).flatMap(statementsOf)) database.exec(statement);
  for (const [name, [before]] of Object.entries(TOKENS)) enter(name, before);
  for (const [days, over] of NOTICES) {
    const at = NOW - over * DAY;
    enter(`notice ${days} ${over}`, { at, expiresAt: at + days * DAY });
    enter(`revoked ${days} ${over}`, { at, expiresAt: at + days * DAY, revokedAt: NOW });
  }
  // A token whose create is in no row.
  insert('tokens', { workspace_uuid: W, token_id: 'without a row', created_at: 1, create_event_id: 'none-such' });
  for (const statement of MIGRATIONS.slice(own).flatMap(statementsOf)) database.exec(statement);
});

describe('a token', () => {
  it.each(Object.keys(TOKENS))('%s', (name) => {
    expect(recorded(name)).toMatchObject(TOKENS[name]?.[1] ?? {});
  });

  it('without a row in the trail keeps what it has', () => {
    expect(recorded('without a row')).toMatchObject({ name: null, scopes: null, role: null, created_at: 1 });
  });
});

it.each(NOTICES)('of %d days, %d of them over, gets the notice that is next', (days, over, before) => {
  const expiresAt = NOW - over * DAY + days * DAY;
  const due = before === null ? null : expiresAt - before * DAY;
  expect(recorded(`notice ${days} ${over}`)?.['expiry_notice_at']).toBe(due);
  expect(recorded(`revoked ${days} ${over}`)?.['expiry_notice_at']).toBeNull();
});

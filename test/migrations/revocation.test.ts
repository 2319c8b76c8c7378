import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { MIGRATIONS, statementsOf } from './migrations.ts';

// What an earlier version of this service kept of orders, ends and suspensions is carried over.

const BEFORE: readonly string[] = [
  `insert into webhook_deliveries (id, source, event, dedupe_key, event_id, received_at) values ('d', 's', 'token.leaked', 'k', 'e', 1)`,
  ...[
    `('open', 'd', 'w', 't1', 'revoke', 1, 'open', null, null, 2, 50, null, 10, 10, null, null)`,
    `('unconfirmed', 'd', 'w', 't2', 'revoke', 1, 'unconfirmed', 'revoked', null, 1, 60, null, 10, 10, 20, null)`,
    `('unseen', 'other', 'w', 't3', 'revoke', 0, 'done', 'revoked', null, 1, 70, null, 10, 10, 20, null)`,
    `('seen', 'd', 'w', 't4', 'revoke', 1, 'done', 'revoked', null, 1, 80, null, 10, 10, 20, 30)`,
    `('suspended', 'other', 'w', 't5', 'suspend', 0, 'done', 'suspended', null, 1, 90, null, 10, 10, 20, null)`,
    `('failed', 'd', 'w', 't6', 'revoke', 1, 'failed', null, 'upstream_error', 9, 95, null, 10, 10, null, null)`,
  ].map((values) => `insert into revocation_orders values ${values}`),
  ...['acked', 'believed', 'live'].map(
    (id) =>
      `insert into tokens (workspace_uuid, token_id, created_at, revoked_at) values ('w', '${id}', 1, ${id === 'live' ? 'null' : '5'})`,
  ),
  `update tokens set suspended_by = 'd' where token_id = 'live'`,
  `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, workspace_uuid, token_id, upstream_status, detail, outcome)
    values ('r', 1, 2, 'service_account_token.revoke', 'success', 'user', 'w', 'acked', 200, '{}', '{}')`,
];

it('orders keep their states, ends say how they are known, and suspensions have a reason', () => {
  const database = new DatabaseSync(':memory:');
  const next = MIGRATIONS.findIndex((name) => name.startsWith('0004'));
  for (const statement of MIGRATIONS.slice(0, next).flatMap(statementsOf)) database.exec(statement);
  for (const statement of BEFORE) database.exec(statement);
  for (const statement of MIGRATIONS.slice(next).flatMap(statementsOf)) database.exec(statement);

  const orders = database.prepare('select id, cause, rank, state, next_at, begun_at from revocation_orders').all();
  expect(Object.fromEntries(orders.map(({ id, ...columns }) => [String(id), { ...columns }]))).toEqual({
    open: { cause: 'leak', rank: 0, state: 'open', next_at: 50, begun_at: 10 },
    unconfirmed: { cause: 'leak', rank: 0, state: 'acknowledged', next_at: 60, begun_at: 10 },
    // Nobody looked at it before, so it is looked at now.
    unseen: { cause: 'offboarding', rank: 1, state: 'acknowledged', next_at: 70, begun_at: 10 },
    seen: { cause: 'leak', rank: 0, state: 'confirmed', next_at: null, begun_at: 10 },
    // Somebody may have resumed it since.
    suspended: { cause: 'offboarding', rank: 1, state: 'confirmed', next_at: null, begun_at: 10 },
    failed: { cause: 'leak', rank: 0, state: 'failed', next_at: null, begun_at: 10 },
  });
  const tokens = database.prepare('select token_id, revoked_at, ended_by, suspended_by from tokens').all();
  expect(Object.fromEntries(tokens.map(({ token_id, ...columns }) => [String(token_id), { ...columns }]))).toEqual({
    acked: { revoked_at: 5, ended_by: 'acknowledged', suspended_by: null },
    believed: { revoked_at: 5, ended_by: null, suspended_by: null },
    live: { revoked_at: null, ended_by: null, suspended_by: '["offboarding"]' },
  });
  const names = database.prepare(`select name from sqlite_master where name like '%_before'`).all();
  expect(names).toEqual([]);
});

import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { MIGRATIONS, statementsOf } from './migrations.ts';

// The tokens that are there when tokens begin to be counted are counted too, and so are the creates under way.

/** A database as it was before the migration, with rows in it. */
function databaseBefore(rows: readonly string[]): { database: DatabaseSync; migrate: () => void } {
  const database = new DatabaseSync(':memory:');
  const own = MIGRATIONS.findIndex((name) => name.endsWith('_token_counts.sql'));
  for (const statement of MIGRATIONS.slice(0, own).flatMap(statementsOf)) database.exec(statement);
  for (const row of rows) database.exec(row);
  const migrate = (): void => {
    for (const statement of MIGRATIONS.slice(own).flatMap(statementsOf)) database.exec(statement);
  };
  return { database, migrate };
}

const token = (id: string, owner: string, expiresAt: string, revokedAt: string): string =>
  `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at)
    values ('w', '${id}', ${owner}, 1, ${expiresAt}, ${revokedAt})`;
const attempt = (id: string, action: string, status: string, subject: string): string =>
  `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, detail)
    values ('${id}', 1, ${status === 'attempted' ? 'null' : '2'}, '${action}', '${status}', 'user', 'i', ${subject}, '{}')`;

const FAR = '9999999999999';
const CREATE = 'service_account_token.create';

it('owners are counted by what is alive, and creates by what is open', () => {
  const { database, migrate } = databaseBefore([
    token('a1', `'i', 'a'`, 'null', 'null'),
    token('a2', `'i', 'a'`, FAR, 'null'),
    token('a3', `'i', 'a'`, FAR, '7'),
    token('a4', `'i', 'a'`, '5', 'null'),
    token('b1', `'i', 'b'`, '5', 'null'),
    token('c1', `'i', 'c'`, 'null', '7'),
    token('d1', `'j', 'a'`, 'null', 'null'),
    token('n1', `null, null`, 'null', 'null'),
    attempt('open', CREATE, 'attempted', `'a'`),
    attempt('done', CREATE, 'success', `'a'`),
    attempt('revoke', 'service_account_token.revoke', 'attempted', `'a'`),
    attempt('nobody', CREATE, 'attempted', 'null'),
  ]);
  migrate();
  const counts = () =>
    Object.fromEntries(
      database
        .prepare('select owner_issuer, owner_subject, live, max_tokens from token_counts')
        .all()
        .map((row) => [`${String(row['owner_issuer'])} ${String(row['owner_subject'])}`, row['live']]),
    );
  // `c` holds nothing and never will have: a row comes with its next token.
  expect(counts()).toEqual({ 'i a': 2, 'i b': 0, 'j a': 1 });
  expect(database.prepare('select * from open_creates').all()).toMatchObject([
    { owner_subject: 'a', event_id: 'open' },
  ]);

  // What was not counted when it was counted is not taken off when it ends; what comes afterwards is.
  database.exec(`update tokens set revoked_at = 8 where token_id in ('a1', 'a4', 'b1', 'c1')`);
  database.exec(token('c2', `'i', 'c'`, FAR, 'null'));
  expect(counts()).toEqual({ 'i a': 1, 'i b': 0, 'i c': 1, 'j a': 1 });
  database.exec(
    `update audit_events set status = 'failure', settled_at = 3, outcome = '{}' where status = 'attempted'`,
  );
  expect(database.prepare('select * from open_creates').all()).toEqual([]);
});

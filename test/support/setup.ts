import { applyD1Migrations, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterAll, expect } from 'vitest';
import { rowsWithoutPolicy } from './audit-detail.ts';
import { miscounted } from './counted-tokens.ts';
import { asOneMigration, contentsOfTables } from './database.ts';
import { findSecrets, noteText } from './secrets.ts';
import { forgetState, unauthenticRows } from './state-secret.ts';

const DELETE_MAX_TRIES = 5;

// Files share a workerd process, since starting one for each takes longer than all of their tests; not a database.
forgetState();
await deleteDatabase();
await applyD1Migrations(env.DB, [asOneMigration(env.TEST_MIGRATIONS)]);

/**
 * Deletes what the file before has left. Once in some hundred files workerd leaves the database there, and this file would then find the
 * rows of that one: so it is looked at, and deleted again.
 */
async function deleteDatabase(): Promise<void> {
  for (let tries = 0; tries < DELETE_MAX_TRIES; tries += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each look follows its deletion
    await reset();
    // oxlint-disable-next-line no-await-in-loop
    const left = await env.DB.prepare(`select name from sqlite_master where name = 'audit_events'`).first();
    if (left === null) return;
  }
  throw new Error('The database of the test file before is still there. Run this file alone.');
}

// Whatever a file tested: no secret that occurred in it may stand in a table, a log line, a header or an error body.
afterAll(async () => {
  for (const { name, rows } of await contentsOfTables()) noteText(`table ${name}`, JSON.stringify(rows));
  expect(findSecrets()).toEqual([]);
});

// Whatever wrote a row, it names the policy that decided.
afterAll(async () => {
  expect(await rowsWithoutPolicy()).toEqual([]);
});

// And it has the MACs of this service: nobody else can have written it.
afterAll(async () => {
  expect(await unauthenticRows()).toEqual([]);
});

// And whatever it did to tokens: each owner's are counted.
afterAll(async () => {
  expect(await miscounted()).toEqual([]);
});

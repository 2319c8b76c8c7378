import { applyD1Migrations, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterAll, expect } from 'vitest';
import { rowsWithoutPolicy } from './audit-detail.ts';
import { miscounted } from './counted-tokens.ts';
import { findSecrets, noteText } from './secrets.ts';

// Files share a workerd process, since starting one for each takes longer than all of their tests; not a database.
await reset();
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

// Whatever a file tested: no secret that occurred in it may stand in a table, a log line, a header or an error body.
afterAll(async () => {
  const { results: tables } = await env.DB.prepare(
    `select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not like '_cf_%'`,
  ).all<{ name: string }>();
  for (const { name } of tables) {
    const { results } = await env.DB.prepare(`select * from "${name}"`).all();
    noteText(`table ${name}`, JSON.stringify(results));
  }
  expect(findSecrets()).toEqual([]);
});

// Whatever wrote a row, it names the policy that decided.
afterAll(async () => {
  expect(await rowsWithoutPolicy()).toEqual([]);
});

// And whatever it did to tokens: each owner's are counted.
afterAll(async () => {
  expect(await miscounted()).toEqual([]);
});

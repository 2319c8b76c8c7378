import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../local/migrate.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-migrations-'));
let databases = 0;
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    workers: [
      {
        name: 'migrations',
        compatibilityDate: '2026-10-01',
        modules: [{ type: 'ESModule', path: 'index.js', contents: 'export default {}' }],
        d1Databases: Object.fromEntries(['DB1', 'DB2', 'DB3'].map((name) => [name, { id: name }])),
      },
    ],
  }),
);
const freshDatabase = async () => await miniflare.getD1Database(`DB${++databases}`);

const write = (name: string, sql: string): void => writeFileSync(path.join(folder, name), sql);

beforeEach(() => {
  write('0000_table.sql', 'CREATE TABLE t (x integer);');
  write(
    '0001_trigger.sql',
    `-- A semicolon inside a body; and in a comment.
CREATE TRIGGER g BEFORE DELETE ON t BEGIN SELECT 1; SELECT RAISE(ABORT, 'append; only'); END;
--> statement-breakpoint
INSERT INTO t VALUES (1);`,
  );
  rmSync(path.join(folder, '0002_broken.sql'), { force: true });
});
afterAll(async () => {
  await miniflare.dispose();
  rmSync(folder, { recursive: true });
});

describe('migrations', () => {
  it('are applied once, in order, trigger bodies whole', async () => {
    const database = await freshDatabase();
    expect(await migrate(database, folder)).toEqual(['0000_table.sql', '0001_trigger.sql']);
    expect(await migrate(database, folder)).toEqual([]);
    expect(await database.prepare('SELECT count(*) AS n FROM t').first('n')).toBe(1);
    await expect(database.prepare('DELETE FROM t').run()).rejects.toThrow('append; only');
  });

  it('are recorded where wrangler looks for them', async () => {
    const database = await freshDatabase();
    await migrate(database, folder);
    const { results } = await database.prepare('SELECT id, name FROM d1_migrations ORDER BY id').all();
    expect(results).toEqual([
      { id: 1, name: '0000_table.sql' },
      { id: 2, name: '0001_trigger.sql' },
    ]);
  });

  it('leave nothing behind when they fail, and are tried again', async () => {
    const database = await freshDatabase();
    await migrate(database, folder);
    write('0002_broken.sql', 'INSERT INTO t VALUES (2);\nINSERT INTO nowhere VALUES (1);');
    await expect(migrate(database, folder)).rejects.toThrow('nowhere');
    expect(await database.prepare('SELECT count(*) AS n FROM t').first('n')).toBe(1);
    write('0002_broken.sql', 'INSERT INTO t VALUES (2);');
    expect(await migrate(database, folder)).toEqual(['0002_broken.sql']);
  });
});

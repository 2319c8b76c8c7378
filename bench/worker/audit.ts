import { anyOwner } from '../../test/support/no-macs.ts';
import { selectEnds } from '../../src/trail/query/follow.ts';
import { readCounts, selectCounts } from '../../src/trail/query/counts.ts';
import { NO_FILTER } from '../../src/trail/query/filter.ts';
import { selectEvents, selectPage } from '../../src/trail/query/page.ts';
import { seqBounds } from '../../src/trail/query/time-bounds.ts';
import { lifeOf } from '../../src/trail/query/token-life.ts';
import { readPage as readInventoryPage, selectPage as selectInventoryPage } from '../../src/inventory/query/page.ts';
import { createDatabase, type Database, type Query } from '../../src/db/database.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createWorker, type Worker } from '../../src/worker.ts';
import { NO_LIMITS } from './no-limits.ts';
import type { PageCommand, SqlCommand, StatementCommand } from '../audit-commands.ts';

// Commands of the benchmark under /bench, and the service itself everywhere else, with what it wrote in a header.

let written = 0;
let service: Worker | undefined;
const background: Promise<unknown>[] = [];

export default {
  async fetch(request: Request, env: Readonly<Record<string, unknown>>): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === '/bench/sql') return await runSql(await request.json<SqlCommand>(), env);
    if (pathname === '/bench/page') return await readPage(await request.json<PageCommand>(), env);
    if (pathname === '/bench/statement') return await runStatement(await request.json<StatementCommand>(), env);
    written = 0;
    service ??= createWorker({ ...env, DB: counted(databaseOf(env, 'DB')), ...NO_LIMITS }, frozen());
    const response = await service.fetch(request);
    await Promise.all(background.splice(0));
    return new Response(response.body, {
      status: response.status,
      headers: [...response.headers, ['X-Rows-Written', String(written)]],
    });
  },
};

const databaseOf = (env: Readonly<Record<string, unknown>>, name: string): D1Database =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the benchmark binds nothing else under these names
  env[name] as D1Database;

async function runSql({ database, sql, params }: SqlCommand, env: Readonly<Record<string, unknown>>) {
  const answer = await databaseOf(env, database)
    .prepare(sql)
    .bind(...params)
    .all();
  return Response.json({ bytes: answer.meta.size_after, rows: answer.results });
}

async function readPage(command: PageCommand, env: Readonly<Record<string, unknown>>) {
  const { filter, position, limitRows, times } = command;
  const d1 = databaseOf(env, command.database);
  const database = createDatabase(d1, workerRuntime);
  let rowsRead = 0;
  let events = 0;
  for (let time = 0; time < times; time += 1) {
    const page = selectEvents(database, filter, position, limitRows);
    const ends = position.direction === 'asc' ? [selectEnds(database, filter, position.seq ?? 0, Date.now())] : [];
    const statements = [page, ...ends].map((query) => {
      const { sql, params } = query.toSQL();
      return d1.prepare(sql).bind(...params);
    });
    // One after the other: the time of one is what is measured.
    const results = await d1.batch(statements);
    rowsRead = results.reduce((sum, { meta }) => sum + meta.rows_read, 0);
    events = results[0]?.results.length ?? 0;
  }
  return Response.json({ rowsRead, events });
}

const NEWEST = { direction: 'desc', seq: null } as const;

async function runStatement(command: StatementCommand, env: Readonly<Record<string, unknown>>) {
  const d1 = databaseOf(env, command.database);
  const { sql, params } = statementOf(command, createDatabase(d1, workerRuntime)).toSQL();
  const answer = await d1
    .prepare(sql)
    .bind(...params)
    .all();
  return Response.json({ rowsRead: answer.meta.rows_read, ...pageOf(command, answer.results) });
}

/** What a statement found, and whether it ended before it was through. */
function pageOf(command: StatementCommand, rows: readonly unknown[]) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- these are the rows of that statement
  const read = rows as never;
  if (command.kind === 'inventory') {
    const { items, isPartial } = readInventoryPage(read, [], command.asked, anyOwner);
    return { found: items.length, isPartial };
  }
  const isPartial = command.kind === 'counts' && readCounts(read, command.by).isPartial;
  return { found: rows.length, isPartial };
}

function statementOf(command: StatementCommand, database: Database): Query {
  switch (command.kind) {
    case 'counts':
      return selectCounts(database, command.filter, command.by);
    case 'page':
      return selectEvents(database, command.filter, NEWEST, command.limitRows);
    case 'inventory':
      return selectInventoryPage(database, command.asked);
    case 'life':
      return selectPage(database, lifeOf(command), seqBounds(NO_FILTER, NEWEST), NEWEST, command.limitRows);
  }
}

/** D1, with the rows that it writes added up. */
const counted = (d1: D1Database): D1Database =>
  new Proxy(d1, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          const results = await target.batch(statements);
          written += results.reduce((sum, { meta }) => sum + meta.rows_written, 0);
          return results;
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

/** A clock that stands still, so that alike reads are always of one minute. */
function frozen(): Runtime {
  const nowMs = Date.now();
  return { ...workerRuntime, now: () => nowMs, background: (work) => void background.push(work), log: () => {} };
}

import { startSimulator } from '../test/pipeops-simulator/server.ts';
import type { SqlCommand } from './audit-commands.ts';
import { migrations, SPANS_TRIGGER, trailObjects, type RunSql } from './audit-trail.ts';
import { callerHeaders, makeCallers, serviceVariables } from './callers.ts';
import { startWorker } from './start-worker.ts';

const WORKSPACE = '5877a4ae-0000-4000-8000-000000000000';
const TOKENS = 'api/v1/service-account-tokens';

/** Rows that an operation may write, where that is promised. */
const BARS: Readonly<Record<string, number>> = { create: 24, 'get, first of a minute': 9, 'get, counted': 2 };

/**
 * What D1 bills for each operation, and how much of it each index of the trail costs: measured by leaving that index
 * out, where the service runs without it. False: more than was promised.
 */
export async function benchAuditWrites(): Promise<boolean> {
  await using service = await startService();
  for (const sql of migrations()) await service.run(sql);
  await service.run(`drop trigger ${SPANS_TRIGGER}`);

  // The first of an isolate writes down what PipeOps says of its limits, which the next ones do not.
  await service.operate();
  const all = await service.operate();
  const costs = new Map<string, ReadonlyMap<string, number>>();
  const named: string[] = [];
  for (const { name, sql } of await trailObjects(service.run, 'index')) {
    await service.run(`drop index ${name}`);
    // Statements that name an index do not run without it.
    const without = await service.operate().catch(() => null);
    await service.run(sql);
    if (without === null) {
      named.push(name);
      continue;
    }
    costs.set(
      name.replace('audit_events_', ''),
      new Map([...all].map(([operation, rows]) => [operation, rows - (without.get(operation) ?? Number.NaN)])),
    );
  }

  console.log('Rows written by each operation, and how many of them each index of the trail costs:');
  console.table(
    Object.fromEntries(
      [...all].map(([operation, rows]) => [
        operation,
        {
          'in all': rows,
          bar: BARS[operation] ?? '',
          ...Object.fromEntries([...costs].map(([index, cost]) => [index, cost.get(operation)])),
        },
      ]),
    ),
  );
  console.log(`Statements name these indexes, so they cannot be left out: ${named.join(', ')}.`);
  return Object.entries(BARS).every(([operation, bar]) => (all.get(operation) ?? Infinity) <= bar);
}

/** The whole service in workerd, in front of a simulated PipeOps. */
async function startService() {
  const simulator = await startSimulator({ limits: false });
  const callers = await makeCallers(1);
  const [jwt = ''] = callers.jwts;
  const variables = {
    ...serviceVariables({ url: simulator.url, credential: jwt }, callers),
    PIPEOPS_WORKSPACE_UUID: WORKSPACE,
  };
  const worker = await startWorker('bench/worker/audit.ts', variables, ['DB']);

  const run: RunSql = async (sql) => {
    const command: SqlCommand = { database: 'DB', sql, params: [] };
    const response = await fetch(`${worker.url}bench/sql`, { method: 'POST', body: JSON.stringify(command) });
    if (!response.ok) throw new Error(`D1 refused ${sql}: ${await response.text()}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the Worker of this benchmark answers nothing else
    return (await response.json()) as Awaited<ReturnType<RunSql>>;
  };

  const request = async (method: string, path: string, body?: object): Promise<{ id: string; rows: number }> => {
    const response = await fetch(`${worker.url}${path}`, {
      method,
      headers: {
        ...callerHeaders(jwt),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    const answer: { data: { id: string } } = JSON.parse(text);
    return { id: answer.data.id, rows: Number(response.headers.get('X-Rows-Written')) };
  };

  let queries = 0;
  /** Rows that each operation writes, on a token of its own. */
  const operate = async (): Promise<ReadonlyMap<string, number>> => {
    const created = await request('POST', TOKENS, { name: 'deploy', scopes: ['api:read'] });
    const token = `${TOKENS}/${created.id}`;
    // A get is answered from this list, which the create has made necessary.
    await request('GET', TOKENS);
    return new Map([
      ['create', created.rows],
      ['get, first of a minute', (await request('GET', token)).rows],
      ['get, counted', (await request('GET', token)).rows],
      ['update', (await request('PATCH', token, { name: 'renamed' })).rows],
      ['query, first of a minute', (await request('GET', `api/v1/audit/events?limit=${(queries += 1)}`)).rows],
      ['revoke', (await request('DELETE', token)).rows],
    ]);
  };

  return {
    run,
    operate,
    [Symbol.asyncDispose]: async () => {
      await worker[Symbol.asyncDispose]();
      await simulator.close();
    },
  };
}

import { migrations, SPANS_TRIGGER } from './audit-trail.ts';
import { callerHeaders, makeCallers, serviceVariables } from './callers.ts';
import { COST_HEADER, type Cost } from './cost.ts';
import { ISSUER, LIST_PATH, LIST_WORKSPACE, TOKENS_PATH } from './names.ts';
import { sized } from './quick.ts';
import { startWorker } from './start-worker.ts';
import { startUpstream } from './upstream.ts';

/** Tokens of the workspace that are long over: whatever was done there before, no operation costs more for it. */
const DEAD_TOKENS = `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at, ended_by)
  with recursive n(i) as (select 1 union all select i + 1 from n where i < ${sized(300_000, 3_000)})
  select '${LIST_WORKSPACE}', 'dead-' || i, '${ISSUER}', 'somebody', 1000, 2000, 3000, 'absent' from n`;

/** What each operation costs, in the order in which they were done: what one finds ready depends on those before. */
export async function operate(): Promise<ReadonlyMap<string, Cost>> {
  await using upstream = await startUpstream();
  const callers = await makeCallers(1);
  const variables = serviceVariables(upstream, callers);
  await using worker = await startWorker('bench/worker/costs.ts', variables, ['DB']);
  const url = worker.url.replace(/\/$/, '');
  const statements = JSON.stringify([...migrations(), `drop trigger ${SPANS_TRIGGER}`, DEAD_TOKENS]);
  await answered(await fetch(`${url}/bench/migrate`, { method: 'POST', body: statements }));

  const costs = new Map<string, Cost>();
  const headers = callerHeaders(callers.jwts[0] ?? '');
  const request = async (operation: string, method: string, path: string, body?: object): Promise<string> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answered(response);
    const cost: Cost = JSON.parse(response.headers.get(COST_HEADER) ?? 'null');
    costs.set(operation, cost);
    return text;
  };
  const pathOf = (id: string): string => `${TOKENS_PATH}/${id}?workspace_uuid=${LIST_WORKSPACE}`;
  const create = async (operation: string): Promise<string> => {
    const text = await request(operation, 'POST', LIST_PATH, { name: 'deploy', scopes: ['api:read'] });
    const { data }: { data: { id: string } } = JSON.parse(text);
    return pathOf(data.id);
  };
  /** A token that somebody made in PipeOps' own console: the list has to say that it is there. */
  const stranger = async (): Promise<string> => {
    const { id } = await upstream.control.insertToken({ workspace_uuid: LIST_WORKSPACE, name: 'by hand' });
    return pathOf(id);
  };

  // Whatever an isolate does once is over after the first.
  await create('create, the first of an isolate');
  const token = await create('create');
  await request('list, the first', 'GET', LIST_PATH);
  await request('list, again', 'GET', LIST_PATH);
  await request('get', 'GET', token);
  await request('get, again', 'GET', token);
  await request('update', 'PATCH', token, { name: 'renamed' });
  await request('get, after a mutation', 'GET', token);
  await request('list, after a mutation', 'GET', LIST_PATH);
  await request('revoke', 'DELETE', token);
  await request('update of a token it did not make', 'PATCH', await stranger(), { name: 'renamed' });
  await request('revoke of a token it did not make', 'DELETE', await stranger());
  await request('audit query', 'GET', '/api/v1/audit/events?limit=50');
  await request('audit query, again', 'GET', '/api/v1/audit/events?limit=50');
  return costs;
}

async function answered(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return text;
}

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

type Request = (operation: string, method: string, path: string, body?: object, more?: object) => Promise<string>;

/** A service by itself, in the workspace of that many tokens that are over. */
interface Operated {
  readonly request: Request;
  readonly upstream: Awaited<ReturnType<typeof startUpstream>>;
}

/**
 * Does operations one after the other, each with what it cost, and gives the costs in that order.
 *
 * @param permissions what the caller's role may do beside the usual.
 */
export async function operateOn(
  work: (operated: Operated) => Promise<void>,
  permissions: readonly string[] = [],
): Promise<ReadonlyMap<string, Cost>> {
  await using upstream = await startUpstream();
  const callers = await makeCallers(1);
  const variables = serviceVariables(upstream, callers, permissions);
  await using worker = await startWorker('bench/worker/costs.ts', variables, ['DB']);
  const url = worker.url.replace(/\/$/, '');
  const statements = JSON.stringify([...migrations(), `drop trigger ${SPANS_TRIGGER}`, DEAD_TOKENS]);
  await answered(await fetch(`${url}/bench/migrate`, { method: 'POST', body: statements }));

  const costs = new Map<string, Cost>();
  const headers = callerHeaders(callers.jwts[0] ?? '');
  const request: Request = async (operation, method, path, body, more = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(body !== undefined && { 'Content-Type': 'application/json' }), ...more },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answered(response);
    const cost: Cost = JSON.parse(response.headers.get(COST_HEADER) ?? 'null');
    costs.set(operation, cost);
    return text;
  };
  await work({ request, upstream });
  return costs;
}

const pathOf = (id: string): string => `${TOKENS_PATH}/${id}?workspace_uuid=${LIST_WORKSPACE}`;

/** Creates a token, and gives its id. */
export async function createBy(request: Request, operation: string): Promise<string> {
  const text = await request(operation, 'POST', LIST_PATH, { name: 'deploy', scopes: ['api:read'] });
  const { data }: { data: { id: string } } = JSON.parse(text);
  return data.id;
}

/** What each operation costs, in the order in which they were done: what one finds ready depends on those before. */
export const operate = async (): Promise<ReadonlyMap<string, Cost>> =>
  await operateOn(async ({ request, upstream }) => {
    /** A token that somebody made in PipeOps' own console: the list has to say that it is there. */
    const stranger = async (): Promise<string> => {
      const { id } = await upstream.control.insertToken({ workspace_uuid: LIST_WORKSPACE, name: 'by hand' });
      return pathOf(id);
    };

    // Whatever an isolate does once is over after the first.
    await createBy(request, 'create, the first of an isolate');
    const token = pathOf(await createBy(request, 'create'));
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
  });

async function answered(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  return text;
}

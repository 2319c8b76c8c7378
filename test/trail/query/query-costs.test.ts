import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_SCAN_MAX_ROWS } from '../../../src/config/limits.ts';
import { createHarness, TOKENS, type Harness } from '../../support/harness.ts';
import { meteredD1 } from './trail.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';

// Rows are inserted as if requests had written them.
expectUnauthenticRows();

const EVENTS = '/api/v1/audit/events';
const ROWS = 3_000;
const LIMIT = 50;
/** How many rows a page may read beside those that it shows. */
const SPARE = 10;
const SCAN_MAX = 5_000;
/** Rows that are read to find where times begin and end: spans, and of events no more than two spans hold. */
const SEARCH_ROWS = 300;
const BEGIN_MS = Date.UTC(2026, 0, 1);
const INTERVAL_MS = 2_000;

const { db, batches } = meteredD1();
let harness: Harness;
beforeAll(async () => {
  harness = await createHarness({ db });
  await env.DB.prepare(
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < cast(? as integer))
    insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject,
      actor_label, workspace_uuid, token_id, token_name, error_code, request_id, ip, detail, outcome)
    select printf('00000000-0000-4000-8000-%012d', i), ${BEGIN_MS} + i * ${INTERVAL_MS}, 1,
      'service_account_token.' || case i % 3 when 0 then 'create' when 1 then 'get' else 'revoke' end,
      case when i = 7 then 'failure' else 'success' end, 'user', 'https://issuer.example', 'subject-' || (i % 2),
      'label-' || (i % 2), 'workspace-' || (i % 2), 'token-' || (i % 2), 'name-' || (i % 2), iif(i % 2, 'forbidden', null), 'request-' || (i % 2),
      case when i = 7 then '192.0.2.7' else '192.0.2.1' end, '{"policy":"0"}', '{}' from n`,
  )
    .bind(ROWS)
    .run();
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, created_at, token_prefix) values ('workspace-1', 'token-1', 1, 'sat_abcdefg')`,
  ).run();
});

const query = async (parameters: string) => {
  batches.length = 0;
  const answer = await harness.send('GET', `${EVENTS}?limit=${LIMIT}&${parameters}`);
  expect(answer.status, answer.text).toBe(200);
  // Recording the query reads a few rows too: the statement that counts comes first, and the one that inserts comes last.
  const [reads] = batches.map(({ rowsRead }) => rowsRead.slice(1, -1));
  return { answer, rowsRead: reads!.reduce((sum, rows) => sum + rows, 0) };
};
const spanCount = async (): Promise<number> =>
  (await env.DB.prepare('select count(*) as n from audit_time_spans').first<number>('n')) ?? 0;
const cursorAt = (seq: number): string => `cursor=${btoa(`seq:${seq}`).replace(/=+$/, '')}`;
const at = (row: number): string => new Date(BEGIN_MS + row * INTERVAL_MS).toISOString();

describe.each([
  ['no filter', '', 1],
  ['action', 'action=service_account_token.get', 1],
  ['three actions', 'action=service_account_token.create,service_account_token.get,service_account_token.revoke', 3],
  ['six actions', 'action=service_account_token.*,audit.query', 6],
  ['actor by issuer and subject', 'actor=https://issuer.example|subject-1', 1],
  ['actor by subject', 'actor=subject-1', 1],
  ['actor by label', 'actor=label-1', 1],
  ['token_id', 'token_id=token-1', 1],
  ['token_name', 'token_name=name-1', 1],
  ['token_prefix, which is looked up in the inventory', 'token_prefix=sat_abcdefg', 2],
  ['code', 'code=forbidden', 1],
  ['workspace_uuid', 'workspace_uuid=workspace-1', 1],
  ['request_id', 'request_id=request-1', 1],
])('a full page by %s', (_name, filter, branches) => {
  const most = branches * LIMIT + SPARE;

  it.each([
    ['first', filter],
    ['deep', `${filter}&${cursorAt(1_500)}`],
    ['oldest', `${filter}&order=asc`],
    ['deep ascending', `${filter}&order=asc&${cursorAt(1_500)}`],
  ])('reads no more than it shows and ten: %s', async (_page, parameters) => {
    const { answer, rowsRead } = await query(parameters);
    expect(answer.body.data).toHaveLength(LIMIT);
    expect(rowsRead).toBeLessThanOrEqual(most);
  });

  it.each(['asc', 'desc'])('reads beside that no more than a search for its times: %s', async (order) => {
    const { answer, rowsRead } = await query(`${filter}&order=${order}&from=${at(1_000)}&to=${at(2_000)}`);
    expect(answer.body.data).toHaveLength(LIMIT);
    expect(rowsRead).toBeLessThanOrEqual(most + SEARCH_ROWS);
  });
});

describe('where filters have no index of their own', () => {
  it.each([
    ['status', 'status=failure'],
    ['ip', 'ip=192.0.2.7'],
    ['actor_type', 'actor_type=webhook'],
    ['a code and an address', 'code=forbidden&ip=192.0.2.7'],
    ['an action and a status', 'action=service_account_token.get&status=failure'],
    ['times and an address', `ip=192.0.2.7&from=${at(0)}&to=${at(2_999)}`],
    ['times and an action and a status', `action=service_account_token.get&status=failure&from=${at(0)}`],
  ])('a page looks at a part of the trail only, and the next goes on: %s', async (_name, filter) => {
    const found: number[] = [];
    let cursor = '';
    let pages = 0;
    do {
      const { answer, rowsRead } = await query(filter + cursor);
      expect(rowsRead).toBeLessThanOrEqual(SCAN_MAX);
      found.push(...answer.body.data.map(({ seq }: { seq: number }) => seq));
      expect(answer.body.pagination.has_more).toBe(answer.body.pagination.next_cursor !== null);
      cursor = `&cursor=${answer.body.pagination.next_cursor}`;
      pages += 1;
    } while (cursor !== '&cursor=null');
    expect(found.filter((seq) => seq <= ROWS)).toEqual(filter.includes('webhook') ? [] : [7]);
    expect(pages).toBeLessThanOrEqual(3);
  });
});

it('a scan goes on with the row after the last that it looked at', async () => {
  // Counted from a row that matches: the one before it, that one, and the one behind it end the first scan.
  for (const offset of [-1, 0, 1]) {
    const parameters = 'ip=192.0.2.7&order=desc';
    const first = await query(`${parameters}&${cursorAt(7 + AUDIT_SCAN_MAX_ROWS + offset)}`);
    const next: unknown = first.answer.body.pagination.next_cursor;
    const second = typeof next === 'string' ? (await query(`${parameters}&cursor=${next}`)).answer.body.data : [];
    expect([...first.answer.body.data, ...second].map(({ seq }: { seq: number }) => seq)).toEqual([7]);
  }
});

describe('what is written', () => {
  it('is at most 27 rows for a create, 9 for the first read of a minute and 2 for a counted one, beside spans and calls', async () => {
    const frozen = Date.now();
    const { db: d1, batches: trips } = meteredD1();
    const still = await createHarness({ db: d1, runtime: { now: () => frozen } });
    const jwt = await still.jwtFor('admin', { email: 'alice@acme.example' });
    const cost = async (method: string, path: string, body?: unknown): Promise<number> => {
      trips.length = 0;
      const before = await spanCount();
      const answer = await still.send(method, path, { jwt, ...(body !== undefined && { body }) });
      expect(answer.status, answer.text).toBeLessThan(300);
      // Which event ends a span is chance: test/trail/time-spans.test.ts says what they cost. A call to PipeOps is two rows.
      const calls = 2 * Number(still.lines.at(-1)?.['upstream_calls']);
      return trips.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0) - ((await spanCount()) - before) - calls;
    };
    // The first create of an owner also begins the count of its tokens and notes its label.
    await cost('POST', TOKENS, { name: 'deploy', scopes: ['api:read'] });
    expect(await cost('POST', TOKENS, { name: 'deploy', scopes: ['api:read'] })).toBeLessThanOrEqual(27);
    const id = (await still.rows())[0]!.token_id;
    for (const path of [`${TOKENS}/${id}`, TOKENS, `${EVENTS}?token_id=${id}`]) {
      expect(await cost('GET', path)).toBeLessThanOrEqual(9);
      expect(await cost('GET', path)).toBeLessThanOrEqual(2);
    }
  });
});

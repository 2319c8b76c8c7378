import { readdirSync, readFileSync } from 'node:fs';
import { unstable_splitSqlQuery } from 'wrangler';

/** What the rows of a generated trail have in common, so that a filter finds many at every size. */
export const BUSY = {
  subject: 'person-busy',
  label: 'busy@acme.example',
  issuer: 'https://issuer.example',
  token: 'b05f0000-0000-4000-8000-000000000000',
  workspace: '5877a4ae-0000-4000-8000-000000000000',
  request: 'a-request-id-that-is-used-again',
  ip: '198.51.100.7',
} as const;

/** Ten audited actions a second, with a pause of six hours after each hour of work. */
const ROW_INTERVAL_MS = 100;
const ROWS_BETWEEN_PAUSES = 36_000;
const PAUSE_MS = 6 * 60 * 60 * 1000;
/** Rows get their time before they get their place. */
const DISORDER_MS = 2_000;
const BEGIN_MS = Date.UTC(2026, 0, 1);
const ROWS_PER_INSERT = 50_000;

/** Sends one statement to D1; its rows, and the size of the database after it. */
export type RunSql = (
  sql: string,
  ...params: readonly unknown[]
) => Promise<{ readonly bytes: number; readonly rows: readonly Readonly<Record<string, unknown>>[] }>;

/** The statements of the migrations, in their order. */
export function migrations(): readonly string[] {
  const folder = new URL('../drizzle/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  return files.toSorted().flatMap((name) => unstable_splitSqlQuery(readFileSync(new URL(name, folder), 'utf8')));
}

/** The indexes or triggers of the trail, as the migrations left them. */
export async function trailObjects(
  run: RunSql,
  type: 'index' | 'trigger',
): Promise<readonly { readonly name: string; readonly sql: string }[]> {
  const { rows } = await run(
    `select name, sql from sqlite_master where tbl_name = 'audit_events' and type = '${type}' and sql is not null`,
  );
  return rows.map(({ name, sql }) => ({ name: String(name), sql: String(sql) }));
}

/** What the trail takes of the disk. */
export interface Sizes {
  readonly tableBytes: number;
  /** By the name of the index. */
  readonly indexBytes: ReadonlyMap<string, number>;
}

/**
 * Makes spans with their last row, or never, so it stays while rows are laid. Which row ends a span is chance, one row of fourteen:
 * what an operation costs is measured without it.
 */
export const SPANS_TRIGGER = 'audit_events_time_spans';

/** Lays down the schema and a trail of so many rows. Indexes and guards come last: that is many times as fast. */
export async function layTrail(run: RunSql, rows: number): Promise<Sizes> {
  let bytes = 0;
  const grow = async (sql: string, ...params: unknown[]): Promise<number> => {
    const before = bytes;
    bytes = (await run(sql, ...params)).bytes;
    return bytes - before;
  };
  for (const sql of migrations()) await grow(sql);
  const indexes = await trailObjects(run, 'index');
  const guards = (await trailObjects(run, 'trigger')).filter(({ name }) => name !== SPANS_TRIGGER);
  for (const { name } of indexes) await grow(`drop index ${name}`);
  for (const { name } of guards) await grow(`drop trigger ${name}`);
  let tableBytes = 0;
  for (let first = 1; first <= rows; first += ROWS_PER_INSERT) {
    tableBytes += await grow(GENERATE, first, Math.min(first + ROWS_PER_INSERT - 1, rows));
  }
  const indexBytes = new Map<string, number>();
  for (const { name, sql } of indexes) indexBytes.set(name, await grow(sql));
  for (const { sql } of guards) await grow(sql);
  return { tableBytes, indexBytes };
}

const UUID = `lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))`;

/** Every row names the version of the policy. */
const POLICY = '"policy":"3f0c7b1d92e84a56"';

/** Multiples of primes stand for chance, so that every run has the same trail. */
const GENERATE = `
with recursive n(i) as (select cast(?1 as integer) union all select i + 1 from n where i < ?2),
kind as (
  select i,
    case when i % 20 < 8 then 'service_account_token.get' when i % 20 < 13 then 'service_account_token.list'
      when i % 20 < 15 then 'service_account_token.create' when i % 20 < 16 then 'service_account_token.update'
      when i % 20 < 18 then 'service_account_token.revoke' when i % 20 < 19 then 'audit.query'
      else 'auth.reject' end as action,
    ${BEGIN_MS} + i * ${ROW_INTERVAL_MS} + (i / ${ROWS_BETWEEN_PAUSES}) * ${PAUSE_MS} + i * 7919 % ${DISORDER_MS} as at
  from n
)
insert into audit_events (seq, id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject,
  actor_label, workspace_uuid, token_id, token_name, request_id, ip, user_agent, upstream_status, error_code, detail,
  outcome, count, last_at, read_key, marker)
select i, ${UUID}, at, at + 90, action,
  case when action = 'auth.reject' or i % 31 = 0 then 'failure' else 'success' end,
  case when action = 'auth.reject' then 'system' when i % 3 = 0 then 'service_account' else 'user' end,
  '${BUSY.issuer}',
  case when action = 'auth.reject' then null when i % 10 = 1 then '${BUSY.subject}' else 'person-' || (i * 7919 % 400) end,
  case when action = 'auth.reject' then null when i % 10 = 1 then '${BUSY.label}' else 'person-' || (i * 7919 % 400) || '@acme.example' end,
  case when action in ('audit.query', 'auth.reject') then null when i % 4 = 1 then '${BUSY.workspace}' else '5877a4ae-0000-4000-8000-' || printf('%012d', i * 7919 % 50) end,
  case when action in ('service_account_token.list', 'audit.query', 'auth.reject') then null when i % 3 = 1 then '${BUSY.token}' else 'b05f0000-0000-4000-8000-' || printf('%012d', i * 7919 % 20011) end,
  case when action = 'service_account_token.create' then 'deploy-of-the-shop' end,
  case when i % 10 = 2 then '${BUSY.request}' else ${UUID} end,
  case when i % 11 = 0 then '${BUSY.ip}' else '203.0.113.' || (i % 250) end,
  'acme-deployer/3.1 (+https://ci.acme.example)',
  case when action glob 'service_account_token.*' then 200 end,
  case when action = 'auth.reject' then 'invalid_token' when i % 31 = 0 then 'forbidden' end,
  case when action = 'service_account_token.create' then '{"scopes":["api:read","services:deploy"],"expires_at":"2026-06-01T00:00:00.000Z",${POLICY}}' when action = 'audit.query' then '{"action":["service_account_token.revoke"],"limit":50,${POLICY}}' else '{${POLICY}}' end,
  case when action = 'service_account_token.create' then '{"role":"ci"}' when i % 31 = 0 then '{"reason":"workspace"}' else '{}' end,
  1, null,
  case when action in ('service_account_token.get', 'service_account_token.list', 'audit.query') then lower(hex(randomblob(16))) end,
  case when action = 'service_account_token.create' then '-csgn-' || lower(substr(hex(randomblob(8)), 1, 16)) end
from kind`;

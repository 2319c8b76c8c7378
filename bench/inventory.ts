import { type InventoryFilter, NO_TOKEN_FILTER } from '../src/inventory/query/filter.ts';
import { atMost, type Bar } from './bars.ts';
import { PAGE_ROWS } from './audit-cases.ts';
import type { SqlCommand, StatementCommand } from './audit-commands.ts';
import { BUSY, migrations } from './audit-trail.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';

const TOKENS = sized(300_000, 20_000);
const TOKENS_PER_INSERT = 5_000;
const TIMES = 5;
const database = 'TRAIL';
const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.UTC(2026, 10, 28);
/** A token is read in an index, in the table, and for what is known of its workspace. */
const SHOWN_MAX_ROWS = 5 * PAGE_ROWS;
/** Workspaces are merged by a look into an index for each token. */
const MERGED_MAX_ROWS = 12 * PAGE_ROWS;
/** Where nothing is found, INVENTORY_SCAN_MAX_ROWS tokens are looked at: twice, and of several workspaces nine times. */
const SCANNED_MAX_ROWS = 11_000;
const MERGED_SCAN_MAX_ROWS = 50_000;

interface Case {
  readonly name: string;
  readonly command: StatementCommand;
  readonly maxRows: number;
}

/** What callers see: everything, two workspaces and their own tokens, or their own alone. */
const VIEWS = {
  all: { isOverAll: true, any: '*', own: [] },
  some: { isOverAll: false, any: [BUSY.workspace, '5877a4ae-0000-4000-8000-000000000007'], own: '*' },
  own: { isOverAll: false, any: [], own: '*' },
} as const;
const READERS = { all: 'any token', some: 'any of two workspaces, and its own', own: 'its own' } as const;

const page = (
  name: string,
  reader: keyof typeof VIEWS,
  filter: Partial<InventoryFilter>,
  maxRows = SHOWN_MAX_ROWS,
): Case => ({
  name: `${READERS[reader]}: ${name}`,
  command: {
    database,
    kind: 'inventory',
    asked: {
      filter: { ...NO_TOKEN_FILTER, ...filter },
      after: null,
      limitRows: PAGE_ROWS,
      view: { ...VIEWS[reader], issuer: BUSY.issuer, subject: BUSY.subject },
      fingerprints: filter.tokenSha256 === undefined || filter.tokenSha256 === null ? null : [filter.tokenSha256],
      unusedAfter: { ci: 90 * 24 * 60 * 60 },
      nowMs: NOW,
    },
  },
  maxRows,
});

const NONE_SUCH = 'none such';
const owner = { issuer: BUSY.issuer, subject: BUSY.subject };
const soon = { expires: { fromMs: NOW, toMs: NOW + 30 * DAY } };
const CASES: readonly Case[] = [
  page('no filter', 'all', {}),
  page('owner', 'all', { owner }),
  page('label', 'all', { label: BUSY.label }),
  page('workspace_uuid', 'all', { workspaceUuid: BUSY.workspace }),
  page('token_prefix', 'all', { tokenPrefix: 'sat_busybus' }),
  page('token_sha256', 'all', { tokenSha256: 'f-777' }),
  page('token_id', 'all', { tokenId: 't-777' }),
  page('replaces', 'all', { replaces: 't-699' }),
  page('expires_from and expires_to', 'all', soon),
  page('expires_to, active', 'all', { expires: { fromMs: null, toMs: NOW + 30 * DAY }, states: ['active'] }),
  page('expires_from and owner', 'all', { ...soon, owner }),
  page('state=active, of which one in nine is', 'all', { states: ['active'] }, 10 * SHOWN_MAX_ROWS),
  page('usage=unused, none such', 'all', { usages: ['unused'] }, SCANNED_MAX_ROWS + 5_000),
  page('token_name, none such', 'all', { tokenName: 'none such' }, SCANNED_MAX_ROWS),
  page('owner and scope, none such', 'all', { owner, scope: 'api:full' }, SCANNED_MAX_ROWS),
  page('no filter', 'own', {}),
  page("token_sha256 of another's, none such", 'own', { tokenSha256: 'f-777' }, SCANNED_MAX_ROWS),
  page('expires_from and expires_to', 'own', soon),
  page('no filter', 'some', {}, MERGED_MAX_ROWS),
  page('expires_from and expires_to', 'some', soon, MERGED_MAX_ROWS),
  page('token_name, none such', 'some', { tokenName: 'none such' }, MERGED_SCAN_MAX_ROWS),
];

/** What pages of the inventory make D1 read of 300,000 tokens, eight of nine of which have ended. */
export async function benchInventory(): Promise<readonly Bar[]> {
  await using worker = await startWorker('bench/worker/audit.ts', {}, [database]);
  const run = async (sql: string, ...params: readonly unknown[]): Promise<void> => {
    const command: SqlCommand = { database, sql, params };
    await send(`${worker.url}bench/sql`, command);
  };
  for (const sql of migrations()) await run(sql);
  // Triggers count each token, and D1 gives up a statement that takes too long.
  for (let first = 1; first <= TOKENS; first += TOKENS_PER_INSERT) {
    await run(LAY_TOKENS, first, Math.min(first + TOKENS_PER_INSERT - 1, TOKENS));
  }

  const table: Record<string, string | number>[] = [];
  const bars: Bar[] = [];
  for (const { name, command, maxRows } of CASES) {
    const times: number[] = [];
    let answer = { rowsRead: 0, isPartial: false, found: 0 };
    for (let time = 0; time < TIMES; time += 1) {
      // One after the other: the time of one is what is measured.
      const startedAt = performance.now();
      answer = await send(`${worker.url}bench/statement`, command);
      times.push(performance.now() - startedAt);
    }
    const { rowsRead, isPartial, found } = answer;
    if (found === 0 && !name.endsWith(NONE_SUCH)) throw new Error(`${name} finds nothing, so it measures nothing`);
    table.push({ page: name, 'rows read': rowsRead, ms: Math.round(median(times)), '': isPartial ? 'partial' : '' });
    bars.push(atMost(`inventory, ${name}: rows read`, rowsRead, maxRows));
  }
  console.log(
    `Pages of ${PAGE_ROWS} of ${TOKENS} tokens: the rows that D1 reads, and the time of it (medians of ${TIMES}).`,
  );
  printTable('inventory', table);
  return bars;
}

/** A ninth of the tokens is alive. A tenth is of one owner, a quarter of one workspace. */
const LAY_TOKENS = `
with recursive n(i) as (select cast(?1 as integer) union all select i + 1 from n where i < ?2)
insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, owner_label, create_event_id, created_at, expires_at,
  revoked_at, ended_by, token_prefix, fingerprint, fingerprint_key_id, name, scopes, lifetime_seconds, role, policy_version, replaces,
  last_used_at, usage_seen_at)
select case when i % 4 = 1 then '${BUSY.workspace}' else '5877a4ae-0000-4000-8000-' || printf('%012d', i * 7919 % 50) end,
  't-' || i, '${BUSY.issuer}',
  case when i % 10 = 1 then '${BUSY.subject}' else 'person-' || (i * 7919 % 400) end,
  case when i % 10 = 1 then '${BUSY.label}' else 'person-' || (i * 7919 % 400) || '@acme.example' end,
  'e-' || i, ${NOW} - (400000 - i) * 60000, case when i % 7 then ${NOW} + (i % 1000 - 500) * 3600000 end,
  case when i % 9 then ${NOW} - 1000 end, case when i % 9 then 'acknowledged' end,
  case when i % 100 = 7 then 'sat_busybus' else 'sat_' || printf('%07d', i) end, 'f-' || i, 'k1', 'deploy-' || (i % 97),
  '["api:read","services:deploy"]', 2592000, 'ci', '3f0c7b1d92e84a56', case when i % 20 = 0 then 't-' || (i - 1) end,
  case when i % 2 then ${NOW} - i * 1000 end, ${NOW} - 3600000
from n`;

async function send<Answer>(url: string, command: object): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(command) });
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the Worker of this benchmark answers nothing else
  return (await response.json()) as Answer;
}

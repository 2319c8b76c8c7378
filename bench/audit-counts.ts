import { type EventFilter, NO_FILTER } from '../src/trail/query/filter.ts';
import type { CountedBy } from '../src/trail/query/params.ts';
import { AUDIT_ACTIONS } from '../src/vocabulary.ts';
import { atMost, type Bar } from './bars.ts';
import { PAGE_ROWS } from './audit-cases.ts';
import type { SqlCommand, StatementCommand } from './audit-commands.ts';
import { BUSY, layTrail } from './audit-trail.ts';
import { printTable } from './print.ts';
import { sized } from './quick.ts';
import { startWorker } from './start-worker.ts';
import { median } from './statistics.ts';

const ROWS = sized(1_000_000, 20_000);
const TIMES = 5;
const database = 'TRAIL';
const PREFIX = 'sat_busybus';
/** Each of the 100,000 rows and its entry in an index, and the scopes of those that have the one asked for. */
const COUNT_MAX_ROWS = 400_000;
const PAGE_MAX_ROWS = 5_000;

interface Case {
  readonly name: string;
  readonly command: StatementCommand;
  readonly maxRows: number;
}

const counts = (name: string, by: CountedBy, filter: Partial<EventFilter> = {}): Case => ({
  name: `counts by ${by}, ${name}`,
  command: { database, kind: 'counts', by, filter: { ...NO_FILTER, ...filter } },
  maxRows: COUNT_MAX_ROWS,
});
const page = (name: string, filter: Partial<EventFilter>): Case => ({
  name: `page by ${name}`,
  command: { database, kind: 'page', filter: { ...NO_FILTER, ...filter }, limitRows: PAGE_ROWS },
  maxRows: PAGE_MAX_ROWS,
});

const except = AUDIT_ACTIONS.filter((action) => action.startsWith('audit.'));
const CASES: readonly Case[] = [
  counts('everything', 'action'),
  counts('everything', 'actor'),
  counts('everything', 'code'),
  counts('everything', 'status'),
  counts('everything', 'day'),
  counts('code=forbidden', 'actor', { code: 'forbidden' }),
  counts('action=!audit.*', 'action', { except }),
  counts('one actor', 'action', { actor: `${BUSY.issuer}|${BUSY.subject}` }),
  counts('one token', 'day', { tokenId: BUSY.token }),
  counts('a scope of every create', 'actor', { scope: 'api:read' }),
  counts('a scope, none such', 'actor', { scope: 'api:full' }),
  page('code', { code: 'forbidden' }),
  page('token_name', { tokenName: 'deploy-of-the-shop' }),
  page('token_prefix', { tokenPrefix: PREFIX }),
  page('scope', { scope: 'api:read' }),
  page('scope, none such', { scope: 'api:full' }),
  page('role', { role: 'ci' }),
  page('policy_version, none such', { policyVersion: '0'.repeat(16) }),
  page('action=!audit.*', { except }),
  {
    name: "page of a token's life",
    command: { database, kind: 'life', workspaceUuid: BUSY.workspace, tokenId: BUSY.token, limitRows: PAGE_ROWS },
    maxRows: PAGE_MAX_ROWS,
  },
];

/** What counts, the newer filters and a token's life make D1 read of a million rows. */
export async function benchAuditCounts(): Promise<readonly Bar[]> {
  await using worker = await startWorker('bench/worker/audit.ts', {}, [database]);
  const run = async (sql: string, ...params: readonly unknown[]) => {
    const command: SqlCommand = { database, sql, params };
    return await send<{ bytes: number; rows: [] }>(`${worker.url}bench/sql`, command);
  };
  await layTrail(run, ROWS);
  const token = 'insert into tokens (workspace_uuid, token_id, created_at, token_prefix) values (?, ?, 1, ?)';
  await run(token, BUSY.workspace, BUSY.token, PREFIX);

  const table: Record<string, string | number>[] = [];
  const bars: Bar[] = [];
  for (const { name, command, maxRows } of CASES) {
    const times: number[] = [];
    let answer = { rowsRead: 0, isPartial: false };
    for (let time = 0; time < TIMES; time += 1) {
      // One after the other: the time of one is what is measured.
      const startedAt = performance.now();
      answer = await send(`${worker.url}bench/statement`, command);
      times.push(performance.now() - startedAt);
    }
    const { rowsRead, isPartial } = answer;
    table.push({ what: name, 'rows read': rowsRead, ms: Math.round(median(times)), '': isPartial ? 'partial' : '' });
    bars.push(atMost(`${name}: rows read`, rowsRead, maxRows));
  }
  console.log(`Of ${ROWS} rows of the trail: the rows that D1 reads, and the time of it (medians of ${TIMES}).`);
  printTable('counts', table);
  return bars;
}

async function send<Answer>(url: string, command: object): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(command) });
  if (!response.ok) throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the Worker of this benchmark answers nothing else
  return (await response.json()) as Answer;
}

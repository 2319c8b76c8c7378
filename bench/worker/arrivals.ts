import type { AuditEventRow } from '../../src/db/schema.ts';
import { auditRow } from '../../test/trail/audit-row.ts';

// Events that come to a trail by a clock, evenly through each minute: of ten of them three are attempts that are settled a second later, four
// are final, and three are rows that count reads.

export interface Arrivals {
  /** Brings all that has happened by then. */
  until(nowMs: number): Promise<void>;
  /** Lays so many events, a millisecond apart from then on, all attempts settled. */
  lay(events: number, fromMs: number): Promise<void>;
}

interface Pace {
  readonly beganMs: number;
  readonly perMinute: number;
}

const MINUTE_MS = 60_000;
const SETTLED_AFTER_MS = 1_000;
/** Rows of one statement: a megabyte. */
const INSERT_ROWS = 1_000;

/** The statement that inserts such rows. Workers make no random ids while they start, so no row is made here. */
const insertSql = (row: AuditEventRow): string => {
  const columns = Object.keys(row).filter((name) => name !== 'seq');
  return `insert into audit_events (${columns.join(', ')})
    select ${columns.map((name) => `e.value ->> '${name}'`).join(', ')} from json_each(?) as e order by e.key`;
};
const SETTLE = `update audit_events set status = 'success', settled_at = occurred_at + ${SETTLED_AFTER_MS}, upstream_status = 201,
    token_id = 'token-' || id, outcome = '{"role":"ci"}'
  where id in (select value from json_each(?))`;

/** The event of this number, as it is written. */
function eventOf(number: number, atMs: number): AuditEventRow {
  const person = `person-${number % 900}`;
  const event = auditRow({
    id: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    occurred_at: atMs,
    settled_at: atMs,
    action: 'service_account_token.revoke',
    actor_subject: person,
    actor_label: `${person}@acme.example`,
    workspace_uuid: '5877a4ae-0000-4000-8000-00000000000a',
    token_id: `token-${number}`,
    token_name: `ci-${number}`,
    request_id: `request-${number}`,
    user_agent: 'curl/8',
    detail: '{"policy":"0011223344556677","scopes":["api:read"],"expires_in_days":30}',
    outcome: '{"role":"ci"}',
  });
  if (isAttempt(number))
    return { ...event, ...OPEN, action: 'service_account_token.create', marker: `-csgn-${number}` };
  if (number % 10 < 7) return event;
  return { ...event, action: 'service_account_token.get', read_key: String(number).padStart(32, '0') };
}

const isAttempt = (number: number): boolean => number % 10 < 3;
const OPEN = { status: 'attempted', settled_at: null, upstream_status: null, outcome: null, token_id: null } as const;

export function createArrivals(d1: D1Database, { beganMs, perMinute }: Pace): Arrivals {
  let written = 0;
  let arrived = 0;
  let open: { readonly id: string; readonly atMs: number }[] = [];

  const sql = insertSql(auditRow());
  const insert = async (rows: readonly AuditEventRow[]): Promise<void> => {
    for (let begin = 0; begin < rows.length; begin += INSERT_ROWS)
      await d1
        .prepare(sql)
        .bind(JSON.stringify(rows.slice(begin, begin + INSERT_ROWS)))
        .run();
  };
  const settle = async (nowMs: number): Promise<void> => {
    const due = open.filter(({ atMs }) => atMs + SETTLED_AFTER_MS <= nowMs).map(({ id }) => id);
    open = open.slice(due.length);
    for (let begin = 0; begin < due.length; begin += INSERT_ROWS)
      await d1
        .prepare(SETTLE)
        .bind(JSON.stringify(due.slice(begin, begin + INSERT_ROWS)))
        .run();
  };
  const next = (atMs: number): AuditEventRow => {
    written += 1;
    const row = eventOf(written, atMs);
    if (isAttempt(written)) open.push({ id: row.id, atMs });
    return row;
  };

  return {
    until: async (nowMs) => {
      const due = Math.floor(((nowMs - beganMs) * perMinute) / MINUTE_MS) - arrived;
      const atMs = (offset: number): number => beganMs + Math.round(((arrived + offset) * MINUTE_MS) / perMinute);
      const rows = Array.from({ length: due }, (_, offset) => next(atMs(offset)));
      arrived += due;
      await insert(rows);
      await settle(nowMs);
    },
    lay: async (events, fromMs) => {
      for (let begin = 0; begin < events; begin += INSERT_ROWS) {
        const count = Math.min(INSERT_ROWS, events - begin);
        await insert(Array.from({ length: count }, (_, offset) => next(fromMs + begin + offset)));
        await settle(Infinity);
      }
    },
  };
}

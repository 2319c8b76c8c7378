import { env } from 'cloudflare:workers';
import type { AuditEventRow } from '../../../src/db/schema.ts';

/** D1 that adds up how many rows the statements of each batch read and wrote. */
export function meteredD1() {
  const batches: { readonly rowsRead: readonly number[]; readonly rowsWritten: number }[] = [];
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          const results = await target.batch(statements);
          batches.push({
            rowsRead: results.map(({ meta }) => meta.rows_read),
            rowsWritten: results.reduce((sum, { meta }) => sum + meta.rows_written, 0),
          });
          return results;
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db, batches };
}

/** Inserts rows into the trail as they are, in one batch. Gives the `seq` of each. */
export async function insertRows(rows: readonly Partial<AuditEventRow>[]): Promise<number[]> {
  if (rows.length === 0) return [];
  const results = await env.DB.batch<{ seq: number }>(
    rows.map((row) => {
      const values = Object.entries({ ...DEFAULTS, id: crypto.randomUUID(), ...row });
      const columns = values.map(([column]) => column).join(', ');
      const sql = `insert into audit_events (${columns}) values (${values.map(() => '?').join(', ')}) returning seq`;
      return env.DB.prepare(sql).bind(...values.map(([, value]) => value));
    }),
  );
  return results.map(({ results: [inserted] }) => inserted!.seq);
}

/** SQL for the id of an event. */
export const RANDOM_ID = "lower(hex(randomblob(4))) || '-0000-4000-8000-' || lower(hex(randomblob(6)))";

/** Inserts rows of these times into the trail, in the order given. Gives the `seq` of each. */
export async function insertTimes(times: readonly number[]): Promise<number[]> {
  const { results } = await env.DB.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail, outcome)
    select ${RANDOM_ID}, value, 1, 'service_account_token.get', 'success', 'user', '{}', '{}'
    from json_each(?) order by key returning seq`,
  )
    .bind(JSON.stringify(times))
    .all<{ seq: number }>();
  return results.map(({ seq }) => seq);
}

const DEFAULTS: Partial<AuditEventRow> = {
  occurred_at: Date.UTC(2026, 0, 1),
  settled_at: Date.UTC(2026, 0, 1),
  action: 'service_account_token.get',
  status: 'success',
  actor_type: 'user',
  detail: '{"policy":"0"}',
  outcome: '{}',
};

/** An attempt that nobody has settled. */
export const OPEN = { status: 'attempted', settled_at: null, outcome: null } as const;

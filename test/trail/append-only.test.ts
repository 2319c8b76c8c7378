import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { AUDIT_ROW_MAX_BYTES } from '../../src/config/limits.ts';

// Every way in which this Worker could change or delete a row through D1, run for real.

const COLUMNS = 'id, occurred_at, settled_at, action, status, actor_type, detail';
const insert = (id: string, status: string, settledAt: number | null, detail = '{}'): D1PreparedStatement =>
  env.DB.prepare(`insert into audit_events (${COLUMNS}) values (?, 1, ?, 'audit.query', ?, 'system', ?)`).bind(
    id,
    settledAt,
    status,
    detail,
  );
const allRows = async (): Promise<string> =>
  JSON.stringify((await env.DB.prepare('select * from audit_events order by seq').all()).results);

let open = '';
let final = '';

beforeEach(async () => {
  open = crypto.randomUUID();
  final = crypto.randomUUID();
  await env.DB.batch([insert(open, 'attempted', null), insert(final, 'success', 2)]);
});

describe('nothing changes a final row', () => {
  const attacks: readonly [string, (id: string) => string][] = [
    ['UPDATE', (id) => `update audit_events set error_code = 'forged' where id = '${id}'`],
    [
      'UPDATE back to attempted',
      (id) => `update audit_events set status = 'attempted', settled_at = null where id = '${id}'`,
    ],
    ['UPDATE OR REPLACE', (id) => `update or replace audit_events set ip = 'x' where id = '${id}'`],
    ['UPDATE OR IGNORE', (id) => `update or ignore audit_events set ip = 'x' where id = '${id}'`],
    ['a second settle', (id) => `update audit_events set status = 'failure', settled_at = 3 where id = '${id}'`],
    ['DELETE', (id) => `delete from audit_events where id = '${id}'`],
    ['DELETE of everything', () => `delete from audit_events`],
    [
      'INSERT OR REPLACE by id',
      (id) =>
        `insert or replace into audit_events (${COLUMNS}) values ('${id}', 9, 9, 'forged', 'success', 'system', '{}')`,
    ],
    [
      'REPLACE by seq',
      (id) =>
        `replace into audit_events (seq, ${COLUMNS}) select seq, 'new-id', 9, 9, 'forged', 'success', 'system', '{}' from audit_events where id = '${id}'`,
    ],
    [
      'INSERT OR REPLACE by rowid',
      (id) =>
        `insert or replace into audit_events (rowid, ${COLUMNS}) select seq, 'new-id', 9, 9, 'forged', 'success', 'system', '{}' from audit_events where id = '${id}'`,
    ],
    [
      'upsert',
      (id) =>
        `insert into audit_events (${COLUMNS}) values ('${id}', 9, 9, 'x', 'success', 'system', '{}') on conflict (id) do update set action = 'forged'`,
    ],
    [
      'upsert that does nothing',
      (id) =>
        `insert into audit_events (${COLUMNS}) values ('${id}', 9, 9, 'x', 'success', 'system', '{}') on conflict do nothing`,
    ],
    ['UPDATE FROM', (id) => `update audit_events set action = 'forged' from (select 1) where id = '${id}'`],
  ];
  it.each(attacks)('%s', async (_name, attack) => {
    const before = await allRows();
    await expect(env.DB.prepare(attack(final)).run()).rejects.toThrow(/audit_events: /);
    expect(await allRows()).toBe(before);
  });

  it('CHECKs switched off change nothing about that', async () => {
    const before = await allRows();
    await env.DB.prepare('pragma ignore_check_constraints = on').run();
    await expect(env.DB.prepare(`delete from audit_events where id = '${final}'`).run()).rejects.toThrow(
      /nothing is deleted/,
    );
    expect(await allRows()).toBe(before);
  });
});

describe('an attempted row', () => {
  it('is settled once', async () => {
    const settle = env.DB.prepare(
      `update audit_events set status = 'success', settled_at = 5, token_id = 't', outcome = '{}' where id = ? and status = 'attempted'`,
    ).bind(open);
    expect((await settle.run()).meta.changes).toBe(1);
    expect((await settle.run()).meta.changes).toBe(0);
  });

  const frozen = [
    'id',
    'occurred_at',
    'action',
    'actor_type',
    'actor_issuer',
    'actor_subject',
    'actor_label',
    'workspace_uuid',
    'token_name',
    'request_id',
    'ip',
    'user_agent',
    'detail',
    'marker',
    'seq',
  ];
  it.each(frozen)('keeps its %s when it is settled', async (column) => {
    const value = column === 'seq' || column === 'occurred_at' ? '987654' : `'forged'`;
    const forged = `update audit_events set status = 'success', settled_at = 5, ${column} = ${value} where id = '${open}'`;
    await expect(env.DB.prepare(forged).run()).rejects.toThrow(/what was recorded does not change/);
  });

  it('keeps the token id that it was recorded with', async () => {
    const id = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (${COLUMNS}, token_id) values (?, 1, null, 'x', 'attempted', 'system', '{}', 'tok-1')`,
    )
      .bind(id)
      .run();
    const forged = `update audit_events set status = 'success', settled_at = 5, token_id = 'tok-2' where id = '${id}'`;
    await expect(env.DB.prepare(forged).run()).rejects.toThrow(/does not change/);
  });

  it.each([
    ['a status of its own', `status = 'done', settled_at = 5`],
    ['no status', `status = null, settled_at = 5`],
    ['no time', `status = 'success', settled_at = null`],
    ['a time that is text', `status = 'success', settled_at = 'never'`],
    ['another change while it stays open', `error_code = 'x'`],
  ])('cannot be settled with %s', async (_name, set) => {
    await expect(env.DB.prepare(`update audit_events set ${set} where id = '${open}'`).run()).rejects.toThrow(
      /audit_events: /,
    );
  });
});

describe('a counted read', () => {
  let read = '';
  beforeEach(async () => {
    read = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (${COLUMNS}, read_key) values (?, 10, 10, 'audit.query', 'success', 'system', '{}', 'k')`,
    )
      .bind(read)
      .run();
  });
  const change = async (set: string) =>
    await env.DB.prepare(`update audit_events set ${set} where id = '${read}'`).run();

  it('grows in its count and its last time', async () => {
    await change('count = 2, last_at = 11');
    await change('count = 5, last_at = 11');
    const row = await env.DB.prepare('select count, last_at from audit_events where id = ?').bind(read).first();
    expect(row).toEqual({ count: 5, last_at: 11 });
  });

  it.each([
    ['a count that shrinks', 'count = 0, last_at = 11'],
    ['a count that stays', 'last_at = 11'],
    ['no count', 'count = null, last_at = 11'],
    ['a count that is text', `count = 'gone', last_at = 11`],
    ['a count that is a fraction', 'count = 1.5, last_at = 11'],
    ['a count that is a blob', `count = x'00', last_at = 11`],
    ['a time that goes back', 'count = 2, last_at = 9'],
    ['a time that is text', `count = 2, last_at = 'never'`],
    ['no time', 'count = 2, last_at = null'],
    ['another outcome', `count = 2, last_at = 11, outcome = '{}'`],
    ['another status', `count = 2, last_at = 11, status = 'failure'`],
    ['another error', `count = 2, last_at = 11, error_code = 'x'`],
    ['another key', `count = 2, last_at = 11, read_key = 'other'`],
    ['no key', `count = 2, last_at = 11, read_key = null`],
    ['another actor', `count = 2, last_at = 11, actor_subject = 'x'`],
    ['a token', `count = 2, last_at = 11, token_id = 'x'`],
  ])('changes in nothing else: %s', async (_name, set) => {
    const before = await allRows();
    await expect(change(set)).rejects.toThrow(/audit_events: /);
    expect(await allRows()).toBe(before);
  });

  it('is counted only where it has a key', async () => {
    await expect(
      env.DB.prepare(`update audit_events set count = 2, last_at = 11 where id = '${final}'`).run(),
    ).rejects.toThrow(/audit_events: /);
  });
});

describe('a new row', () => {
  it.each([
    ['a count of its own', 'count', '2'],
    ['a last time', 'last_at', '5'],
  ])('cannot begin with %s', async (_name, column, value) => {
    const sql = `insert into audit_events (${COLUMNS}, ${column}) values ('${crypto.randomUUID()}', 1, 1, 'x', 'success', 'system', '{}', ${value})`;
    await expect(env.DB.prepare(sql).run()).rejects.toThrow(/count of one/);
  });

  it.each([
    ['success without a time', 'success', null],
    ['attempted with a time', 'attempted', 5],
    ['an unknown status', 'done', 5],
  ])('is refused: %s', async (_name, status, settledAt) => {
    await expect(insert(crypto.randomUUID(), status, settledAt).run()).rejects.toThrow(/final or attempted/);
  });

  it.each(['-5', '0', '9223372036854775807', '(select max(seq) + 2 from audit_events)'])(
    'cannot choose its place in the sequence: %s',
    async (seq) => {
      const chosen = `insert into audit_events (seq, ${COLUMNS}) values (${seq}, '${crypto.randomUUID()}', 1, 1, 'x', 'success', 'system', '{}')`;
      await expect(env.DB.prepare(chosen).run()).rejects.toThrow(/seq is (given|taken)/);
    },
  );

  it('is at most AUDIT_ROW_MAX_BYTES long, counted in bytes of UTF-8', async () => {
    const id = crypto.randomUUID();
    const overhead = id.length + 'audit.query'.length + 'success'.length + 'system'.length + 56;
    const fits = 'é'.repeat(Math.floor((AUDIT_ROW_MAX_BYTES - overhead) / 2));
    await insert(id, 'success', 1, fits).run();
    await expect(insert(crypto.randomUUID(), 'success', 1, `${fits}é`).run()).rejects.toThrow(/over 2048 bytes/);
  });

  it('is no longer than that when it is settled', async () => {
    const id = crypto.randomUUID();
    await insert(id, 'attempted', null, 'x'.repeat(AUDIT_ROW_MAX_BYTES / 2)).run();
    const settle = async (outcome: string) =>
      await env.DB.prepare(`update audit_events set status = 'failure', settled_at = 2, outcome = ? where id = ?`)
        .bind(outcome, id)
        .run();
    await expect(settle('x'.repeat(AUDIT_ROW_MAX_BYTES / 2))).rejects.toThrow(/over 2048 bytes/);
    await settle('{}');
  });

  it('gets the next number, without gaps', async () => {
    const { results } = await env.DB.prepare('select seq from audit_events order by seq').all<{ seq: number }>();
    expect(results.map(({ seq }) => seq)).toEqual(results.map((_row, index) => index + 1));
  });
});

describe('the schema after the last migration', () => {
  it('holds every guard', async () => {
    const { results } = await env.DB.prepare(
      `select name, sql from sqlite_master where type = 'trigger' and tbl_name = 'audit_events' order by name`,
    ).all<{ name: string; sql: string }>();
    expect(results.map(({ name, sql }) => [name, /(BEFORE|AFTER) (INSERT|UPDATE|DELETE)/.exec(sql)?.[0]])).toEqual([
      ['audit_events_create_settled', 'AFTER UPDATE'],
      ['audit_events_delete_guard', 'BEFORE DELETE'],
      ['audit_events_dense_guard', 'AFTER INSERT'],
      ['audit_events_insert_guard', 'BEFORE INSERT'],
      ['audit_events_time_spans', 'AFTER INSERT'],
      ['audit_events_update_guard', 'BEFORE UPDATE'],
    ]);
  });

  it('names every column of the trail in the update guard', async () => {
    const columns = await env.DB.prepare(`select name from pragma_table_info('audit_events')`).all<{ name: string }>();
    const guard = await env.DB.prepare(`select sql from sqlite_master where name = 'audit_events_update_guard'`).first<{
      sql: string;
    }>();
    const settable = [
      'status',
      'settled_at',
      'settled_mac',
      'upstream_status',
      'error_code',
      'outcome',
      'count',
      'last_at',
      'closed_at',
    ];
    for (const { name } of columns.results.filter((column) => !settable.includes(column.name))) {
      expect(guard?.sql, name).toContain(`NEW.${name} IS NOT OLD.${name}`);
    }
  });

  it('has the update guard look at what may be settled, too', async () => {
    const columns = await env.DB.prepare(`select name from pragma_table_info('audit_events')`).all<{ name: string }>();
    const guard = await env.DB.prepare(`select sql from sqlite_master where name = 'audit_events_update_guard'`).first<{
      sql: string;
    }>();
    for (const { name } of columns.results) expect(guard?.sql, name).toMatch(new RegExp(`NEW\\.${name}[ )\n]`));
  });

  it('is without a guard at no time: the migration that drops one creates it again, as its next statement', () => {
    for (const { name, queries } of env.TEST_MIGRATIONS) {
      for (const [index, query] of queries.entries()) {
        const dropped = /drop\s+trigger\s+(?:if\s+exists\s+)?(\w+)/i.exec(query)?.[1];
        if (dropped === undefined) continue;
        expect(queries[index + 1], name).toMatch(new RegExp(`^(\\s*--.*\n)*\\s*create trigger ${dropped}\\s`, 'i'));
      }
    }
  });

  it('is never rebuilt, for that would drop the guards silently', () => {
    for (const { name, queries } of env.TEST_MIGRATIONS) {
      expect(queries.join('\n'), name).not.toMatch(
        /__new_audit|(drop|alter)\s+table\s+\W?audit_events\W?(\s+rename|;|$)|rename\s+to\s+\W?audit_events/im,
      );
    }
  });
});

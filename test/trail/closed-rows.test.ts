import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { createHarness, TOKENS } from '../support/harness.ts';

// A counted row that the log has closed: its leaf says what it is, so it grows no more, and a late read begins a row of its own.

const NOW = Date.now();

describe.each([
  ['a query of the trail', '/api/v1/audit/events', 'audit.query'],
  ['a list of tokens', TOKENS, 'service_account_token.list'],
])('the row of %s', (_name, path, action) => {
  it('does not count what comes once it is closed, which gets a row under the same key', async () => {
    const harness = await createHarness({ runtime: { now: () => NOW } });
    const sub = crypto.randomUUID();
    const jwt = await harness.jwtFor('admin', { sub });
    const rows = async (): Promise<AuditEventRow[]> =>
      (
        await env.DB.prepare('select * from audit_events where actor_subject = ? and action = ? order by seq')
          .bind(sub, action)
          .all<AuditEventRow>()
      ).results;
    const read = async (): Promise<void> => {
      expect((await harness.send('GET', path, { jwt })).status).toBe(200);
    };
    await read();
    await read();
    const before = await rows();
    expect(before).toEqual([expect.objectContaining({ count: 2, closed_at: null })]);
    const [key] = before.map((row) => row.read_key);
    await env.DB.prepare('update audit_events set closed_at = ? where actor_subject = ?').bind(NOW, sub).run();
    await read();
    await read();
    expect(await rows()).toEqual([
      { ...before[0], closed_at: NOW },
      expect.objectContaining({ count: 2, read_key: key, closed_at: null }),
    ]);
    expect(key).not.toBe(null);
  });
});

describe('a closed row', () => {
  it.each([
    ['counts nothing', 'count = count + 1, last_at = occurred_at + 1'],
    ['is not opened again', 'closed_at = null'],
    ['is not closed again', 'closed_at = closed_at + 1'],
    ['keeps its time', 'last_at = occurred_at + 1'],
  ])('%s', async (_name, change) => {
    const id = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail, read_key)
       values (?, 1, 1, 'audit.query', 'success', 'user', '{"policy":"0"}', ?)`,
    )
      .bind(id, id)
      .run();
    await env.DB.prepare('update audit_events set closed_at = 5 where id = ?').bind(id).run();
    await expect(env.DB.prepare(`update audit_events set ${change} where id = ?`).bind(id).run()).rejects.toThrow(
      'a closed row does not change',
    );
  });
});

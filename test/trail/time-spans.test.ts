import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_SPAN_SIZES } from '../../src/config/limits.ts';
import { insertTimes } from './query/trail.ts';

// A wrong span hides events from whoever searches for their times, so no statement can make one.

beforeAll(async () => {
  await insertTimes(Array.from({ length: 272 }, (_item, row) => row));
});

const allSpans = async (): Promise<string> =>
  JSON.stringify((await env.DB.prepare('select * from audit_time_spans order by size, last_seq').all()).results);

describe('no statement makes a span of its own, or changes or deletes one', () => {
  it.each([
    ['INSERT of one that is there', 'insert into audit_time_spans values (16, 16, 5, 6)'],
    ['INSERT OR REPLACE', 'insert or replace into audit_time_spans values (16, 16, 5, 6)'],
    ['REPLACE of the last', 'replace into audit_time_spans values (16, 272, 5, 6)'],
    ['INSERT OR IGNORE behind the trail', 'insert or ignore into audit_time_spans values (16, 288, 5, 6)'],
    ['one that is not full', 'insert into audit_time_spans values (128, 272, 5, 6)'],
    ['another size', 'insert into audit_time_spans values (17, 272, 5, 6)'],
    ['one that ends within a span', 'insert into audit_time_spans values (16, 270, 5, 6)'],
    ['a size of zero', 'insert into audit_time_spans values (0, 272, 5, 6)'],
    ['a negative size', 'insert into audit_time_spans values (-16, 272, 5, 6)'],
    ['a size as text', `insert into audit_time_spans values ('16', 272, 5, 6)`],
    ['no size', 'insert into audit_time_spans values (null, 272, 5, 6)'],
    [
      'upsert',
      'insert into audit_time_spans values (16, 16, 5, 6) on conflict do update set earliest_at = 9, latest_at = 9',
    ],
    ['UPDATE', 'update audit_time_spans set latest_at = 0'],
    ['UPDATE OR REPLACE', 'update or replace audit_time_spans set last_seq = 32 where last_seq = 16'],
    ['DELETE', 'delete from audit_time_spans where size = 16 and last_seq = 16'],
    ['DELETE of everything', 'delete from audit_time_spans'],
  ])('%s', async (_name, sql) => {
    const before = await allSpans();
    await expect(env.DB.prepare(sql).run()).rejects.toThrow(/audit_time_spans/);
    expect(await allSpans()).toBe(before);
  });

  it('nor by an event that is refused', async () => {
    const before = await allSpans();
    const insert = `insert or replace into audit_events (seq, id, occurred_at, settled_at, action, status, actor_type, detail)
      values (288, 'chosen', 1, 1, 'x', 'success', 'system', '{}')`;
    await expect(env.DB.prepare(insert).run()).rejects.toThrow(/audit_events: /);
    expect(await allSpans()).toBe(before);
  });
});

it('the trigger and the guard know the sizes that the search knows', async () => {
  const sqlOf = async (name: string) =>
    (await env.DB.prepare('select sql from sqlite_master where name = ?').bind(name).first<string>('sql')) ?? '';
  const trigger = await sqlOf('audit_events_time_spans');
  expect([...trigger.matchAll(/SELECT (\d+), NEW\.seq/g)].map(([, size]) => Number(size))).toEqual(AUDIT_SPAN_SIZES);
  const guard = await sqlOf('audit_time_spans_insert_guard');
  expect(/NOT IN \(([\d, ]+)\)/.exec(guard)?.[1]?.split(', ').map(Number)).toEqual(AUDIT_SPAN_SIZES);
  for (const [index, size] of AUDIT_SPAN_SIZES.slice(1).entries()) expect(size).toBe(AUDIT_SPAN_SIZES[index]! * 8);
});

it('spans cost at most one written row for fourteen events, and no event costs more than one for each size', async () => {
  const written: number[] = [];
  for (let row = 0; row < 240; row += 1) {
    const { meta } = await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, detail)
      values (?, 1, 1, 'x', 'success', 'system', '{}')`,
    )
      .bind(crypto.randomUUID())
      .run();
    written.push(meta.rows_written);
  }
  const plain = Math.min(...written);
  const extra = written.map((rows) => rows - plain);
  expect(extra.reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(Math.ceil(240 / 14));
  expect(Math.max(...extra)).toBeLessThanOrEqual(2);
});

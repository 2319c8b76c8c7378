import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/audit/cursor.ts';
import { AUDIT_ACTIONS } from '../../src/vocabulary.ts';
import { createHarness, type Harness } from '../support/harness.ts';

// D1 takes 100 bound parameters and 100,000 bytes a statement. Whatever a caller sends, no statement comes near that.

const PARAMETERS_MAX = 50;
const STATEMENT_MAX_BYTES = 50_000;
const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';

const statements: { readonly sql: string; readonly parameters: number }[] = [];
/** D1, with each statement that is bound written down. */
const db: D1Database = new Proxy(env.DB, {
  get: (target, key) => {
    if (key === 'prepare') {
      return (sql: string) => {
        const prepared = target.prepare(sql);
        const bind = prepared.bind.bind(prepared);
        prepared.bind = (...values) => {
          statements.push({ sql, parameters: values.length });
          return bind(...values);
        };
        return prepared;
      };
    }
    const value: unknown = Reflect.get(target, key);
    return typeof value === 'function' ? value.bind(target) : value;
  },
});

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness({ db });
});

const ALL_BUT_ONE = AUDIT_ACTIONS.slice(1).join(',');
/** Each filter as large as it may be. */
const LARGEST = {
  action: ALL_BUT_ONE,
  status: 'attempted',
  actor: `${'i'.repeat(128)}|${'s'.repeat(128)}`,
  actor_type: 'service_account',
  token_id: 't'.repeat(128),
  workspace_uuid: 'w'.repeat(128),
  request_id: 'r'.repeat(64),
  ip: 'f'.repeat(45),
  from: '0001-01-01T00:00:00Z',
  to: '9999-12-31T23:59:59.999Z',
} as const;
const position = { cursor: encodeCursor(999_999_999_999_999) };

async function ask(path: string, parameters: Readonly<Record<string, string>>) {
  statements.length = 0;
  const answer = await harness.send('GET', `${path}?${new URLSearchParams(parameters).toString()}`);
  expect(answer.status, answer.text).toBe(200);
  expect(statements.length).toBeGreaterThan(2);
  expect(Math.max(...statements.map((statement) => statement.parameters))).toBeLessThanOrEqual(PARAMETERS_MAX);
  expect(Math.max(...statements.map(({ sql }) => sql.length))).toBeLessThanOrEqual(STATEMENT_MAX_BYTES);
}

describe('with every filter as large as it may be', () => {
  // The first filter of these that is given leads: its index gives the rows, and what is left is checked.
  const leads = ['request_id', 'token_id', 'actor', 'workspace_uuid', 'action'] as const;
  it.each(leads.map((lead, index) => [lead, leads.slice(0, index)] as const))('led by %s', async (_lead, without) => {
    const given = Object.entries(LARGEST).filter(([name]) => !without.some((earlier) => earlier === name));
    const filters = Object.fromEntries(given);
    for (const order of ['asc', 'desc']) {
      await ask(EVENTS, { ...filters, ...position, order, limit: '200' });
      await ask(EVENTS, { ...filters, ...position, order, latest: 'true' });
      await ask(EVENTS, { ...filters, order });
    }
    await ask(EXPORT, { ...filters, ...position, format: 'csv' });
    await ask(EXPORT, { ...filters, latest: 'true' });
  });
});

describe('any number of actions', () => {
  const { from, to, status } = LARGEST;
  it.each(AUDIT_ACTIONS.map((_action, index) => index + 1))('%i of them, with times and a status', async (count) => {
    const action = AUDIT_ACTIONS.slice(0, count).join(',');
    for (const order of ['asc', 'desc']) {
      await ask(EVENTS, { action, status, from, to, order });
      await ask(EVENTS, { action, order });
    }
  });

  it('each many times', async () => {
    await ask(EVENTS, { action: Array.from({ length: 300 }, () => ALL_BUT_ONE).join(','), from, to });
  });
});

it('text with everything in it that SQL and JSON take for their own is looked for as it is', async () => {
  const actor = `'"\`?:@$%_\\ [1] {"a":1} -- ; select`;
  await env.DB.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_subject, detail, outcome)
    values ('odd', 1, 1, 'audit.query', 'success', 'user', ?, '{}', '{}')`,
  )
    .bind(actor)
    .run();
  const parameters = new URLSearchParams({ actor, action: ALL_BUT_ONE, from: '1970-01-01T00:00:00Z' });
  const { body } = await harness.send('GET', `${EVENTS}?${parameters.toString()}`);
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual(['odd']);
});

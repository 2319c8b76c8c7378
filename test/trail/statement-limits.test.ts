import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/http/query.ts';
import { AUDIT_ACTIONS } from '../../src/vocabulary.ts';
import { createHarness, type Harness } from '../support/harness.ts';

// D1 takes 100 bound parameters and 100,000 bytes a statement. No statement comes near that, whatever a caller sends.

const PARAMETERS_MAX = 50;
const STATEMENT_MAX_BYTES = 50_000;
const EVENTS = '/api/v1/audit/events';
const EXPORT = '/api/v1/audit/export';

const statements: { readonly sql: string; readonly parameters: number }[] = [];
/** D1 that notes each statement that is bound. */
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
  token_name: 'n'.repeat(96),
  token_prefix: 'p'.repeat(15),
  code: 'forbidden',
  scope: 's'.repeat(32),
  role: 'r'.repeat(64),
  policy_version: 'f'.repeat(16),
  workspace_uuid: 'w'.repeat(128),
  request_id: 'r'.repeat(64),
  ip: 'f'.repeat(45),
  from: '0001-01-01T00:00:00Z',
  to: '9999-12-31T23:59:59.999Z',
} as const;
const position = { cursor: encodeCursor(999_999_999_999_999) };

/** What is wrong with the answer to a query, or with the statements behind it. */
async function problemsOf(path: string, parameters: Readonly<Record<string, string>>): Promise<string[]> {
  statements.length = 0;
  const answer = await harness.send('GET', `${path}?${new URLSearchParams(parameters).toString()}`);
  const tooLarge = statements.filter(
    (statement) => statement.parameters > PARAMETERS_MAX || statement.sql.length > STATEMENT_MAX_BYTES,
  );
  return [
    ...(answer.status === 200 ? [] : [`${answer.status} ${answer.text}`]),
    ...(statements.length > 2 ? [] : ['no statements were seen']),
    ...tooLarge.map((statement) => `${statement.parameters} parameters, ${statement.sql.length} bytes`),
  ];
}

describe('with every filter as large as it may be', () => {
  // The first of these filters that is given leads: its index gives the rows, and the other filters are checked on them.
  const leads = [
    'request_id',
    'token_id',
    'token_name',
    'token_prefix',
    'code',
    'actor',
    'workspace_uuid',
    'action',
  ] as const;
  it.each(leads.map((lead, index) => [lead, leads.slice(0, index)] as const))('led by %s', async (_lead, without) => {
    const given = Object.entries(LARGEST).filter(([name]) => !without.some((earlier) => earlier === name));
    const filters = Object.fromEntries(given);
    for (const order of ['asc', 'desc']) {
      expect(await problemsOf(EVENTS, { ...filters, ...position, order, limit: '200' })).toEqual([]);
      expect(await problemsOf(EVENTS, { ...filters, ...position, order, latest: 'true' })).toEqual([]);
      expect(await problemsOf(EVENTS, { ...filters, order })).toEqual([]);
    }
    expect(await problemsOf(EXPORT, { ...filters, ...position, format: 'csv' })).toEqual([]);
    expect(await problemsOf(EXPORT, { ...filters, latest: 'true' })).toEqual([]);
  });
});

describe('any number of actions', () => {
  const { from, to, status } = LARGEST;
  it.each(AUDIT_ACTIONS.map((_action, index) => index + 1))('%i of them, with times and a status', async (count) => {
    const action = AUDIT_ACTIONS.slice(0, count).join(',');
    for (const order of ['asc', 'desc']) {
      expect(await problemsOf(EVENTS, { action, status, from, to, order })).toEqual([]);
      expect(await problemsOf(EVENTS, { action, order })).toEqual([]);
    }
  });

  it('each many times', async () => {
    expect(
      await problemsOf(EVENTS, { action: Array.from({ length: 300 }, () => ALL_BUT_ONE).join(','), from, to }),
    ).toEqual([]);
  });
});

it('text with everything that means something to SQL and JSON is looked for as it is', async () => {
  const actor = `'"\`?:@$%_\\ [1] {"a":1} -- ; select`;
  const eventId = crypto.randomUUID();
  await env.DB.prepare(
    `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_subject, detail, outcome)
    values (?, 1, 1, 'audit.query', 'success', 'user', ?, '{}', '{}')`,
  )
    .bind(eventId, actor)
    .run();
  const parameters = new URLSearchParams({ actor, action: ALL_BUT_ONE, from: '1970-01-01T00:00:00Z' });
  const { body } = await harness.send('GET', `${EVENTS}?${parameters.toString()}`);
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual([eventId]);
});

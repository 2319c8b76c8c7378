import { env } from 'cloudflare:workers';
import { type SQL, sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import { stateOf, stateSql } from '../../src/inventory/query/item.ts';
import { type UsedToken, unusedAfterOf, usageOf, usageSql } from '../../src/inventory/usage.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import type { TokenState, TokenUsage } from '../../src/vocabulary.ts';

// What is known of the use of a token, and what state it is in: each rule is there for one token, and as SQL for many.

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.UTC(2026, 10, 28);
const ago = (days: number, ms = 0): number => NOW - days * DAY - ms;
const unusedAfter = unusedAfterOf([
  { name: 'ci', unusedAfterSeconds: 30 * 24 * 60 * 60 },
  { name: 'night-job_2', unusedAfterSeconds: 1 },
]);

const database = createDatabase(env.DB, workerRuntime);
/** What an expression says of each of these rows, which it reads as `t`. */
async function sayOf(rows: readonly object[], names: readonly string[], expression: SQL): Promise<unknown[]> {
  const columns = names.map((name) => `value ->> '${name}' as ${name}`).join(', ');
  const query = database.build
    .select({ said: sql`said`.as('said') })
    .from(
      sql`(select ${expression} as said from (select key, ${sql.raw(columns)} from json_each(${JSON.stringify(rows)})) as t order by key)`,
    );
  const sent = await database.batch({ trace: newTrace() }, [query]);
  return sent.ok ? sent.value[0].map(({ said }) => said) : [];
}

const USED: UsedToken = {
  created_at: ago(400),
  role: 'ci',
  last_used_at: ago(1),
  usage_seen_at: ago(0),
  usage_doubted_at: null,
};
const FILLED_IN = ago(1);

const USAGES: readonly (readonly [string, Partial<UsedToken>, number | null, TokenUsage])[] = [
  ['used a day ago', {}, FILLED_IN, 'recent'],
  ['of a workspace where no use was ever seen', {}, null, 'unknown'],
  ['of a workspace where use was last seen a week ago', {}, ago(7), 'recent'],
  ['of a workspace where use was last seen longer ago', {}, ago(7, 1), 'unknown'],
  ['of a workspace whose last use is ahead of our clock', {}, NOW + DAY, 'recent'],
  ['that no list has told the use of', { usage_seen_at: null }, FILLED_IN, 'unknown'],
  ['whose use is doubted', { usage_doubted_at: ago(3) }, FILLED_IN, 'unknown'],
  ['whose use is doubted, and that was never used', { usage_doubted_at: 1, last_used_at: null }, FILLED_IN, 'unknown'],
  ['never used', { last_used_at: null }, FILLED_IN, 'never_used'],
  ['never used, a week old', { last_used_at: null, created_at: ago(7) }, FILLED_IN, 'never_used'],
  ['never used, not a week old', { last_used_at: null, created_at: ago(7, -1) }, FILLED_IN, 'unknown'],
  ['never used, in a workspace without use', { last_used_at: null }, null, 'unknown'],
  ["used as long ago as its role's unusedAfter", { last_used_at: ago(30) }, FILLED_IN, 'recent'],
  ['used longer ago', { last_used_at: ago(30, 1) }, FILLED_IN, 'unused'],
  ['of a role that counts in seconds', { role: 'night-job_2', last_used_at: NOW - 1_001 }, FILLED_IN, 'unused'],
  ['of that role, used in time', { role: 'night-job_2', last_used_at: NOW - 1_000 }, FILLED_IN, 'recent'],
  ['of a role that is gone, used 90 days ago', { role: 'gone', last_used_at: ago(90) }, FILLED_IN, 'recent'],
  ['of a role that is gone, used longer ago', { role: 'gone', last_used_at: ago(90, 1) }, FILLED_IN, 'unused'],
  ['of no role, used 90 days ago', { role: null, last_used_at: ago(90) }, FILLED_IN, 'recent'],
  ['of no role, used longer ago', { role: null, last_used_at: ago(90, 1) }, FILLED_IN, 'unused'],
  ['of a role named like what objects have', { role: 'constructor', last_used_at: ago(89) }, FILLED_IN, 'recent'],
  ['of a role whose name is a path', { role: '$.ci', last_used_at: ago(31) }, FILLED_IN, 'recent'],
  ['used in the future', { last_used_at: NOW + DAY }, FILLED_IN, 'recent'],
  ['minted in the future, never used', { last_used_at: null, created_at: NOW + DAY }, FILLED_IN, 'unknown'],
];

describe('the use of a token', () => {
  it.each(USAGES)('%s is known', (_name, token, advancedAt, usage) => {
    expect(usageOf({ ...USED, ...token }, advancedAt, unusedAfter, NOW)).toBe(usage);
  });

  it('is the same in SQL', async () => {
    const rows = USAGES.map(([, token, advanced]) => ({ ...USED, ...token, advanced }));
    const expression = usageSql('t', sql.raw('t.advanced'), unusedAfter, NOW);
    expect(await sayOf(rows, [...Object.keys(USED), 'advanced'], expression)).toEqual(
      USAGES.map(([, , , usage]) => usage),
    );
  });
});

const LIVE = { revoked_at: null, expires_at: null, suspended_by: null, retires_at: null };
const STATES: readonly (readonly [Partial<{ [K in keyof typeof LIVE]: number | string | null }>, TokenState])[] = [
  [{}, 'active'],
  [{ expires_at: NOW + 1 }, 'active'],
  [{ expires_at: NOW }, 'expired'],
  [{ retires_at: NOW + DAY }, 'retiring'],
  [{ retires_at: NOW - DAY }, 'retiring'],
  [{ retires_at: NOW + DAY, suspended_by: '["owner"]' }, 'suspended'],
  [{ retires_at: NOW + DAY, suspended_by: '["owner"]', expires_at: NOW - 1 }, 'expired'],
  [{ retires_at: NOW + DAY, suspended_by: '["owner"]', expires_at: NOW - 1, revoked_at: NOW - 2 }, 'revoked'],
  [{ revoked_at: NOW + 1 }, 'revoked'],
];

describe('the state of a token', () => {
  it.each(STATES)('%j is %s', (token, state) => {
    expect(stateOf({ ...LIVE, ...token } as never, NOW)).toBe(state);
  });

  it('is the same in SQL', async () => {
    const rows = STATES.map(([token]) => ({ ...LIVE, ...token }));
    expect(await sayOf(rows, Object.keys(LIVE), stateSql('t', NOW))).toEqual(STATES.map(([, state]) => state));
  });
});

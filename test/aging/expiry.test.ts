import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { noticeQueries, selectDueNotices } from '../../src/aging/expiry.ts';
import { EXPIRY_NOTICES_BATCH_ROWS, STATUS_EXPIRING_MAX_COUNT } from '../../src/config/aging-limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { askedIn } from '../support/audit-detail.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { measuredD1 } from '../support/measured-d1.ts';
import { TOKENS } from '../support/harness.ts';
import { mac } from '../support/state-secret.ts';
import { type Company, createCompany, DAY, forgetCompanies, MIDNIGHT } from './company.ts';

// The expiry of tokens is told in the trail, by the clock of the test.

beforeEach(forgetCompanies);

const told = async ({ eventsOf }: Pick<Company, 'eventsOf'>) =>
  (await eventsOf('service_account_token.expiring')).map((row) => [row.token_name, askedIn(row)['days']]);
/** In the order of names, and of those of one name by days, the fewest first. */
const sorted = (notices: Awaited<ReturnType<typeof told>>) =>
  notices.toSorted((a, b) => String(a).localeCompare(String(b), 'en', { numeric: true }));
/** Runs at these days, counted from where the clock began. */
const runAt = async (company: Company, days: readonly number[]): Promise<void> => {
  for (const day of days) {
    company.clock.ms = MIDNIGHT + day * DAY;
    await company.watch();
  }
};

describe('a token that expires', () => {
  it('is told 30, 7 and 1 days before, once each, with its owner', async () => {
    const company = await createCompany();
    const id = await company.mint('quarter', { expires_in: '90d' });
    await runAt(company, [59.9, 60, 60.1, 70, 83, 84, 89, 89.5, 90, 91]);
    const rows = await company.eventsOf('service_account_token.expiring');
    expect(rows.map((row) => askedIn(row)['days'])).toEqual([30, 7, 1]);
    expect(rows[0]).toMatchObject({
      status: 'success',
      actor_type: 'system',
      workspace_uuid: company.workspace,
      token_id: id,
      token_name: 'quarter',
      occurred_at: MIDNIGHT + 60 * DAY,
      settled_at: MIDNIGHT + 60 * DAY,
    });
    expect(askedIn(rows[0])).toEqual({
      days: 30,
      expires_at: new Date(MIDNIGHT + 90 * DAY).toISOString(),
      owner: { issuer: 'https://issuer.example', subject: 'ci-1' },
    });
    expect(await company.tokenRow(id)).toMatchObject({ expiry_notice_at: null });
  });

  it('is told only at thresholds under half of its life', async () => {
    const company = await createCompany();
    for (const days of [2, 3, 14, 15, 60, 61]) await company.mint(`${days}d`, { expires_in: `${days}d` });
    await company.mint('forever');
    await runAt(company, [1, 2, 7, 8, 13, 14, 30, 31, 53, 54, 59, 60, 61]);
    expect(sorted(await told(company))).toEqual([
      ['3d', 1],
      ['14d', 1],
      ['15d', 1],
      ['15d', 7],
      ['60d', 1],
      ['60d', 7],
      ['61d', 1],
      ['61d', 7],
      ['61d', 30],
    ]);
  });

  it('is told at the nearest threshold alone after an outage, however long', async () => {
    const company = await createCompany();
    for (const name of ['a', 'b']) await company.mint(name, { expires_in: '90d' });
    await runAt(company, [85, 86]);
    expect(sorted(await told(company))).toEqual([
      ['a', 7],
      ['b', 7],
    ]);
    await runAt(company, [89.5]);
    expect(await told(company)).toHaveLength(4);
  });

  it.each<[string, (company: Company, id: string) => Promise<unknown>]>([
    ['was revoked', async (company, id) => await company.send('DELETE', `${TOKENS}/${id}`, 'ci')],
    ['has a successor', async (_company, id) => await set('retires_at = 1', id)],
  ])('is not told of if it %s', async (_, end) => {
    const company = await createCompany();
    const id = await company.mint('gone', { expires_in: '90d' });
    await end(company, id);
    await runAt(company, [60, 84, 89.5]);
    expect(await told(company)).toEqual([]);
    // It is not looked at again.
    expect(await company.tokenRow(id)).toMatchObject({ expiry_notice_at: null });
  });
});

const set = async (assignment: string, id: string): Promise<unknown> =>
  await env.DB.prepare(`update tokens set ${assignment} where token_id = ?`).bind(id).run();

describe('a notice', () => {
  it('is told once by two runs at once, and by one whose clock goes back and ahead', async () => {
    const company = await createCompany();
    await company.mint('a', { expires_in: '90d' });
    const other = await createCompany({ like: company, clock: company.clock, pipeops: company.pipeops });
    company.clock.ms = MIDNIGHT + 60 * DAY;
    await Promise.all([company.watch(), other.watch()]);
    await runAt(company, [59, 61, 10, 62, 85, 61, 85, 89, 84, 89.1]);
    expect(await told(company)).toEqual([
      ['a', 30],
      ['a', 7],
      ['a', 1],
    ]);
  });

  it.each([
    ['before', async () => await Promise.reject(new Error('injected'))],
    [
      'after',
      async (commit: () => Promise<unknown>) => {
        await commit();
        throw new Error('injected');
      },
    ],
  ] as const)('is told once where the run dies %s it is committed', async (_when, fail) => {
    let dies = Infinity;
    const { db, sent } = failingBatches((number) => number === dies, fail);
    const company = await createCompany({ db });
    await company.mint('a', { expires_in: '90d' });
    dies = sent() + 2;
    await runAt(company, [60]);
    await runAt(company, [60.1]);
    expect(await told(company)).toEqual([['a', 30]]);
  });

  it('is not told of a token that ended, or was replaced, after it was read', async () => {
    const company = await createCompany();
    const ids = await Promise.all(['a', 'b', 'c'].map(async (name) => await company.mint(name, { expires_in: '90d' })));
    const nowMs = MIDNIGHT + 60 * DAY;
    const database = createDatabase(env.DB, company.runtime, mac);
    const context = { requestId: 'run-1', policyVersion: company.policyVersion, trace: newTrace() };
    const due = await database.batch(context, [selectDueNotices(database, nowMs)] as const);
    const { queries } = noticeQueries(database, context, due.ok ? due.value[0] : [], nowMs, () => crypto.randomUUID());
    await set(`revoked_at = 1, ended_by = 'acknowledged'`, ids[0] ?? '');
    await set('retires_at = 1', ids[1] ?? '');
    expect((await database.batch(context, queries)).ok).toBe(true);
    expect(await told(company)).toEqual([['c', 30]]);
  });

  it('of hundreds is told a batch a minute, by a handful of statements', async () => {
    const { db, of } = measuredD1();
    const company = await createCompany({ db });
    await seedExpiring(company, EXPIRY_NOTICES_BATCH_ROWS + 20, 30);
    const first = await of(async () => await company.watch());
    expect(first).toMatchObject({ batches: 2, statements: 5 });
    expect(first.rowsRead).toBeLessThan(20 * EXPIRY_NOTICES_BATCH_ROWS);
    expect(await company.watch()).toMatchObject({ expiring: 20 });
    expect(await told(company)).toHaveLength(EXPIRY_NOTICES_BATCH_ROWS + 20);
  });

  it('is due again for a token that came back, at the threshold that is next', async () => {
    const company = await createCompany();
    const id = await company.mint('a', { expires_in: '90d' });
    await set(`revoked_at = 1, ended_by = 'listed'`, id);
    await runAt(company, [60]);
    // What a look that shows it alive does.
    await set(`revoked_at = null, ended_by = null, expiry_notice_at = ${MIDNIGHT + 61 * DAY}`, id);
    await runAt(company, [61, 83]);
    expect(await told(company)).toEqual([['a', 7]]);
  });
});

/** So many tokens of half a year that expire in so many days, and whose notice is due. */
async function seedExpiring({ workspace, clock }: Company, count: number, days: number): Promise<void> {
  await env.DB.prepare(
    `insert into tokens (workspace_uuid, token_id, created_at, expires_at, expiry_notice_at)
     with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
     select ?2, ?5 || '-' || i, ?3, ?4, ?4 - 30 * 86400000 from n`,
  )
    .bind(count, workspace, clock.ms - 150 * DAY, clock.ms + days * DAY, `exp-${days}`)
    .run();
}

describe('/status', () => {
  it('counts the live tokens that expire soon', async () => {
    const company = await createCompany();
    for (const days of [1, 2, 7, 8, 30, 31]) await company.mint(`${days}d`, { expires_in: `${days}d` });
    const gone = await company.mint('gone', { expires_in: '5d' });
    await company.send('DELETE', `${TOKENS}/${gone}`, 'ci');
    expect((await company.status()).expiring).toEqual({
      within_1_day: 1,
      within_7_days: 3,
      within_30_days: 5,
      more: false,
    });
  });

  it('reads no more of an index than it counts, and says so', async () => {
    const { db, of } = measuredD1();
    const company = await createCompany({ db });
    await seedExpiring(company, 3, 0.5);
    await seedExpiring(company, STATUS_EXPIRING_MAX_COUNT + 2_000, 29);
    let expiring: unknown;
    const cost = await of(async () => (expiring = (await company.status()).expiring));
    expect(expiring).toEqual({
      within_1_day: 3,
      within_7_days: 3,
      within_30_days: STATUS_EXPIRING_MAX_COUNT,
      more: true,
    });
    expect(cost.rowsRead).toBeLessThan(2 * STATUS_EXPIRING_MAX_COUNT + 1_000);
  });
});

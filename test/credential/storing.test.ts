import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { askedIn } from '../support/audit-detail.ts';
import { createRenewingHarness, LOST } from './harness.ts';

// D1 fails while a renewal is claimed or stored.

/**
 * A D1 that takes no statement of this kind until it is mended: it refuses them, or carries them out and loses the answer.
 *
 * @param times after which it mends by itself.
 */
function failing(isMeant: (sql: string) => boolean, mode: 'refuses' | 'loses the answer', times = Infinity) {
  let isAboutIt = false;
  const state = { isBroken: true, failed: 0 };
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'prepare') {
        return (sql: string) => {
          isAboutIt ||= isMeant(sql);
          return target.prepare(sql);
        };
      }
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          const isFailed = isAboutIt && state.isBroken;
          isAboutIt = false;
          if (!isFailed) return await target.batch(statements);
          state.failed += 1;
          if (state.failed >= times) state.isBroken = false;
          if (mode === 'loses the answer') await target.batch(statements);
          throw new Error('injected: D1 is down');
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { db, state };
}

const isClaim = (sql: string): boolean => sql.startsWith('insert into "credential_chains"');
const isStore = (sql: string): boolean => sql.startsWith('update "credential_chains"') && sql.includes('"sealed" = ?');

describe('where D1', () => {
  it.each(['refuses', 'loses the answer'] as const)('%s of the claim, nothing is presented', async (mode) => {
    const { db, state } = failing(isClaim, mode);
    const h = await createRenewingHarness({ db });
    await h.untilDue();
    await h.cron();
    expect([state.failed, await h.presented()]).toEqual([1, []]);
    expect((await h.rows()).map(({ status, error_code }) => [status, error_code])).toEqual(
      mode === 'refuses' ? [] : [['failure', 'audit_unavailable']],
    );
    expect(await h.degraded()).not.toContain(LOST);
    state.isBroken = false;
    h.age(6);
    await h.cron();
    expect(await h.sessions()).toMatchObject([{ exchanges: 1 }]);
  });

  it('loses the answer of the settlement, the same is sent again', async () => {
    const { db, state } = failing(isStore, 'loses the answer', 2);
    const h = await createRenewingHarness({ db });
    await h.untilDue();
    await h.cron();
    expect(state.failed).toBe(2);
    expect(await h.chain()).toMatchObject({ counter: 1, attempt_id: null });
    expect((await h.rows()).map(({ status }) => status)).toEqual(['success']);
  });

  it('takes no settlement, the isolate goes on with the new credential, and stores it as soon as D1 takes it', async () => {
    const { db, state } = failing(isStore, 'refuses');
    const h = await createRenewingHarness({ db, session: { ends_old_access: true } });
    await h.untilDue();
    await h.cron();
    expect((await h.list()).status).toBe(200);
    expect(await h.chain()).toMatchObject({ counter: 0 });

    // Nobody else knows of it, and reconciliation settles the attempt as unknown.
    h.age(3);
    const other = await createRenewingHarness({ like: h });
    await other.cron();
    expect(await other.degraded()).toContain(LOST);
    expect((await h.rows()).map(({ error_code }) => error_code)).toEqual(['outcome_unknown']);

    state.isBroken = false;
    await h.cron();
    expect(await h.chain()).toMatchObject({ counter: 1, lost: null, attempt_id: null });
    const [attempt, late] = await h.rows();
    expect(late).toMatchObject({ status: 'success', error_code: null });
    expect(askedIn(late)).toEqual({ late_for: attempt?.id });
    h.age(1);
    expect(await other.degraded()).not.toContain(LOST);
    expect((await other.list()).status).toBe(200);
    await h.cron();
    expect(await h.rows()).toHaveLength(2);
  });

  it('cannot be read when an isolate begins, the configured credential is used', async () => {
    const { db } = failing((sql) => sql.includes('credential_chains'), 'refuses');
    const h = await createRenewingHarness({ db });
    expect((await h.list()).status).toBe(200);
    expect((await h.used()).at(-1)).toBe(h.tokens.access_token);
  });
});

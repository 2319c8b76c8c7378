import { describe, expect, it } from 'vitest';
import { createMortal, createRenewingHarness, LOST } from './harness.ts';

// The Worker is killed at each step of a renewal. Whatever is lost, the refresh token is not presented a second time while there is an
// access token to lose, and a person hears of it.

const STEPS = ['d1', 'fetch GET', 'd1', 'fetch POST', 'd1'] as const;

/** What the isolates that live on find. */
const FATES = {
  /** Nothing was claimed: the next run renews. */
  untouched: { row: ['success', null], exchanges: 1, isLost: false },
  /** It was claimed and never exchanged, or nobody can know. It goes on once the access token has ended. */
  doubtful: { row: ['failure', 'outcome_unknown'], exchanges: 0, isLost: true },
  /** PipeOps has exchanged it, and the new tokens are gone. */
  gone: { row: ['failure', 'outcome_unknown'], exchanges: 1, isLost: true },
  /** It was stored and settled. */
  done: { row: ['success', null], exchanges: 1, isLost: false },
} as const;

const CASES: readonly (readonly [number, 'before' | 'after', string, keyof typeof FATES])[] = [
  [1, 'before', 'looking at the chain', 'untouched'],
  [1, 'after', 'looking at the chain', 'untouched'],
  [2, 'before', 'asking whether the endpoint answers', 'untouched'],
  [2, 'after', 'asking whether the endpoint answers', 'untouched'],
  [3, 'before', 'claiming the refresh token', 'untouched'],
  [3, 'after', 'claiming the refresh token', 'doubtful'],
  [4, 'before', 'exchanging it', 'doubtful'],
  [4, 'after', 'exchanging it', 'gone'],
  [5, 'before', 'storing the new tokens', 'gone'],
  [5, 'after', 'storing the new tokens', 'done'],
];

async function kill(point: number, when: 'before' | 'after') {
  const mortal = createMortal(point, when);
  const dying = await createRenewingHarness({ db: mortal.db, runtime: mortal.runtime });
  await dying.untilDue();
  await Promise.race([dying.cron(), mortal.died]);
  return { dying, mortal };
}

describe('a Worker that is killed', () => {
  it('has these steps to be killed at', async () => {
    const { mortal } = await kill(0, 'before');
    expect(mortal.points.slice(0, STEPS.length)).toEqual(STEPS);
  });

  it.each(CASES)('at step %i, %s %s: the renewal is %s', async (point, when, _step, fate) => {
    const { dying } = await kill(point, when);
    const { row, exchanges, isLost } = FATES[fate];

    // Whoever lives on, for the hour and a half that is left of the access token.
    for (const minutes of [2, 60]) {
      dying.age(minutes);
      const next = await createRenewingHarness({ like: dying });
      await next.cron();
      expect((await next.list()).status).toBe(200);
      expect((await next.degraded()).includes(LOST)).toBe(isLost);
      expect(await next.sessions()).toMatchObject([{ exchanges, is_ended: false }]);
    }
    expect((await dying.rows()).map(({ status, error_code }) => [status, error_code])).toEqual([row]);

    // Once it has ended there is nothing left to lose.
    if (!isLost) return;
    dying.untilEnded();
    const last = await createRenewingHarness({ like: dying });
    await last.cron();
    expect(await last.presented()).toHaveLength(exchanges + 1);
    const isSaved = fate === 'doubtful';
    expect((await last.rows()).at(-1)).toMatchObject(
      isSaved ? { status: 'success' } : { status: 'failure', error_code: 'upstream_credential_rejected' },
    );
    expect((await last.degraded()).includes(LOST)).toBe(!isSaved);
    if (isSaved) return;
    last.age(60);
    await last.cron();
    expect(await last.presented()).toHaveLength(exchanges + 1);
  });
});

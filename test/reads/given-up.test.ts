import { describe, expect, it } from 'vitest';
import { begun, setUp } from './held-batches.ts';

// Reads of a group that D1 refuses, and reads that nobody waits for any more.

it('a lone read that D1 refuses hears it at once, and is not sent again: D1 may have taken it', async () => {
  const { read, batches } = setUp();
  const answers: unknown[] = [];
  void read('w-1').then((said) => answers.push(said));
  await begun(batches, 1);
  batches[0]?.fail();
  await expect.poll(() => answers).toEqual([{ ok: false, error: { kind: 'audit_unavailable' } }]);
  expect(batches).toHaveLength(1);
});

describe('a read that nobody waits for any more', () => {
  /** Two reads behind a group, the first of which wants a list: that takes two statements more. */
  async function withGivenUp() {
    const rig = setUp();
    const first = rig.read('w-1');
    await begun(rig.batches, 1);
    const wanted = { minBegunMs: 0, eachMs: 0, isShared: true, mayAsk: false, reader: null } as const;
    const givenUp = rig.read('w-2', wanted);
    await begun(rig.deadlines, 2);
    return { ...rig, first, givenUp };
  }

  it('is in no group that comes after its deadline', async () => {
    const { read, batches, deadlines, first, givenUp } = await withGivenUp();
    deadlines[1]?.();
    expect(await givenUp).toMatchObject({ ok: false });
    const next = read('w-3');
    await begun(deadlines, 3);
    batches[0]?.letGo();
    expect(await first).toMatchObject({ ok: true });
    await begun(batches, 2);
    expect(batches.map(({ size }) => size)).toEqual([1, 1]);
    batches[1]?.letGo();
    expect(await next).toMatchObject({ ok: true });
  });

  it('is not sent again by itself where D1 refuses its group', async () => {
    const { read, batches, deadlines, first, givenUp } = await withGivenUp();
    const next = read('w-3');
    await begun(deadlines, 3);
    batches[0]?.letGo();
    expect(await first).toMatchObject({ ok: true });
    await begun(batches, 2);
    deadlines[1]?.();
    expect(await givenUp).toMatchObject({ ok: false });
    batches[1]?.fail();
    await begun(batches, 3);
    expect(batches.map(({ size }) => size)).toEqual([1, 3, 1]);
    batches[2]?.letGo();
    expect(await next).toMatchObject({ ok: true });
  });
});

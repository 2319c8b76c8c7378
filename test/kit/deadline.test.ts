import { describe, expect, it, vi } from 'vitest';
import { underDeadline, waitFor, within } from '../../src/kit/deadline.ts';

const never = new Promise<never>(() => {});

describe('waiting until a deadline', () => {
  it('gives what the work gives', async () => {
    expect(await within(Promise.resolve(7), new AbortController().signal)).toEqual({ ok: true, value: 7 });
  });

  it('says that the work failed, and not why', async () => {
    const failing = Promise.reject(new Error('a secret'));
    expect(await within(failing, new AbortController().signal)).toEqual({ ok: false, error: 'failed' });
  });

  it('ends with the deadline, also one that has passed already', async () => {
    const controller = new AbortController();
    const waiting = within(never, controller.signal);
    controller.abort();
    expect(await waiting).toEqual({ ok: false, error: 'timeout' });
    expect(await within(never, controller.signal)).toEqual({ ok: false, error: 'timeout' });
  });

  it('leaves nothing behind on the signal', async () => {
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, 'addEventListener');
    const removed = vi.spyOn(signal, 'removeEventListener');
    await within(Promise.resolve(), signal);
    expect(removed.mock.calls.map(([type, listener]) => [type, listener])).toEqual(
      added.mock.calls.map(([type, listener]) => [type, listener]),
    );
    expect(added).toHaveBeenCalledOnce();
  });
});

describe('waiting a time for work that hears of no deadline', () => {
  function setUp() {
    const timers: { readonly ms: number; readonly call: () => void; isCancelled: boolean }[] = [];
    const after = (ms: number, call: () => void) => {
      const timer = { ms, call, isCancelled: false };
      timers.push(timer);
      return () => {
        timer.isCancelled = true;
      };
    };
    return { runtime: { after }, timers };
  }

  it.each([
    ['gives what the work gives', async () => await Promise.resolve(7), { ok: true, value: 7 }],
    [
      'says that the work failed, and not why',
      async () => await Promise.reject(new Error('a secret')),
      { ok: false, error: 'failed' },
    ],
  ])('%s, and lets go of the timer', async (_case, work, expected) => {
    const { runtime, timers } = setUp();
    expect(await waitFor(runtime, 3_000, work())).toEqual(expected);
    expect(timers).toMatchObject([{ ms: 3_000, isCancelled: true }]);
  });

  it('ends with its time', async () => {
    const { runtime, timers } = setUp();
    const waiting = waitFor(runtime, 3_000, never);
    timers[0]?.call();
    expect(await waiting).toEqual({ ok: false, error: 'timeout' });
  });
});

describe('work under its own deadline', () => {
  function setUp() {
    const controller = new AbortController();
    const cancelled: AbortSignal[] = [];
    const asked: number[] = [];
    const runtime = {
      timeout: (ms: number) => {
        asked.push(ms);
        return controller.signal;
      },
      cancel: (signal: AbortSignal) => void cancelled.push(signal),
    };
    return { runtime, controller, cancelled, asked };
  }

  it('gets the deadline, which is cancelled when the work is over', async () => {
    const { runtime, controller, cancelled, asked } = setUp();
    const given = await underDeadline(runtime, 3_000, async (deadline) => {
      expect(cancelled).toEqual([]);
      return await Promise.resolve(deadline);
    });
    expect(given).toBe(controller.signal);
    expect(asked).toEqual([3_000]);
    expect(cancelled).toEqual([controller.signal]);
  });

  it('has its deadline cancelled when it fails too', async () => {
    const { runtime, controller, cancelled } = setUp();
    await expect(underDeadline(runtime, 1, async () => await Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(cancelled).toEqual([controller.signal]);
  });
});

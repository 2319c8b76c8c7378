import { describe, expect, it, vi } from 'vitest';
import { within } from '../src/deadline.ts';

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

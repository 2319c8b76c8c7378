import { describe, expect, it } from 'vitest';
import { ANCHOR_ANSWER_MAX_BYTES } from '../../../src/config/trail-limits.ts';
import { post } from '../../../src/trail/log/outside.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';

// What comes back from a place outside: a status, a size where a 409 says one, and the text of a 200 that was asked for. Nothing else is read.

const SIZE = { 'Content-Type': 'text/x.tlog.size; charset=utf-8' };

/** A body without an end, which notes whether it was let go. */
function bodyWithoutEnd() {
  const seen = { isCancelled: false };
  const stream = new ReadableStream<Uint8Array>({
    cancel: () => {
      seen.isCancelled = true;
    },
  });
  return { stream, seen };
}

async function send(response: Response | Promise<Response>, wantsText = true) {
  const deadline = new AbortController();
  const inits: RequestInit[] = [];
  const runtime = {
    ...workerRuntime,
    timeout: () => deadline.signal,
    fetch: async (_url: string, init: RequestInit) => {
      inits.push(init);
      return await response;
    },
  };
  const sending = post(runtime, { url: 'https://anchor.example/', body: 'note', wantsText });
  return { sending, deadline, inits };
}

describe('an answer', () => {
  it.each<[string, () => Response, boolean, object]>([
    [
      'of 200 is read where somebody wants it',
      () => new Response('7\n'),
      true,
      { status: 200, size: null, text: '7\n' },
    ],
    ['of 200 is not read where nobody does', () => new Response('7\n'), false, { status: 200, size: null, text: '' }],
    ['of 200 says no size', () => new Response('7\n', { headers: SIZE }), false, { status: 200, size: null, text: '' }],
    ['of 200 may have no body', () => new Response(null, { status: 200 }), true, { status: 200, size: null, text: '' }],
    [
      'of 409 says a size, whatever is wanted',
      () => new Response('7\n', { status: 409, headers: SIZE }),
      false,
      { status: 409, size: 7, text: '' },
    ],
    [
      'of 409 says none in another type',
      () => new Response('7\n', { status: 409 }),
      true,
      { status: 409, size: null, text: '' },
    ],
    [
      'of 500 is not read',
      () => new Response('stack trace', { status: 500 }),
      true,
      { status: 500, size: null, text: '' },
    ],
  ])('%s', async (_case, response, wantsText, value) => {
    const { sending } = await send(response(), wantsText);
    expect(await sending).toEqual({ ok: true, value });
  });

  it.each([300, 302, 399])('of %i leads nowhere', async (status) => {
    const { sending } = await send(new Response(null, { status }));
    expect(await sending).toEqual({ ok: false, error: 'redirected' });
  });

  it.each([
    [ANCHOR_ANSWER_MAX_BYTES, true],
    [ANCHOR_ANSWER_MAX_BYTES + 1, false],
  ])('of %i bytes is read: %s', async (bytes, isRead) => {
    const { sending } = await send(new Response('x'.repeat(bytes)));
    expect((await sending).ok).toBe(isRead);
  });

  it.each([302, 500])('that is not read is let go: %i', async (status) => {
    const { stream, seen } = bodyWithoutEnd();
    await (
      await send(new Response(stream, { status }))
    ).sending;
    expect(seen.isCancelled).toBe(true);
  });

  it('that comes after its time is let go', async () => {
    const { stream, seen } = bodyWithoutEnd();
    const { promise, resolve } = Promise.withResolvers<Response>();
    const { sending, deadline, inits } = await send(promise);
    deadline.abort();
    expect(await sending).toEqual({ ok: false, error: 'timeout' });
    // The request itself is given up as well.
    expect(inits[0]?.signal).toBe(deadline.signal);
    resolve(new Response(stream));
    // What waits for the answer comes after this by a few turns.
    for (let turn = 0; turn < 10; turn += 1) await promise;
    expect(seen.isCancelled).toBe(true);
  });
});

import { describe, expect, it } from 'vitest';
import { callWith, json, MOST_SENT, operations, patientCall, REF, scripted } from './scripted-pipeops.ts';
import type { Answer } from './scripted-pipeops.ts';

const timeout = { ok: false, error: { kind: 'upstream_timeout' } };
const unreachable = { ok: false, error: { kind: 'upstream_unreachable' } };
const neverSettling = async (): Promise<Response> => await new Promise<Response>(() => {});

/** A fetch that notes whether it was told of the abort. */
const hearing = (): { answer: Answer; heard: () => boolean } => {
  let heard = false;
  const answer: Answer = async ({ signal }) =>
    await new Promise<Response>((_resolve, reject) => {
      signal?.addEventListener('abort', () => {
        heard = true;
        reject(new DOMException('aborted', 'AbortError'));
      });
    });
  return { answer, heard: () => heard };
};

/** The deadline comes as soon as the request was sent. */
const onceSent =
  (deadline: AbortController, answer: Answer): Answer =>
  (init) => {
    queueMicrotask(() => deadline.abort());
    return answer(init);
  };

/** A body that begins and never ends; `cancelled` tells whether it was let go. */
const stalledBody = (onPull: () => void = () => {}): { body: ReadableStream<Uint8Array>; cancelled: () => boolean } => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        controller.enqueue(new TextEncoder().encode('{"success":true,'));
        onPull();
        await new Promise(() => {});
      },
      cancel: () => {
        cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, cancelled: () => cancelled };
};

describe.each(operations)('%s: the deadline', (name, run) => {
  it('ends the wait for an answer, even where fetch does not hear the signal', async () => {
    const deadline = new AbortController();
    const { pipeops, sent } = scripted([onceSent(deadline, neverSettling)]);
    expect(await run(pipeops, callWith(deadline.signal))).toEqual(timeout);
    expect(sent).toHaveLength(1);
  });

  it('is passed on to fetch, whose own abort means the same', async () => {
    const deadline = new AbortController();
    const { answer, heard } = hearing();
    const { pipeops } = scripted([onceSent(deadline, answer)]);
    expect(await run(pipeops, callWith(deadline.signal))).toEqual(timeout);
    expect(heard()).toBe(true);
  });

  it('ends the wait for the rest of a body, and lets go of it', async () => {
    const deadline = new AbortController();
    const { body, cancelled } = stalledBody(() => deadline.abort());
    const { pipeops } = scripted([() => new Response(body)]);
    expect(await run(pipeops, callWith(deadline.signal))).toEqual(timeout);
    expect(cancelled()).toBe(true);
  });

  it('sends nothing once it has passed', async () => {
    const { pipeops, sent } = scripted([json(200, {})]);
    expect(await run(pipeops, callWith(AbortSignal.abort()))).toEqual(timeout);
    expect(sent).toEqual([]);
  });

  it.each([
    ['before the answer', async (): Promise<Response> => await Promise.reject(new TypeError('connection lost'))],
    [
      'within the body',
      () => new Response(new ReadableStream({ pull: (controller) => controller.error(new TypeError('reset')) })),
    ],
  ] as const)('is not blamed for a connection that breaks %s', async (_case, answer) => {
    const { pipeops, sent } = scripted([answer, answer, answer, answer]);
    expect(await run(pipeops, patientCall())).toEqual(unreachable);
    expect(sent).toHaveLength(MOST_SENT[name] ?? 0);
  });
});

it('leaves a rejection a rejection where only its explanation stalls', async () => {
  const deadline = new AbortController();
  const { body } = stalledBody(() => deadline.abort());
  const { pipeops } = scripted([() => new Response(body, { status: 422 })]);
  expect(await pipeops.get(REF, callWith(deadline.signal))).toEqual({
    ok: false,
    error: { kind: 'upstream_rejected', status: 422, fields: [] },
  });
});

describe('a body that nobody reads is let go', () => {
  it.each([302, 401, 403, 404, 408, 419, 429, 500])('with %d', async (status) => {
    const { body, cancelled } = stalledBody();
    const { pipeops } = scripted([() => new Response(body, { status })]);
    expect(await pipeops.get(REF, patientCall())).toMatchObject({ ok: false });
    expect(cancelled()).toBe(true);
  });

  it('when the answer comes after the deadline', async () => {
    const deadline = new AbortController();
    const late = Promise.withResolvers<Response>();
    const { body, cancelled } = stalledBody();
    const { pipeops } = scripted([onceSent(deadline, async () => await late.promise)]);
    expect(await pipeops.get(REF, callWith(deadline.signal))).toEqual(timeout);
    late.resolve(new Response(body));
    await expect.poll(cancelled).toBe(true);
  });
});

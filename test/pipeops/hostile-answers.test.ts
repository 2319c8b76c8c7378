import { describe, expect, it } from 'vitest';
import { UPSTREAM_BODY_MAX_BYTES } from '../../src/config/limits.ts';
import { json, operations, patientCall, REF, scripted } from './scripted-pipeops.ts';
import type { Answer } from './scripted-pipeops.ts';

const text =
  (body: BodyInit | null): Answer =>
  () =>
    new Response(body, { headers: { 'Content-Type': 'application/json' } });

const invalid = { ok: false, error: { kind: 'upstream_invalid_response', status: 200 } };

describe.each(operations)('%s: a 2xx that is not what it promises is invalid', (_name, run) => {
  it.each([
    ['an HTML page', text('<!doctype html><title>Sign in</title>')],
    ['half a JSON', text('{"success":true,"data":{"id":"tok-1","na')],
    ['nothing', text('')],
    ['no body', text(null)],
    ['text that is not UTF-8', text(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))],
    ['JSON that is no object', text('[]')],
    ['null', text('null')],
    ['a failure', json(200, { success: false, message: 'no' })],
    ['an error', json(200, { status: 'error', message: 'no' })],
    ['a hundred thousand brackets', text('['.repeat(100_000))],
  ])('%s', async (_case, answer) => {
    const { pipeops, sent } = scripted([answer]);
    expect(await run(pipeops, patientCall())).toEqual(invalid);
    expect(sent).toHaveLength(1);
  });
});

it.each(operations.filter(([name]) => name !== 'revoke'))('%s: 204 is no answer', async (_name, run) => {
  const { pipeops } = scripted([() => new Response(null, { status: 204 })]);
  expect(await run(pipeops, patientCall())).toMatchObject({
    error: { kind: 'upstream_invalid_response', status: 204 },
  });
});

it.each(operations.filter(([name]) => name === 'get' || name === 'update'))(
  '%s: another token than the one asked for is no answer',
  async (_name, run) => {
    const { pipeops } = scripted([json(200, { success: true, data: { uuid: 'tok-2', name: 'other' } })]);
    expect(await run(pipeops, patientCall())).toEqual(invalid);
  },
);

describe('the size of a body', () => {
  const chunk = new Uint8Array(64 * 1024).fill(0x20);
  const document = new TextEncoder().encode('{"data":{"uuid":"tok-1","name":"deploy"}}');

  it('may be what is allowed, to the byte', async () => {
    const body = new Uint8Array(UPSTREAM_BODY_MAX_BYTES).fill(0x20);
    body.set(document);
    const { pipeops } = scripted([text(body)]);
    expect(await pipeops.get(REF, patientCall())).toMatchObject({ ok: true });
  });

  it('may not be a byte more', async () => {
    const body = new Uint8Array(UPSTREAM_BODY_MAX_BYTES + 1).fill(0x20);
    body.set(document);
    const { pipeops } = scripted([text(body)]);
    expect(await pipeops.get(REF, patientCall())).toEqual(invalid);
  });

  it('is counted as it comes, so a body without end is dropped in time', async () => {
    let sentBytes = 0;
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sentBytes += chunk.byteLength;
        controller.enqueue(chunk);
      },
      cancel: () => {
        cancelled = true;
      },
    });
    const { pipeops } = scripted([() => new Response(endless)]);
    expect(await pipeops.get(REF, patientCall())).toEqual(invalid);
    expect(cancelled).toBe(true);
    expect(sentBytes).toBeLessThan(UPSTREAM_BODY_MAX_BYTES + 4 * chunk.byteLength);
  });
});

it('joins a character that two chunks share', async () => {
  const bytes = new TextEncoder().encode('{"data":{"uuid":"tok-1","name":"🔑"}}');
  const split = bytes.indexOf(0xf0) + 2;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(bytes.slice(0, split));
      controller.enqueue(bytes.slice(split));
      controller.close();
    },
  });
  const { pipeops } = scripted([() => new Response(body)]);
  expect(await pipeops.get(REF, patientCall())).toMatchObject({ value: { data: { name: '🔑' } } });
});

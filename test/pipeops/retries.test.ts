import { describe, expect, it } from 'vitest';
import { retryPauseMs } from '../../src/pipeops/client.ts';
import type { UpstreamFailure } from '../../src/failures.ts';
import { createPipeOps } from '../../src/pipeops/client.ts';
import { createCredentials } from '../../src/pipeops/credentials.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { createQuota } from '../../src/pipeops/quota.ts';
import {
  API_URL,
  ADMIT_ALL,
  callWith,
  CREATE,
  json,
  MOST_SENT,
  operations,
  patientCall,
  REF,
  RUNTIME,
  scripted,
  WORKSPACE,
  UNHEARD,
} from './scripted-pipeops.ts';
import type { Answer } from './scripted-pipeops.ts';

// What is sent once more, and what is then known.

const lost: Answer = async () => await Promise.reject(new TypeError('connection lost'));
const found = json(200, { data: { uuid: 'tok-1', name: 'deploy' } });
const acknowledged = json(200, { success: true, message: 'revoked' });
const UNREACHABLE = { ok: false, error: { kind: 'upstream_unreachable' } };
const error = (status: number): UpstreamFailure => ({ kind: 'upstream_error', status });

describe('whether a request is sent once more', () => {
  const MOST = { GET: 2, PATCH: 1, DELETE: 1, POST: 0 } as const;
  const methods = ['GET', 'PATCH', 'DELETE', 'POST'] as const;
  const timesRetried = (method: (typeof methods)[number], failure: UpstreamFailure): number => {
    let retries = 0;
    while (retryPauseMs(method, failure, retries, 0) !== null) retries += 1;
    return retries;
  };

  it.each(methods)('%s: after a lost connection or a gateway’s answer', (method) => {
    const failures: readonly UpstreamFailure[] = [{ kind: 'upstream_unreachable' }, error(502), error(503), error(504)];
    expect(failures.map((failure) => timesRetried(method, failure))).toEqual(failures.map(() => MOST[method]));
  });

  it('a read also after a 500, which a change would meet again', () => {
    expect(methods.map((method) => timesRetried(method, error(500)))).toEqual([2, 0, 0, 0]);
  });

  it.each(methods)('%s: never after an answer, nor when its time is up', (method) => {
    const failures: readonly UpstreamFailure[] = [
      { kind: 'upstream_timeout' },
      { kind: 'upstream_invalid_response', status: 200 },
      { kind: 'upstream_credential_rejected', status: 401 },
      { kind: 'upstream_forbidden', status: 403 },
      { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: 1 },
      { kind: 'upstream_not_found', status: 404 },
      { kind: 'upstream_rejected', status: 422, fields: [] },
      error(408),
      error(501),
      error(599),
      // A create's conflict with an earlier copy of itself.
      error(409),
    ];
    expect(failures.map((failure) => timesRetried(method, failure))).toEqual(failures.map(() => 0));
  });

  it.each([
    [0, 100, 300],
    [1, 200, 600],
  ])('after %i retries: within %i and %i ms', (retries, least, most) => {
    const pause = (chance: number) => retryPauseMs('GET', { kind: 'upstream_unreachable' }, retries, chance);
    expect([pause(0), pause(1)]).toEqual([least, most]);
  });
});

describe.each(operations)('%s', (name, run) => {
  const most = MOST_SENT[name] ?? 0;

  it(`is sent ${most} times at the most`, async () => {
    const { pipeops, sent } = scripted([lost, lost, lost, lost]);
    expect(await run(pipeops, patientCall())).toEqual(UNREACHABLE);
    expect(sent).toHaveLength(most);
    // Each is the same request, the event id included.
    expect(new Set(sent.map(({ method, url, body }) => JSON.stringify([method, url, body]))).size).toBe(1);
  });

  it('is sent once where its sender sends it again later', async () => {
    const { pipeops, sent } = scripted([lost, lost, lost, lost]);
    expect(await run(pipeops, callWith(new AbortController().signal, { isRetriedLater: true }))).toEqual(UNREACHABLE);
    expect(sent).toHaveLength(1);
  });

  it('is not sent after the deadline, which has passed in a pause', async () => {
    const deadline = new AbortController();
    let calls = 0;
    const runtime = {
      ...RUNTIME,
      fetch: async () => {
        calls += 1;
        return await Promise.reject(new TypeError('connection lost'));
      },
      sleep: async () => {
        deadline.abort();
        await new Promise(() => {});
      },
    };
    const pipeops = createPipeOps({
      apiUrl: API_URL,
      credentials: createCredentials(['admin-jwt']),
      outcomes: UNHEARD,
      quota: createQuota(),
      admit: ADMIT_ALL,
      runtime,
    });
    expect(await run(pipeops, callWith(deadline.signal))).toEqual(UNREACHABLE);
    expect(calls).toBe(1);
  });
});

describe('a second try', () => {
  it('heals a read', async () => {
    const { pipeops, sent } = scripted([lost, json(503, {}), found]);
    expect(await pipeops.get(REF, patientCall())).toMatchObject({ ok: true, value: { data: { id: 'tok-1' } } });
    expect(sent).toHaveLength(3);
  });

  it('heals an update and a revoke', async () => {
    const update = scripted([lost, found]);
    expect(await update.pipeops.update(REF, { name: 'deploy' }, patientCall())).toMatchObject({ ok: true });
    const revoke = scripted([json(502, {}), acknowledged]);
    expect(await revoke.pipeops.revoke(REF, patientCall())).toMatchObject({ ok: true, value: { data: 'revoked' } });
  });

  it('of a revoke that finds nothing says so, and does not take that for the work of the first', async () => {
    const { pipeops } = scripted([lost, json(404, {})]);
    const notFound = { kind: 'upstream_not_found', status: 404 };
    expect(await pipeops.revoke(REF, patientCall())).toEqual({ ok: false, error: notFound });
  });

  it.each([401, 403, 404, 422, 429])(
    'of an update that is refused with %i leaves the first in doubt',
    async (status) => {
      const { pipeops } = scripted([lost, json(status, {})]);
      expect(await pipeops.update(REF, { name: 'deploy' }, patientCall())).toEqual(UNREACHABLE);
    },
  );

  it.each([401, 403, 422, 429])('of a revoke that is refused with %i leaves the first in doubt', async (status) => {
    const { pipeops } = scripted([json(503, {}), json(status, {})]);
    expect(await pipeops.revoke(REF, patientCall())).toEqual({ ok: false, error: error(503) });
  });

  it('of a read that is refused is refused: nothing was in doubt', async () => {
    const { pipeops } = scripted([lost, json(403, {})]);
    expect(await pipeops.list(WORKSPACE, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_forbidden', status: 403 },
    });
  });

  it('is counted, and never made of a create', async () => {
    const trace = newTrace();
    const read = scripted([lost, found]);
    await read.pipeops.get(REF, callWith(new AbortController().signal, { trace }));
    expect(trace.upstreamCalls).toBe(2);
    const create = scripted([json(503, {}), json(201, {})]);
    expect(await create.pipeops.create(CREATE, patientCall())).toEqual({ ok: false, error: error(503) });
    expect(create.sent).toHaveLength(1);
  });
});

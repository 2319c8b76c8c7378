import { describe, expect, it } from 'vitest';
import { json, callWith, operations, patientCall, REF, scripted } from './scripted-pipeops.ts';
import type { Answer, SentRequest } from './scripted-pipeops.ts';

const both = ['old', 'next'];
const found = json(200, { data: { uuid: 'tok-1', name: 'deploy' } });
const credentialsOf = (sent: readonly SentRequest[]): (string | null)[] =>
  sent.map((request) => request.headers.get('Authorization'));

describe.each([401, 419])('a credential refused with %d', (status) => {
  const refused = json(status, { message: 'no' });

  it.each(operations)('%s: gives way to the next, once', async (_name, run) => {
    const { pipeops, sent } = scripted([refused, json(403, {})], both);
    expect(await run(pipeops, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_forbidden', status: 403 },
    });
    expect(credentialsOf(sent)).toEqual(['Bearer old', 'Bearer next']);
    expect(sent[1]).toMatchObject({ method: sent[0]?.method, url: sent[0]?.url, body: sent[0]?.body });
  });

  it.each([
    ['alone', ['old'], [refused]],
    ['with the next', both, [json(401, {}), refused]],
  ] as const)('%s is our failure', async (_case, credentials, answers) => {
    const { pipeops, sent } = scripted(answers, credentials);
    expect(await pipeops.get(REF, patientCall())).toEqual({
      ok: false,
      error: { kind: 'upstream_credential_rejected', status },
    });
    expect(sent).toHaveLength(credentials.length);
  });
});

const credentialsSent = async (answers: readonly Answer[], requests: number): Promise<(string | null)[]> => {
  const { pipeops, sent } = scripted(answers, both);
  for (let request = 0; request < requests; request += 1) await pipeops.get(REF, patientCall());
  return credentialsOf(sent);
};

describe('the credential that worked last goes first', () => {
  const refused = json(401, {});
  it('from then on', async () => {
    expect(await credentialsSent([refused, found, found], 2)).toEqual(['Bearer old', 'Bearer next', 'Bearer next']);
  });

  it('until it is refused too', async () => {
    expect(await credentialsSent([refused, found, refused, found, found], 3)).toEqual([
      'Bearer old',
      'Bearer next',
      'Bearer next',
      'Bearer old',
      'Bearer old',
    ]);
  });

  it('which an answer that is no success does not show', async () => {
    expect(await credentialsSent([refused, json(422, {}), found], 2)).toEqual([
      'Bearer old',
      'Bearer next',
      'Bearer old',
    ]);
  });
});

it('is not tried once the deadline has passed: a refusal is known to have changed nothing', async () => {
  const deadline = new AbortController();
  const refuseLate: Answer = () => {
    queueMicrotask(() => queueMicrotask(() => deadline.abort()));
    return new Response(null, { status: 401 });
  };
  const { pipeops, sent } = scripted([refuseLate, found], both);
  const answered = await pipeops.revoke(REF, callWith(deadline.signal));
  expect(deadline.signal.aborted).toBe(true);
  expect(answered).toEqual({ ok: false, error: { kind: 'upstream_credential_rejected', status: 401 } });
  expect(sent).toHaveLength(1);
});

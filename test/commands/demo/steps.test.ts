import { describe, expect, it } from 'vitest';
import { DemoError, play } from '../../../commands/demo/steps.ts';
import { answerOf, createDemoService, secretOf, stageOn, type Instead } from './demo-service.ts';

const lostDelivery = (state: string): Instead =>
  only('GET /api/v1/webhooks/', () =>
    answerOf(200, {
      data: {
        event_id: 'e',
        revocations: [{ event_id: 'r', token_id: 'demo-0000-4000-8000-000000000001', state, received_at: '' }],
      },
    }),
  );

/** Answers the calls that begin so in another way than usual. */
function only(start: string, answer: Instead): Instead {
  return (asked) => (`${asked.method} ${asked.path}`.startsWith(start) ? answer(asked) : undefined);
}

async function played(instead?: Instead) {
  const service = createDemoService(instead);
  const { stage, lines } = stageOn(service);
  const problem = await play(stage).then(
    () => null,
    (error: unknown) => error,
  );
  return { service, lines, problem };
}

describe('the demo', () => {
  it('shows a mint, a refusal, a leak and who did what, and no secret', async () => {
    const { service, lines, problem } = await played();
    expect(problem).toBeNull();
    expect(lines.filter((line) => /^\d\. /.test(line))).toHaveLength(6);
    expect(lines.filter((line) => line.startsWith('   < ')).map((line) => line.slice(5, 8))).toEqual([
      '200',
      '201',
      '403',
      '202',
      '200',
      '201',
      '200',
      '200',
    ]);
    expect(lines.slice(-6).map((line) => line.trim().split(/ {2,}/).slice(1))).toEqual([
      ['service_account_token.create', 'success', 'local-ci', 'demo-000…'],
      ['service_account_token.create', 'failure', 'local-ci', 'forbidden'],
      ['webhook.receive', 'success', 'scanner'],
      ['service_account_token.revoke', 'success', 'scanner', 'demo-000…'],
      ['service_account_token.create', 'success', 'local-ci', 'demo-nex…'],
      ['service_account_token.revoke', 'success', 'local-ci', 'demo-nex…'],
    ]);
    expect(lines.join('\n')).not.toContain('SECRET');
    expect([...service.alive]).toEqual([]);
  });

  it('reports the very secret that was minted', async () => {
    const { service } = await played();
    expect(service.asked.filter(({ asker }) => asker === 'scanner').map(({ body }) => body)).toMatchObject([
      { data: { token: secretOf('demo') } },
    ]);
  });

  it('asks for the receipt until it says confirmed', async () => {
    let asks = 0;
    const later: Instead = (asked) => {
      if (!asked.path.startsWith('/api/v1/webhooks/')) return undefined;
      asks += 1;
      return asks < 4 ? lostDelivery(asks < 2 ? 'open' : 'acknowledged')(asked) : undefined;
    };
    expect((await played(later)).problem).toBeNull();
    expect(asks).toBe(4);
  });

  it.each<[string, Instead, RegExp]>([
    [
      'the service is another',
      only('GET /api/v1/whoami', () => answerOf(200, 'hello')),
      /^Step 1 .*the answer is 200, as it should be, but its body is not what was expected\.$/,
    ],
    [
      'a mint is refused',
      only('POST /api/', () => answerOf(503, { code: 'audit_unavailable', message: 'Later.\u001b[2J' })),
      /^Step 2 .*201 was expected, and the answer is 503\. audit_unavailable: Later\.\ufffd\[2J$/,
    ],
    [
      'more than the role allows is minted',
      ({ body }) =>
        (body as { name?: string } | undefined)?.name === 'demo-admin'
          ? answerOf(201, { data: { id: 'too-much', token: secretOf('too-much') } })
          : undefined,
      /^Step 3 .*403 was expected, and the answer is 201\.$/,
    ],
    [
      'a signature is not accepted',
      only('POST /webhooks/', () => answerOf(401, { code: 'invalid_signature', message: 'No.' })),
      /^Step 4 .*202 was expected, and the answer is 401\. invalid_signature: No\.$/,
    ],
    ['a revocation is given up', lostDelivery('failed'), /^Step 4 .*the revocation is failed, not confirmed\.$/],
    ['a revocation is never confirmed', lostDelivery('acknowledged'), /^Step 4 .*is acknowledged, not confirmed\.$/],
    [
      'the secret matches nothing',
      only('GET /api/v1/webhooks/', () => answerOf(200, { data: { event_id: 'e', revocations: [] } })),
      /^Step 4 .*is not ordered, not confirmed\.$/,
    ],
    [
      'the trail lacks an event',
      only('GET /api/v1/audit/', () => answerOf(200, { data: [] })),
      /^Step 6 .*6 events of this run are not in the trail\.$/,
    ],
  ])('ends where %s, says so, and leaves nothing alive', async (_name, instead, message) => {
    const { service, lines, problem } = await played(instead);
    expect(problem).toBeInstanceOf(DemoError);
    expect((problem as DemoError).message).toMatch(message);
    expect([...service.alive]).toEqual([]);
    expect(`${lines.join('\n')}${String(problem)}`).not.toContain('SECRET');
  });

  it('deletes a token that it should not have got', async () => {
    const { service } = await played(({ body }) =>
      (body as { name?: string } | undefined)?.name === 'demo-admin'
        ? answerOf(201, { data: { id: 'too-much', token: secretOf('too-much') } })
        : undefined,
    );
    const deleted = service.asked.filter(({ method }) => method === 'DELETE').map(({ path }) => path);
    expect(deleted).toContain('/api/v1/service-account-tokens/too-much');
  });

  it('says which token may be alive where it cannot be deleted', async () => {
    const refusing: Instead = ({ method, path }) => {
      if (method === 'DELETE') return answerOf(502, { code: 'upstream_error', message: 'PipeOps failed.' });
      return path.startsWith('/webhooks/') ? answerOf(500, {}) : undefined;
    };
    const { lines } = await played(refusing);
    expect(lines.slice(-2)).toEqual([
      '   > DELETE /api/v1/service-account-tokens/demo-0000-4000-8000-000000000001',
      '   < 502  The token of this demo may be alive.',
    ]);
  });
});

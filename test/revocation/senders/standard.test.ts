import { describe, expect, it, vi } from 'vitest';
import type { Source } from '../../../src/config/webhooks.ts';
import { secretProblem } from '../../../src/config/secrets.ts';
import { createSecret, createSource, type Sent, signatureOf, toBase64, toBytes } from './standard-sender.ts';

const older = createSecret();
const newer = createSecret();
const stranger = createSecret();
const source = createSource([older, newer]);

const PAYLOAD = '{"type": "token.revoke", "data": {"token_id": "tok-1"}}';
const outcomeOf = async (sent: Sent): Promise<unknown> => {
  const result = await source.deliver({ body: PAYLOAD, ...sent });
  if (result.ok) return 'accepted';
  return 'reason' in result.error ? result.error.reason : result.error;
};
/** A signature header of several, for the payload as it is sent now. */
const signedNow = async (...secrets: string[]) => {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signatures = await Promise.all(
    secrets.map(async (secret) => await signatureOf(secret, 'msg_1', timestamp, toBytes(PAYLOAD))),
  );
  return { timestamp, signatures };
};

describe('a signature', () => {
  it.each([
    ['the older secret', older],
    ['the newer one', newer],
  ])('is good with %s', async (_name, secret) => {
    expect(await outcomeOf({ secret })).toBe('accepted');
  });

  it('is the one of the specification', async () => {
    const { deliver } = createSource(['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']);
    const clock = vi.spyOn(Date, 'now').mockReturnValue(1_614_265_330_000);
    const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
    const headers = { 'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-signature': signature };
    const result = await deliver({ body: '{"test": 2432232314}', headers });
    clock.mockRestore();
    expect(result).toMatchObject({ ok: true, value: { senderId: 'msg_p5jXN8AQM9LWM0D4loKWxJek' } });
  });

  it.each<[string, Sent, string]>([
    ['another secret', { secret: stranger }, 'signature_invalid'],
    ['no id', { headers: { 'webhook-id': null } }, 'signature_missing'],
    ['an empty id', { headers: { 'webhook-id': '' } }, 'signature_missing'],
    ['no time', { headers: { 'webhook-timestamp': null } }, 'signature_missing'],
    ['no signature', { headers: { 'webhook-signature': null } }, 'signature_missing'],
    ['an empty signature', { headers: { 'webhook-signature': '' } }, 'signature_missing'],
    ['another id', { headers: { 'webhook-id': 'msg_2' } }, 'signature_invalid'],
    [
      'another time',
      { headers: { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 60) } },
      'signature_invalid',
    ],
    ['words for a time', { headers: { 'webhook-timestamp': 'yesterday' } }, 'signature_malformed'],
    ['a negative time', { headers: { 'webhook-timestamp': '-1' } }, 'signature_malformed'],
    [
      'a time with a tail',
      { headers: { 'webhook-timestamp': `${Math.floor(Date.now() / 1000)}abc` } },
      'signature_malformed',
    ],
    ['a time with a fraction', { headers: { 'webhook-timestamp': `${Date.now() / 1000}.5` } }, 'signature_malformed'],
    ['a time without end', { headers: { 'webhook-timestamp': '9'.repeat(400) } }, 'signature_malformed'],
    ['a time that is too old', { ageSeconds: 310 }, 'timestamp_stale'],
    ['a time that is far too old', { headers: { 'webhook-timestamp': '0' } }, 'timestamp_stale'],
    ['a time that is too new', { ageSeconds: -310 }, 'timestamp_future'],
    ['a time that is far too new', { headers: { 'webhook-timestamp': '9'.repeat(12) } }, 'timestamp_future'],
    ['a signature without a version', { headers: { 'webhook-signature': 'AAAA' } }, 'signature_invalid'],
    ['a version without a signature', { headers: { 'webhook-signature': 'v1' } }, 'signature_invalid'],
    ['a signature that is no base64', { headers: { 'webhook-signature': 'v1,*' } }, 'signature_invalid'],
  ])('is refused with %s', async (_name, sent, reason) => {
    expect(await outcomeOf(sent)).toBe(reason);
  });

  it.each([290, -290])('is good for five minutes either way: %i s', async (ageSeconds) => {
    expect(await outcomeOf({ ageSeconds })).toBe('accepted');
  });

  it('may stand among others, and counts only in version 1', async () => {
    const { timestamp, signatures } = await signedNow(stranger, newer);
    const among = { 'webhook-timestamp': timestamp, 'webhook-signature': `v1a,AAAA v2,${signatures.join(' ')}` };
    expect(await outcomeOf({ headers: among })).toBe('accepted');
    const asymmetric = signatures[1]!.replace('v1,', 'v1a,');
    expect(await outcomeOf({ headers: { ...among, 'webhook-signature': asymmetric } })).toBe('signature_invalid');
  });

  it('that is cut or continued is refused', async () => {
    const { timestamp, signatures } = await signedNow(older);
    for (const signature of [signatures[0]!.slice(0, -1), `${signatures[0]}A`, `${signatures[0]} `.slice(0, -9)]) {
      const headers = { 'webhook-timestamp': timestamp, 'webhook-signature': signature };
      expect(await outcomeOf({ headers })).toBe('signature_invalid');
    }
  });
});

describe('the headers of a signature', () => {
  const NAMES = ['id', 'timestamp', 'signature'] as const;
  const headersOf = async (prefix: string, id: string, secret = older, ageSeconds = 0) => {
    const timestamp = String(Math.floor(Date.now() / 1000) - ageSeconds);
    const signature = await signatureOf(secret, id, timestamp, toBytes(PAYLOAD));
    return { [`${prefix}-id`]: id, [`${prefix}-timestamp`]: timestamp, [`${prefix}-signature`]: signature };
  };
  /** In place of those that are right. */
  const NONE = { 'webhook-id': null, 'webhook-timestamp': null, 'webhook-signature': null };
  const senderIdOf = async (headers: Readonly<Record<string, string | null>>): Promise<unknown> => {
    const result = await source.deliver({ body: PAYLOAD, headers: { ...NONE, ...headers } });
    if (result.ok) return result.value.senderId;
    return 'reason' in result.error ? result.error.reason : result.error;
  };

  it('may be those of Svix', async () => {
    expect(await senderIdOf(await headersOf('svix', 'msg_svix'))).toBe('msg_svix');
    expect(await senderIdOf(await headersOf('Svix', 'msg_svix'))).toBe('msg_svix');
  });

  it('are read as strictly under either name', async () => {
    expect(await senderIdOf(await headersOf('svix', 'msg_svix', stranger))).toBe('signature_invalid');
    expect(await senderIdOf(await headersOf('svix', 'msg_svix', older, 310))).toBe('timestamp_stale');
    expect(await senderIdOf({ ...(await headersOf('svix', 'a')), 'svix-id': 'b' })).toBe('signature_invalid');
    expect(await senderIdOf({ ...(await headersOf('svix', 'a')), 'svix-timestamp': '1e9' })).toBe(
      'signature_malformed',
    );
  });

  it('of both sets, each whole, are those of Standard Webhooks, good or not', async () => {
    const svix = await headersOf('svix', 'msg_svix');
    expect(await senderIdOf({ ...svix, ...(await headersOf('webhook', 'msg_webhook')) })).toBe('msg_webhook');
    expect(await senderIdOf({ ...svix, ...(await headersOf('webhook', 'x', stranger)) })).toBe('signature_invalid');
  });

  it.each(NAMES)('are never mixed of halves: one set without its %s is not completed by the other', async (missing) => {
    const webhook = await headersOf('webhook', 'msg_1');
    // The same values under the other name: put together they would be good.
    const twin = Object.entries(webhook).map(([name, value]) => [name.replace('webhook', 'svix'), value] as const);
    const halves = {
      ...webhook,
      [`webhook-${missing}`]: null,
      [`svix-${missing}`]: new Map(twin).get(`svix-${missing}`)!,
    };
    expect(await senderIdOf(halves)).toBe('signature_missing');
    // A set that is whole counts beside half of another.
    expect(await senderIdOf({ ...webhook, [`webhook-${missing}`]: null, ...(await headersOf('svix', 'msg_2')) })).toBe(
      'msg_2',
    );
  });
});

const gzip = async (body: string): Promise<Uint8Array> =>
  new Uint8Array(
    await new Response(new Blob([body]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer(),
  );
const compressed = await gzip(PAYLOAD);

describe('the body', () => {
  it.each<[string, Uint8Array, string]>([
    ['cut short', toBytes(PAYLOAD.slice(0, -1)), 'signature_invalid'],
    ['of another order', toBytes(PAYLOAD.replace('tok-1', 'tok-2')), 'signature_invalid'],
    ['written with other whitespace', toBytes(JSON.stringify(JSON.parse(PAYLOAD))), 'signature_invalid'],
    ['with a line break behind it', toBytes(`${PAYLOAD}\n`), 'signature_invalid'],
    ['with a byte order mark before it', toBytes(`\uFEFF${PAYLOAD}`), 'signature_invalid'],
    ['compressed', compressed, 'body_unreadable'],
    ['in Latin-1', new Uint8Array([0x7b, 0xe9, 0x7d]), 'body_unreadable'],
    ['that is empty', new Uint8Array(0), 'signature_invalid'],
  ])('%s is not what was signed', async (_name, arriving, reason) => {
    expect(await outcomeOf({ arriving })).toBe(reason);
  });

  it('may be signed although it is no JSON object, and is then unreadable', async () => {
    for (const body of ['', '{', '[]', 'null', '"text"', '{"type":', `\uFEFF\uFEFF${PAYLOAD}`]) {
      const result = await source.deliver({ body });
      expect(result.ok && [result.value.unreadable, result.value.event]).toEqual([{ kind: 'invalid_json' }, null]);
    }
  });

  it('may be signed with a byte order mark before it', async () => {
    const result = await source.deliver({ body: `\uFEFF${PAYLOAD}` });
    expect(result).toMatchObject({ ok: true, value: { unreadable: null, event: 'token.revoke' } });
  });

  it.each([7, 2_000, 100_000])('may nest however deep: %i lists in its data', async (lists) => {
    const data = `{"a":${'['.repeat(lists)}0${']'.repeat(lists)}}`;
    const result = await source.deliver({ body: `{"type":"x","data":${data}}` });
    expect(result.ok && [result.value.unreadable, result.value.eventName]).toEqual([null, 'x']);
  });

  it.each(['{}', '{"type": 1}', '{"type": null}', '{"type": ""}', '{"__proto__": {"type": "token.revoke"}}'])(
    'must name its event: %s',
    async (body) => {
      const result = await source.deliver({ body });
      expect(result).toMatchObject({
        ok: true,
        value: {
          event: null,
          eventName: '',
          unreadable: { kind: 'invalid_request', errors: { type: [expect.any(String)] } },
        },
      });
    },
  );

  it.each(['employee.promoted', 'token.revoked', 'toString', ' token.revoke', 'Token.Revoke'])(
    'may be of an event that is not ours: %j',
    async (type) => {
      const result = await source.deliver({ body: JSON.stringify({ type, anything: [1, 2] }) });
      expect(result).toMatchObject({ ok: true, value: { event: null, eventName: type, unreadable: null } });
    },
  );
});

describe('a message', () => {
  it('has the id that its sender gave it, and its event', async () => {
    const result = await source.deliver({ body: PAYLOAD });
    expect(result).toMatchObject({
      ok: true,
      value: { senderId: 'msg_1', eventName: 'token.revoke', event: 'token.revoke' },
    });
  });

  it('is answered with nothing about its secrets', async () => {
    const token = createSecret();
    const result = await source.deliver({ body: JSON.stringify({ type: 'token.leaked', data: { token } }) });
    const message = result.ok ? result.value : null;
    const order = message?.read();
    expect(order?.ok && (await message?.feedback(order.value, new Set([0])))).toBeNull();
  });
});

describe('a secret of a sender', () => {
  const SOURCE = { kind: 'standard' } as Source;
  const of = (bytes: number) => createSecret(bytes);
  it.each([24, 32, 64])('of %i bytes is good', (bytes) => {
    expect(secretProblem(SOURCE, of(bytes))).toBeNull();
  });

  it.each([
    ['too short', of(23)],
    ['too long', of(65)],
    ['without its prefix', of(32).slice('whsec_'.length)],
    ['with another prefix', of(32).replace('whsec_', 'whsk_')],
    ['without its padding', of(32).replace('=', '')],
    ['in base64url', `whsec_${toBase64(new Uint8Array(33).fill(0xff)).replaceAll('/', '_')}`],
    ['with a line break', `${of(33)}\n`],
    ['of its prefix alone', 'whsec_'],
    ['that is empty', ''],
  ])('%s is not, and the problem does not quote it', (_name, value) => {
    const problem = secretProblem(SOURCE, value);
    expect(problem).toMatch(/^(is|does) /);
    expect(value.length > 6 && problem?.includes(value.slice(6, 20))).toBe(false);
  });
});

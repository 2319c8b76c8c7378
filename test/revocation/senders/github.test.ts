import { describe, expect, it } from 'vitest';
import { WEBHOOK_TOKENS_MAX_COUNT } from '../../../src/config/limits.ts';
import { webhooksSchema } from '../../../src/config/webhooks.ts';
import { secretProblem, secretsOf } from '../../../src/config/secrets.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import { noteSecret, noteText } from '../../support/secrets.ts';
import { createKey, createSource, ecPems, KEYS_URL, rsaPems } from './github-sender.ts';
import { toBase64, toBytes } from './standard-sender.ts';

const current = createKey('current');
const previous = createKey('previous');
const stranger = createKey('current');
const source = createSource([current, previous]);

const LEAKED = 'sat_leakedleakedleakedleaked01';
const OTHER = 'sat_otherotherotherotherother02';
noteSecret(LEAKED);
noteSecret(OTHER);
const BODY = `[{"token": "${LEAKED}", "type": "pipeops_token", "url": "https://github.test/a", "source": "content"}]`;

describe('a signature', () => {
  it.each([current, previous])('is good with each key that is published: $id', async (key) => {
    expect(await source.outcomeOf(key, BODY)).toBe('accepted');
  });

  const signature = current.sign(toBytes(BODY));
  const der = toBase64(signature);
  const cases: readonly (readonly [string, Parameters<typeof source.deliver>[2], string])[] = [
    ['no key id', { id: null }, 'signature_missing'],
    ['an empty key id', { id: '' }, 'signature_missing'],
    ['no signature', { signature: null }, 'signature_missing'],
    ['an empty signature', { signature: '' }, 'signature_missing'],
    ['another key id', { id: previous.id }, 'signature_invalid'],
    ['no base64', { signature: `${der.slice(0, -4)}*===` }, 'signature_malformed'],
    ['base64 in two lines', { signature: `${der.slice(0, 40)} ${der.slice(40)}` }, 'signature_malformed'],
    ['two signatures', { signature: `${der}, ${der}` }, 'signature_malformed'],
    ['DER cut short', { signature: signature.slice(0, -1) }, 'signature_invalid'],
    ['DER cut to its head', { signature: signature.slice(0, 2) }, 'signature_invalid'],
    ['DER that goes on', { signature: new Uint8Array([...signature, 0]) }, 'signature_invalid'],
    ['two plain numbers', { signature: new Uint8Array(64).fill(1) }, 'signature_invalid'],
    ['r and s of 0', { signature: new Uint8Array([0x30, 6, 2, 1, 0, 2, 1, 0]) }, 'signature_invalid'],
    ['another body', { arriving: toBytes(BODY.replace('leaked01', 'leaked03')) }, 'signature_invalid'],
    ['the body cut short', { arriving: toBytes(BODY.slice(0, -1)) }, 'signature_invalid'],
    ['the body written anew', { arriving: toBytes(JSON.stringify(JSON.parse(BODY))) }, 'signature_invalid'],
    ['a byte order mark before the body', { arriving: toBytes(`\uFEFF${BODY}`) }, 'signature_invalid'],
    ['no body', { arriving: new Uint8Array(0) }, 'signature_invalid'],
  ];
  it.each(cases)('is refused with %s', async (_name, over, reason) => {
    expect(await source.outcomeOf(current, BODY, { signature, ...over })).toBe(reason);
  });

  it.each(['unknown', '__proto__', 'toString'])('is refused with a key id that is not published: %s', async (id) => {
    // In an isolate of its own: its first read looks for the key, and another is not made within a minute.
    const { outcomeOf } = createSource([current, previous]);
    expect(await outcomeOf(current, BODY, { id })).toBe('key_unknown');
    expect(await outcomeOf(current, BODY, { id })).toBe('keys_unavailable for 60 s');
  });

  it('is refused with the key of a stranger under an id that is known', async () => {
    expect(await source.outcomeOf(stranger, BODY)).toBe('signature_invalid');
  });
});

const messageWith = async (body: string) => {
  const result = await source.deliver(current, body);
  if (!result.ok) throw new Error(result.error.kind);
  return result.value;
};
const read = async (body: string) => {
  const order = (await messageWith(body)).read();
  if (!order.ok) noteText('failure of a webhook', JSON.stringify(order.error));
  return order.ok ? order.value : order.error;
};
const leak = (token: unknown, type: unknown = 'pipeops_token', more: object = {}) => ({ token, type, ...more });

describe('a message', () => {
  it('has no id, and is about leaks', async () => {
    expect(await messageWith(BODY)).toMatchObject({
      senderId: null,
      unreadable: null,
      eventName: 'token.leaked',
      event: 'token.leaked',
    });
  });

  it('may hold fields that GitHub adds, and long or empty places', async () => {
    const long = `https://github.test/${'x'.repeat(5_000)}`;
    const body = JSON.stringify([
      leak(LEAKED, 'a', { url: long, source: 'commit', is_public: true }),
      leak(OTHER, 'b', { url: '' }),
      leak('x', 'c', { url: null }),
    ]);
    expect(await read(body)).toEqual({
      event: 'token.leaked',
      leaks: [
        { position: 0, text: LEAKED, sha256: null, type: 'a', location: long },
        { position: 1, text: OTHER, sha256: null, type: 'b', location: null },
        { position: 2, text: 'x', sha256: null, type: 'c', location: null },
      ],
      rejected: {},
    });
  });

  const readings: readonly [string, unknown, readonly (string | null)[], object][] = [
    ['no list', leak(LEAKED), [LEAKED], {}],
    ['a list in an object', { tokens: [leak(LEAKED)] }, [LEAKED], {}],
    ['a text', [LEAKED], [LEAKED], {}],
    ['null', null, [], { not_an_object: 1 }],
    ['nothing', [], [], {}],
    ['null for an item', [null, leak(LEAKED)], [LEAKED], { not_an_object: 1 }],
    ['no token', [leak(LEAKED), { type: 'a' }], [LEAKED], { no_secret: 1 }],
    ['an empty token', [leak(''), leak(LEAKED)], [LEAKED], { no_secret: 1 }],
    ['a token of another kind', [leak({ text: LEAKED }), leak(LEAKED)], [LEAKED], { unusable_secret: 1 }],
    ['no type', [{ token: LEAKED }], [LEAKED], {}],
    ['a type of null', [leak(LEAKED, null)], [LEAKED], {}],
    ['a type and a place of other kinds', [leak(LEAKED, 1, { url: [LEAKED] })], [LEAKED], {}],
    ['a thousand', Array.from({ length: WEBHOOK_TOKENS_MAX_COUNT }, () => leak('x')), Array(1_000).fill('x'), {}],
    [
      'more than that',
      Array.from({ length: WEBHOOK_TOKENS_MAX_COUNT + 3 }, () => leak('x')),
      Array(1_000).fill('x'),
      { beyond_limit: 3 },
    ],
  ];
  it.each(readings)('that lists %s is read item by item', async (_name, body, texts, rejected) => {
    const order = await read(JSON.stringify(body));
    expect('leaks' in order && order.leaks.map(({ text }) => text)).toEqual(texts);
    expect(order).toMatchObject({ event: 'token.leaked', rejected });
  });

  it.each(['', '[', 'no JSON', `${BODY}]`])('that is no JSON is refused: %j', async (body) => {
    expect(await read(body)).toEqual({ kind: 'invalid_json' });
  });

  it('may begin with a byte order mark, and nest however deep', async () => {
    expect(await read(`\uFEFF${BODY}`)).toMatchObject({ leaks: [{ text: LEAKED }] });
    const nested = `[{"token": "${LEAKED}", "context": ${'['.repeat(2_000)}${']'.repeat(2_000)}}]`;
    expect(await read(nested)).toMatchObject({ leaks: [{ text: LEAKED }] });
  });

  it('may hold a place that is not UTF-8', async () => {
    const [before = '', after = ''] = JSON.stringify([leak(LEAKED, 'a', { url: 'caf#.env' })]).split('#');
    const body = new Uint8Array([...toBytes(before), 0xe9, ...toBytes(after)]);
    const result = await source.deliver(current, '', { arriving: body, signature: current.sign(body) });
    expect(result.ok && result.value.read()).toMatchObject({
      ok: true,
      value: { leaks: [{ text: LEAKED, location: 'caf\uFFFD.env' }] },
    });
  });
});

describe('what GitHub is told', () => {
  const told = async (leaks: readonly object[], matched: readonly number[]) => {
    const message = await messageWith(JSON.stringify(leaks));
    const order = message.read();
    return order.ok ? await message.feedback(order.value, new Set(matched)) : order.error;
  };

  it('is the hash and the type of each secret that is ours, once', async () => {
    const leaks = [leak(LEAKED, 'a'), leak(OTHER, 'a'), leak(LEAKED, 'b'), leak(LEAKED, 'a', { url: 'elsewhere' })];
    expect(await told(leaks, [0, 2, 3])).toEqual([
      { token_hash: await sha256Hex(LEAKED), token_type: 'a', label: 'true_positive' },
      { token_hash: await sha256Hex(LEAKED), token_type: 'b', label: 'true_positive' },
    ]);
  });

  it('is the SHA-256 in hex', async () => {
    expect(await told([leak('abc')], [0])).toMatchObject([
      { token_hash: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' },
    ]);
  });

  it('is about the item that was listed there, whatever stands before it', async () => {
    expect(await told([{}, 7, leak(LEAKED)] as object[], [2])).toMatchObject([{ token_hash: await sha256Hex(LEAKED) }]);
  });

  it('is the hash of the text that GitHub sent, and no type where it named none', async () => {
    const line = `TOKEN="${LEAKED}"`;
    expect(await told([{ token: line }], [0])).toEqual([
      { token_hash: await sha256Hex(line), token_type: null, label: 'true_positive' },
    ]);
  });

  it('is nothing about the others', async () => {
    expect(await told([leak(LEAKED), leak(OTHER)], [])).toEqual([]);
  });
});

describe('the configuration of a sender', () => {
  const common = { kind: 'github', events: ['token.leaked'], workspaces: ['*'] };
  const pathsOf = (given: object) =>
    webhooksSchema
      .safeParse({ scanner: { ...common, ...given } })
      .error?.issues.map(({ path }) => path.slice(1).join('.')) ?? [];
  const key = (pem: string) => ({ keys: [{ key_identifier: 'k', key: pem }] });
  const pem = current.inline.key;

  it.each<[string, object, readonly string[]]>([
    ['a URL', { keysUrl: KEYS_URL }, []],
    ['a URL and a token', { keysUrl: KEYS_URL, keysToken: 'GITHUB_TOKEN' }, []],
    ['keys', key(pem), []],
    ['neither', {}, ['keysUrl']],
    ['both', { keysUrl: KEYS_URL, ...key(pem) }, ['keysUrl']],
    ['keys and a token', { ...key(pem), keysToken: 'GITHUB_TOKEN' }, ['keysToken']],
    ['a URL that is not https', { keysUrl: 'http://github.test/keys' }, ['keysUrl']],
    ['no key', { keys: [] }, ['keys']],
    ['a key of another curve', key(ecPems('P-384').publicKey), ['keys.0.key']],
    ['an RSA key', key(rsaPems().publicKey), ['keys.0.key']],
    ['a private key', key(ecPems().privateKey), ['keys.0.key']],
    ['half a key', key(pem.slice(0, 80)), ['keys.0.key']],
    ['garbage', key('garbage'), ['keys.0.key']],
  ])('with %s', (_name, given, paths) => {
    expect(pathsOf(given)).toEqual(paths);
  });

  it('names its token among its secrets', () => {
    expect(secretsOf({ ...common, keysToken: 'A' } as never)).toEqual(['A']);
    expect(secretsOf(common as never)).toEqual([]);
    const problems = ['ghp_1', '', 'a\nb'].map((value) => secretProblem(common as never, value));
    expect(problems).toEqual([null, expect.any(String), expect.any(String)]);
  });
});

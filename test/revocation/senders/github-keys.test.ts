import { describe, expect, it } from 'vitest';
import {
  JWKS_COOLDOWN_MS,
  JWKS_MAX_AGE_MS,
  JWKS_MAX_BYTES,
  JWKS_STALE_MAX_MS,
  JWKS_TIMEOUT_MS,
} from '../../../src/config/limits.ts';
import { noteSecret, noteText } from '../../support/secrets.ts';
import { createKey, createSource, ecPems, KEYS_URL, type Key, rsaPems, STORED_UNDER } from './github-sender.ts';

const first = createKey('first');
const second = createKey('second');
const BODY = '[{"token": "x", "type": "y"}]';
const documentOf = (...keys: Key[]) => ({ public_keys: keys.map((key) => key.published) });

const setUp = (...args: Partial<Parameters<typeof createSource>>) => {
  const source = createSource(args[0] ?? [first], args[1]);
  return {
    ...source,
    outcome: async (key: Key = first) => await source.outcomeOf(key, BODY),
    reads: () => source.harness.requests.length,
  };
};

describe('asking for keys', () => {
  const asked = (headers: object) => [
    { url: KEYS_URL, init: { headers, redirect: 'manual', signal: expect.any(AbortSignal) } },
  ];
  const plain = { Accept: 'application/json', 'User-Agent': 'countersign' };

  it('names us as user agent, follows no redirect and can be aborted', async () => {
    const { harness, outcome } = setUp();
    expect(await outcome()).toBe('accepted');
    expect(harness.requests).toEqual(asked(plain));
  });

  it('shows the token that is configured', async () => {
    const token = 'ghp_0123456789abcdef';
    noteSecret(token);
    const { harness, outcome } = setUp([first], { token });
    expect(await outcome()).toBe('accepted');
    expect(harness.requests).toEqual(asked({ ...plain, Authorization: `Bearer ${token}` }));
    await harness.settle();
    noteText('stored keys', JSON.stringify([...harness.stored]));
    noteText('log', JSON.stringify(harness.logged));
  });

  it.each<[string, () => Response | Promise<Response>, string]>([
    ['a redirect', () => new Response(null, { status: 302, headers: { Location: 'https://evil.test' } }), 'redirected'],
    ['403', () => Response.json(documentOf(first), { status: 403 }), 'status'],
    ['a page', () => new Response('<html>'), 'not_json'],
    ['too much', () => new Response(JSON.stringify(documentOf(first)) + ' '.repeat(JWKS_MAX_BYTES)), 'too_large'],
    ['a list', () => Response.json([first.published]), 'no_usable_key'],
    ['no list', () => Response.json({ public_keys: first.published }), 'no_usable_key'],
    ['no key', () => Response.json({ public_keys: [] }), 'no_usable_key'],
    ['null', () => Response.json({ public_keys: [null, 'x', {}, { key_identifier: 1, key: 2 }] }), 'no_usable_key'],
    ['a broken connection', () => Promise.reject(new TypeError('connection lost')), 'unreachable'],
  ])('fails as ours when the answer is %s', async (_name, answer, reason) => {
    const { harness, outcome } = setUp();
    harness.answers.set(KEYS_URL, answer);
    expect(await outcome()).toBe('keys_unavailable for 60 s');
    expect(harness.logged).toEqual([{ level: 'warn', event: 'jwks_read_failed', keysHost: 'github.test', reason }]);
  });

  it('ends at a deadline', async () => {
    const { harness, outcome } = setUp();
    harness.answers.set(KEYS_URL, () => {
      harness.expire(JWKS_TIMEOUT_MS);
      return new Promise<Response>(() => {});
    });
    expect(await outcome()).toBe('keys_unavailable for 60 s');
    expect(harness.logged).toMatchObject([{ reason: 'timeout' }]);
  });
});

describe('of the published keys', () => {
  it.each<[string, Key]>([
    ['one of another curve', createKey('other', ecPems('P-384'))],
    ['an RSA key', createKey('other', rsaPems())],
  ])('%s does not count', async (_name, other) => {
    const { outcome } = setUp([other, first]);
    expect([await outcome(other), await outcome()]).toEqual(['key_unknown', 'accepted']);
  });

  it('text that is no key does not count', async () => {
    const { outcome, publish } = setUp();
    const broken = { ...second.published, key: second.published.key.replace(/.{20}\n-----END/, '\n-----END') };
    publish({ public_keys: [broken, { ...second.published, key: 'garbage' }, first.published] });
    expect([await outcome(second), await outcome()]).toEqual(['key_unknown', 'accepted']);
  });

  it('one that is no longer current counts', async () => {
    const { outcome, publish } = setUp();
    publish({ public_keys: [{ ...first.published, is_current: false }, second.published] });
    expect([await outcome(first), await outcome(second)]).toEqual(['accepted', 'accepted']);
  });

  it('two of one id both count', async () => {
    const twin = createKey('first');
    const { outcome } = setUp([first, twin]);
    expect([await outcome(first), await outcome(twin)]).toEqual(['accepted', 'accepted']);
  });
});

describe('keys that were read', () => {
  it('serve for JWKS_MAX_AGE_MS; one that was withdrawn is refused then', async () => {
    const { harness, outcome, publish, reads } = setUp();
    await outcome();
    publish(documentOf(second));
    harness.advance(JWKS_MAX_AGE_MS - 1);
    expect([await outcome(), reads()]).toEqual(['accepted', 1]);
    harness.advance(1);
    expect([await outcome(), reads()]).toEqual(['key_unknown', 2]);
  });

  it('may not be read again for one that was rotated in meanwhile; from a minute after the last read on it counts', async () => {
    const { harness, outcome, publish, reads } = setUp();
    await outcome();
    publish(documentOf(first, second));
    const answers: [number, string, number][] = [
      [0, 'keys_unavailable for 60 s', 1],
      [58_500, 'keys_unavailable for 2 s', 1],
      [1_499, 'keys_unavailable for 1 s', 1],
      [1, 'accepted', 2],
    ];
    for (const [laterMs, answer, readsSoFar] of answers) {
      harness.advance(laterMs);
      expect([await outcome(second), reads()]).toEqual([answer, readsSoFar]);
    }
  });

  it('are read again for an id that is not among them, once', async () => {
    const { harness, outcome, publish, reads } = setUp();
    await outcome();
    harness.advance(JWKS_COOLDOWN_MS);
    publish(documentOf(first, second));
    expect([await outcome(second), await outcome(second), await outcome(), reads()]).toEqual([
      'accepted',
      'accepted',
      'accepted',
      2,
    ]);
  });

  it('are read again at most once a minute, failed reads included', async () => {
    const { harness, outcome, goDown, reads } = setUp();
    const leftOf = (seconds: number) => `keys_unavailable for ${60 - (seconds % 60)} s`;
    for (let seconds = 0; seconds < 120; seconds += 5) {
      // Only the delivery for which they were read knows that its key is not there.
      expect(await outcome(second)).toBe(seconds % 60 === 0 ? 'key_unknown' : leftOf(seconds));
      harness.advance(5_000);
    }
    expect(reads()).toBe(2);
    goDown();
    for (let seconds = 0; seconds < 120; seconds += 5) {
      expect(await outcome(second)).toBe(leftOf(seconds));
      expect(await outcome()).toBe('accepted');
      harness.advance(5_000);
    }
    expect(reads()).toBe(4);
  });

  it('are not read again for a wrong signature', async () => {
    const { harness, outcome, reads } = setUp();
    await outcome();
    harness.advance(JWKS_COOLDOWN_MS);
    expect([await outcome(createKey('first')), reads()]).toEqual(['signature_invalid', 1]);
  });

  it('are used for a day while GitHub does not answer, in another isolate too', async () => {
    const one = setUp([first, second]);
    await one.outcome();
    await one.harness.settle();
    expect([...one.harness.stored.keys()]).toEqual([STORED_UNDER]);

    const other = setUp([], { like: one.harness });
    other.goDown();
    expect([await other.outcome(), await other.outcome(second)]).toEqual(['accepted', 'accepted']);
    other.harness.advance(JWKS_STALE_MAX_MS - 1);
    expect(await other.outcome()).toBe('accepted');
    other.harness.advance(1);
    expect(await other.outcome()).toBe('keys_unavailable for 60 s');
  });
});

describe('keys in the configuration', () => {
  it('are used without reading any over the network', async () => {
    const { harness, outcome, reads } = setUp([], { inline: [first] });
    expect([await outcome(), await outcome(second)]).toEqual(['accepted', 'key_unknown']);
    expect([reads(), harness.storeCalls]).toEqual([0, []]);
  });
});

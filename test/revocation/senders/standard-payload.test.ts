import { describe, expect, it } from 'vitest';
import { JWT_MAX_BYTES, WEBHOOK_PROBLEMS_MAX_COUNT, WEBHOOK_TOKENS_MAX_COUNT } from '../../../src/config/limits.ts';
import { noteSecret, noteText } from '../../support/secrets.ts';
import { createSecret, createSource } from './standard-sender.ts';

const source = createSource([createSecret()]);

async function readRaw(body: string) {
  const result = await source.deliver({ body });
  if (!result.ok) throw new Error(result.error.kind);
  const read = result.value.read();
  if (!read.ok) noteText('failure of a webhook', JSON.stringify(read.error));
  return read.ok ? read.value : read.error;
}
const read = async (type: string, data: unknown, more: object = {}) =>
  await readRaw(JSON.stringify({ type, data, ...more }));
/** The fields that the answer complains about. */
const complaints = async (type: string, data: unknown, more: object = {}): Promise<unknown> => {
  const failure = await read(type, data, more);
  return 'kind' in failure && failure.kind === 'invalid_request' ? Object.keys(failure.errors) : failure;
};

const SECRET = 'sat_leakedleakedleakedleaked01';
noteSecret(SECRET);
const SHA256 = '0123456789abcdef'.repeat(4);
const WORKSPACE = '5877a4ae-0000-4000-8000-000000000000';
/** As long as a JWT that it came in. */
const LONG_LABEL = 'ä'.repeat(JWT_MAX_BYTES / 2);
const tokens = (count: number, entry: object = { token_id: 'tok-1' }) => Array.from({ length: count }, () => entry);

describe('what an event orders', () => {
  it.each<[string, unknown, unknown]>([
    [
      'token.revoke',
      { token_id: 'tok-1', reason: 'a laptop was stolen' },
      { tokens: [{ tokenId: 'tok-1', workspaceUuid: null }] },
    ],
    [
      'token.revoke',
      {
        tokens: [
          { token_id: 'a', workspace_uuid: WORKSPACE },
          { token_id: 'b', workspace_uuid: null },
        ],
      },
      {
        tokens: [
          { tokenId: 'a', workspaceUuid: WORKSPACE },
          { tokenId: 'b', workspaceUuid: null },
        ],
      },
    ],
    [
      'subject.offboarded',
      { issuer: 'https://idp.test', subject: '42' },
      { subject: { issuer: 'https://idp.test', subject: '42' }, mode: 'revoke', former: false },
    ],
    [
      'subject.offboarded',
      { issuer: 'https://idp.test', subject: '42', label: null, former: false },
      { subject: { issuer: 'https://idp.test', subject: '42' }, mode: 'revoke', former: false },
    ],
    [
      'subject.offboarded',
      { label: 'ann@acme.test', mode: 'suspend' },
      { subject: { label: 'ann@acme.test' }, mode: 'suspend', former: false },
    ],
    [
      'subject.offboarded',
      { label: 'ann@acme.test', mode: null, former: true, issuer: null },
      { subject: { label: 'ann@acme.test' }, mode: 'revoke', former: true },
    ],
    ['subject.offboarded', { label: LONG_LABEL }, { subject: { label: LONG_LABEL }, mode: 'revoke', former: false }],
    ['subject.reinstated', { label: 'ann@acme.test' }, { subject: { label: 'ann@acme.test' } }],
    ['subject.reinstated', { issuer: 'i', subject: 's' }, { subject: { issuer: 'i', subject: 's' } }],
  ])('%s %j', async (event, data, order) => {
    expect(await read(event, data, { timestamp: '2026-11-23T12:00:00.123456Z' })).toEqual({
      event,
      ...(order as object),
    });
  });

  it('is at most a thousand tokens to revoke', async () => {
    const event = 'token.revoke';
    expect(await read(event, { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT) })).toMatchObject({ event });
    expect(await read(event, { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT + 1) })).toEqual({
      kind: 'too_many_tokens',
      maxCount: WEBHOOK_TOKENS_MAX_COUNT,
    });
  });

  const strict: readonly [event: string, data: object][] = [
    ['token.revoke', { token_id: 'tok-1' }],
    ['token.revoke', { tokens: [{ token_id: 'tok-1', workspace_uuid: WORKSPACE }] }],
    ['subject.offboarded', { label: 'ann@acme.test' }],
    ['subject.offboarded', { issuer: 'i', subject: 's', mode: 'suspend' }],
    ['subject.reinstated', { label: 'ann@acme.test' }],
    ['subject.reinstated', { issuer: 'i', subject: 's' }],
  ];
  it.each(strict)('%s %j is the same whatever stands beside what it orders', async (event, data) => {
    const plain = await read(event, data);
    expect(plain).toMatchObject({ event });
    const besides: readonly [inData: object, beside: object][] = [
      [{}, { id: 'evt_1', api_version: 2, data_version: null }],
      [{}, { timestamp: '2026-11-23T12:00:00.123456' }],
      [{}, { timestamp: 1_700_000_000 }],
      [{}, { timestamp: { seconds: 1 } }],
      [{}, { [SECRET]: 1, 'a b': 1 }],
      [{ reason: 5 }, {}],
      [{ reason: ['a', { deep: [[[[[[[[[[1]]]]]]]]]] }] }, {}],
      [{ scope: 'x', [SECRET]: 1, timestamp: false }, {}],
    ];
    for (const [inData, beside] of besides) expect(await read(event, { ...data, ...inData }, beside)).toEqual(plain);
  });

  it('is what is known by its own name: a key that JavaScript gives a meaning says nothing', async () => {
    expect(await readRaw('{"type":"token.revoke","data":{"token_id":"a","__proto__":{"token_id":"b"}}}')).toEqual({
      event: 'token.revoke',
      tokens: [{ tokenId: 'a', workspaceUuid: null }],
    });
    expect(await readRaw('{"type":"token.revoke","data":{"__proto__":{"token_id":"b"}}}')).toMatchObject({
      kind: 'invalid_request',
    });
  });
});

describe('a leak is read, whatever stands around it', () => {
  const found = (over: object = {}) => ({ position: 0, text: null, sha256: null, location: null, type: null, ...over });
  const report = (leaks: readonly object[], rejected: object = {}) => ({ event: 'token.leaked', leaks, rejected });

  it.each<[string, unknown, readonly object[]]>([
    ['by its text', { token: SECRET }, [found({ text: SECRET })]],
    ['with what surrounds it, as it came', { token: ` "${SECRET}"\n` }, [found({ text: ` "${SECRET}"\n` })]],
    [
      'by its hash, in whichever case',
      { sha256: SHA256.toUpperCase(), url: 'https://gist.test/1', type: 'pipeops' },
      [found({ sha256: SHA256, location: 'https://gist.test/1', type: 'pipeops' })],
    ],
    ['by both, though they disagree', { token: SECRET, sha256: SHA256 }, [found({ text: SECRET, sha256: SHA256 })]],
    ['by its text beside a hash of no use', { token: SECRET, sha256: 'unknown' }, [found({ text: SECRET })]],
    ['by its hash beside a text of no use', { token: { is: 'hidden' }, sha256: SHA256 }, [found({ sha256: SHA256 })]],
    ['with fields that nobody knows', { token: SECRET, severity: 9, [SECRET]: 1 }, [found({ text: SECRET })]],
    ['with a type of null', { token: SECRET, type: null }, [found({ text: SECRET })]],
    ['with a type and a place of other kinds', { token: SECRET, type: 3, url: ['x'] }, [found({ text: SECRET })]],
    [
      'with a place by its other name',
      { token: SECRET, location: 'a.env:3' },
      [found({ text: SECRET, location: 'a.env:3' })],
    ],
    [
      'with a long place and type',
      { token: SECRET, url: 'u'.repeat(5_000), type: 't'.repeat(500) },
      [found({ text: SECRET, location: 'u'.repeat(5_000), type: 't'.repeat(500) })],
    ],
    ['of any length', { token: 'x'.repeat(5_000) }, [found({ text: 'x'.repeat(5_000) })]],
    ['as a bare text', SECRET, [found({ text: SECRET })]],
    [
      'in a list',
      {
        tokens: [
          { token: 'not one of ours', url: null },
          { sha256: SHA256, token: null },
        ],
      },
      [found({ text: 'not one of ours' }), found({ position: 1, sha256: SHA256 })],
    ],
    ['in a list of texts', { tokens: [SECRET, 'x'] }, [found({ text: SECRET }), found({ position: 1, text: 'x' })]],
    ['in a list that is the data', [{ token: SECRET }], [found({ text: SECRET })]],
    ['in place of a list', { tokens: { token: SECRET } }, [found({ text: SECRET })]],
    ['beside a list that is null', { token: SECRET, tokens: null }, [found({ text: SECRET })]],
    [
      'beside a list',
      { token: SECRET, tokens: [{ sha256: SHA256 }] },
      [found({ text: SECRET }), found({ position: 1, sha256: SHA256 })],
    ],
  ])('%s', async (_name, data, leaks) => {
    expect(await read('token.leaked', data)).toEqual(report(leaks));
  });

  it.each(['2026-11-23T12:00:00.123456', 1_700_000_000, 1.5, null, [], { at: 'noon' }])(
    'with a time of its body that is %j',
    async (timestamp) => {
      expect(await read('token.leaked', { token: SECRET }, { timestamp, id: 'evt_1' })).toEqual(
        report([found({ text: SECRET })]),
      );
    },
  );

  it('beside its type, where there is no data', async () => {
    expect(await readRaw(JSON.stringify({ type: 'token.leaked', token: SECRET, data: null }))).toMatchObject({
      leaks: [{ text: SECRET }],
    });
  });

  it('beside what is nested however deep, and behind a byte order mark', async () => {
    const nested = JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`) as unknown;
    const body = JSON.stringify({ type: 'token.leaked', data: { token: SECRET, context: nested } });
    expect(await readRaw(`\uFEFF${body}`)).toEqual(report([found({ text: SECRET })]));
  });

  it.each<[string, unknown, object]>([
    ['nothing', undefined, { no_secret: 1 }],
    ['an object that says nothing', { url: 'x' }, { no_secret: 1 }],
    ['an empty text', { token: '' }, { no_secret: 1 }],
    ['a text of spaces and quotes', { token: ' "" ' }, { no_secret: 1 }],
    ['a number', { token: 5 }, { unusable_secret: 1 }],
    ['a list of texts', { token: [SECRET] }, { unusable_secret: 1 }],
    ['half a hash', { sha256: SHA256.slice(1) }, { unusable_secret: 1 }],
    ['a hash with a line break', { sha256: `${SHA256}\n` }, { unusable_secret: 1 }],
    ['a hash that is no text', { sha256: 1 }, { unusable_secret: 1 }],
    ['a number for an item', { tokens: [1] }, { not_an_object: 1 }],
    ['an empty list', { tokens: [] }, {}],
    ['an empty list that is the data', [], {}],
  ])('unless it is %s', async (_name, data, rejected) => {
    expect(await read('token.leaked', data)).toEqual(report([], rejected));
  });

  it('and stands alone: bad ones beside it are counted, each by its reason', async () => {
    const bad = [null, 7, true, [], {}, { token: null }, { token: 1 }, { sha256: 'x' }, { sha256: 'y' }];
    expect(await read('token.leaked', { tokens: [...bad, { token: SECRET }, ...bad] })).toEqual(
      report([found({ position: 9, text: SECRET })], { not_an_object: 8, no_secret: 4, unusable_secret: 6 }),
    );
  });

  it('and of more than a thousand the first thousand are read', async () => {
    const order = await read('token.leaked', {
      tokens: [5, ...tokens(WEBHOOK_TOKENS_MAX_COUNT + 1, { sha256: SHA256 })],
    });
    expect('leaks' in order && order.leaks.map(({ position }) => position)).toEqual(
      Array.from({ length: WEBHOOK_TOKENS_MAX_COUNT - 1 }, (_item, index) => index + 1),
    );
    expect(order).toMatchObject({ rejected: { not_an_object: 1, beyond_limit: 2 } });
  });
});

describe('a malformed event is refused by the path of each field', () => {
  it.each<readonly [type: string, data: unknown, paths: readonly string[]]>([
    ['token.revoke', undefined, ['data']],
    ['token.revoke', null, ['data']],
    ['token.revoke', [], ['data']],
    ['token.revoke', 'tok-1', ['data']],
    ['token.revoke', {}, ['data.token_id']],
    ['token.revoke', { token_id: 7 }, ['data.token_id']],
    ['token.revoke', { token_id: '' }, ['data.token_id']],
    ['token.revoke', { token_id: '../tokens' }, ['data.token_id']],
    ['token.revoke', { token_id: SECRET }, ['data.token_id']],
    ['token.revoke', { token_id: 'tok-1', workspace_uuid: 'a/b' }, ['data.workspace_uuid']],
    ['token.revoke', { token_id: 'tok-1', workspace_uuid: '' }, ['data.workspace_uuid']],
    ['token.revoke', { tokens: [{ token_id: 'a' }], workspace_uuid: WORKSPACE }, ['data.workspace_uuid']],
    ['token.revoke', { token_id: 'tok-1', tokens: [{ token_id: 'tok-1' }] }, ['data.token_id']],
    ['token.revoke', { tokens: [] }, ['data.tokens']],
    ['token.revoke', { tokens: {} }, ['data.tokens']],
    ['token.revoke', { tokens: null }, ['data.token_id']],
    ['token.revoke', { tokens: ['tok-1'] }, ['data.tokens[0]']],
    [
      'token.revoke',
      { tokens: [{ token_id: 'a' }, {}, { token_id: 'b', workspace_uuid: 1 }] },
      ['data.tokens[1].token_id', 'data.tokens[2].workspace_uuid'],
    ],
    ['subject.offboarded', {}, ['data.issuer', 'data.subject']],
    ['subject.offboarded', { issuer: 'i' }, ['data.subject']],
    ['subject.offboarded', { issuer: 'i', subject: '' }, ['data.subject']],
    ['subject.offboarded', { issuer: 'i', subject: 's', label: 'l' }, ['data.issuer', 'data.subject']],
    ['subject.offboarded', { label: '' }, ['data.label']],
    ['subject.offboarded', { label: null }, ['data.issuer', 'data.subject']],
    ['subject.offboarded', { label: `${LONG_LABEL}x` }, ['data.label']],
    ['subject.offboarded', { label: 7 }, ['data.label']],
    ['subject.offboarded', { label: 'l', former: 'true' }, ['data.former']],
    ['subject.offboarded', { label: 'l', former: 1 }, ['data.former']],
    ['subject.offboarded', { issuer: 'i', subject: 's', former: true }, ['data.former']],
    ['subject.offboarded', { label: SECRET }, ['data.label']],
    ['subject.offboarded', { label: '\ud800' }, ['data.label']],
    ['subject.offboarded', { label: 'l', mode: 'delete' }, ['data.mode']],
    ['subject.offboarded', { issuer: 'i'.repeat(129), subject: 's'.repeat(129) }, ['data.issuer', 'data.subject']],
    ['subject.reinstated', { label: 'l', subject: 's' }, ['data.subject']],
    ['subject.reinstated', { issuer: 'i', subject: SECRET }, ['data.subject']],
  ])('%s, case %#', async (type, data, paths) => {
    expect(await complaints(type, data)).toEqual(paths);
  });

  it('up to a maximum number of fields', async () => {
    const failure = await read('token.revoke', { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT, {}) });
    const errors = 'kind' in failure && failure.kind === 'invalid_request' ? failure.errors : {};
    expect(Object.keys(errors)).toHaveLength(WEBHOOK_PROBLEMS_MAX_COUNT);
    expect(errors['data.tokens[0].token_id']).toEqual(['Give this field.']);
  });
});

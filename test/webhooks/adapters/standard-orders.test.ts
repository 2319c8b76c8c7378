import { describe, expect, it } from 'vitest';
import { WEBHOOK_PROBLEMS_MAX_COUNT, WEBHOOK_TOKENS_MAX_COUNT } from '../../../src/config/limits.ts';
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
    ['token.leaked', { token: SECRET }, { leaks: [{ secret: SECRET, location: null, type: null }] }],
    [
      'token.leaked',
      { sha256: SHA256.toUpperCase(), url: 'https://gist.test/1', type: 'pipeops' },
      { leaks: [{ sha256: SHA256, location: 'https://gist.test/1', type: 'pipeops' }] },
    ],
    [
      'token.leaked',
      {
        tokens: [
          { token: 'not one of ours', url: null },
          { sha256: SHA256, token: null },
        ],
      },
      {
        leaks: [
          { secret: 'not one of ours', location: null, type: null },
          { sha256: SHA256, location: null, type: null },
        ],
      },
    ],
    [
      'subject.offboarded',
      { issuer: 'https://idp.test', subject: '42' },
      { subject: { issuer: 'https://idp.test', subject: '42' }, mode: 'revoke' },
    ],
    [
      'subject.offboarded',
      { label: 'ann@acme.test', mode: 'suspend' },
      { subject: { label: 'ann@acme.test' }, mode: 'suspend' },
    ],
    [
      'subject.offboarded',
      { label: 'ann@acme.test', mode: null },
      { subject: { label: 'ann@acme.test' }, mode: 'revoke' },
    ],
    ['subject.reinstated', { label: 'ann@acme.test' }, { subject: { label: 'ann@acme.test' } }],
    ['subject.reinstated', { issuer: 'i', subject: 's' }, { subject: { issuer: 'i', subject: 's' } }],
  ])('%s %j', async (event, data, order) => {
    expect(await read(event, data, { timestamp: '2026-11-23T12:00:00.123456Z' })).toEqual({
      event,
      ...(order as object),
    });
  });

  it('is at most a thousand tokens', async () => {
    for (const [event, entry] of [
      ['token.revoke', { token_id: 'tok-1' }],
      ['token.leaked', { sha256: SHA256 }],
    ] as const) {
      expect(await read(event, { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT, entry) })).toMatchObject({ event });
      expect(await read(event, { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT + 1, entry) })).toEqual({
        kind: 'too_many_tokens',
        maxCount: WEBHOOK_TOKENS_MAX_COUNT,
      });
    }
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
    ['token.revoke', { token_id: 'tok-1', scope: 'x' }, ['data.scope']],
    ['token.revoke', { token_id: 'tok-1', reason: 5 }, ['data.reason']],
    ['token.revoke', { tokens: [{ token_id: 'tok-1', reason: 'x' }] }, ['data.tokens[0].reason']],
    ['token.revoke', { token_id: 'tok-1', tokens: [{ token_id: 'tok-1' }] }, ['data.token_id']],
    ['token.revoke', { tokens: [] }, ['data.tokens']],
    ['token.revoke', { tokens: {} }, ['data.tokens']],
    ['token.revoke', { tokens: null }, ['data.tokens']],
    ['token.revoke', { tokens: ['tok-1'] }, ['data.tokens[0]']],
    [
      'token.revoke',
      { tokens: [{ token_id: 'a' }, {}, { token_id: 'b', x: 1 }] },
      ['data.tokens[1].token_id', 'data.tokens[2].x'],
    ],
    ['token.leaked', {}, ['data']],
    ['token.leaked', { token: SECRET, sha256: SHA256 }, ['data']],
    ['token.leaked', { token: '' }, ['data.token']],
    ['token.leaked', { token: 'x'.repeat(513) }, ['data.token']],
    ['token.leaked', { token: [SECRET] }, ['data.token']],
    ['token.leaked', { sha256: SHA256.slice(1) }, ['data.sha256']],
    ['token.leaked', { sha256: `${SHA256}\n` }, ['data.sha256']],
    ['token.leaked', { sha256: SHA256, url: 'x'.repeat(2049) }, ['data.url']],
    ['token.leaked', { sha256: SHA256, url: 1, type: 2 }, ['data.url', 'data.type']],
    ['token.leaked', { sha256: SHA256, [SECRET]: 1 }, ['data']],
    ['token.leaked', { sha256: SHA256, 'a b': 1 }, ['data']],
    ['token.leaked', { tokens: [{ sha256: SHA256 }, { url: 'x' }] }, ['data.tokens[1]']],
    [
      'token.leaked',
      { tokens: [{ sha256: SHA256 }, { sha256: SHA256 }, { sha256: SHA256 }, { sha256: 'x' }] },
      ['data.tokens[3].sha256'],
    ],
    ['subject.offboarded', {}, ['data.issuer', 'data.subject']],
    ['subject.offboarded', { issuer: 'i' }, ['data.subject']],
    ['subject.offboarded', { issuer: 'i', subject: '' }, ['data.subject']],
    ['subject.offboarded', { issuer: 'i', subject: 's', label: 'l' }, ['data.issuer', 'data.subject']],
    ['subject.offboarded', { label: '' }, ['data.label']],
    ['subject.offboarded', { label: null, issuer: 'i', subject: 's' }, ['data.label', 'data.issuer', 'data.subject']],
    ['subject.offboarded', { label: 'ä'.repeat(49) }, ['data.label']],
    ['subject.offboarded', { label: SECRET }, ['data.label']],
    ['subject.offboarded', { label: '\ud800' }, ['data.label']],
    ['subject.offboarded', { label: 'l', mode: 'delete' }, ['data.mode']],
    ['subject.offboarded', { issuer: 'i'.repeat(129), subject: 's'.repeat(129) }, ['data.issuer', 'data.subject']],
    ['subject.reinstated', { label: 'l', mode: 'revoke' }, ['data.mode']],
    ['subject.reinstated', { issuer: 'i', subject: SECRET }, ['data.subject']],
  ])('%s, case %#', async (type, data, paths) => {
    expect(await complaints(type, data)).toEqual(paths);
  });

  it.each<[string, object, readonly string[]]>([
    ['an unknown one beside it', { id: 'evt_1', data: { token_id: 'tok-1' } }, ['id']],
    ['one that is no name', { 'a b': 1 }, ['body']],
    ['one that is a secret', { [SECRET]: 1 }, ['body']],
    ['a time that is none', { timestamp: 'yesterday' }, ['timestamp']],
    ['a time that is a number', { timestamp: 1_700_000_000 }, ['timestamp']],
  ])('with %s', async (_name, more, paths) => {
    expect(await complaints('token.revoke', { token_id: 'tok-1' }, more)).toEqual(paths);
  });

  it('with a key that JavaScript gives a meaning', async () => {
    const failure = await readRaw('{"type":"token.revoke","data":{"token_id":"a","__proto__":{"token_id":"b"}}}');
    expect(failure).toMatchObject({ kind: 'invalid_request' });
  });

  it('up to a number of them', async () => {
    const failure = await read('token.revoke', { tokens: tokens(WEBHOOK_TOKENS_MAX_COUNT, {}) });
    const errors = 'kind' in failure && failure.kind === 'invalid_request' ? failure.errors : {};
    expect(Object.keys(errors)).toHaveLength(WEBHOOK_PROBLEMS_MAX_COUNT);
    expect(errors['data.tokens[0].token_id']).toEqual(['Give this field.']);
  });

  it('and by what is known, where a name is not', async () => {
    expect(await read('token.revoke', { token_id: 'a', id: 'b' })).toEqual({
      kind: 'invalid_request',
      errors: { 'data.id': ['Unknown field. Known here: token_id, workspace_uuid, reason.'] },
    });
  });
});

import { beforeAll, describe, it } from 'vitest';
import { SCOPES_MAX_COUNT, TOKEN_DESCRIPTION_MAX_BYTES, TOKEN_NAME_MAX_BYTES } from '../../src/config/limits.ts';
import type { ErrorCode } from '../../src/vocabulary.ts';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { badRequest, expectRefused } from './expectations.ts';

// Fields that are known and whose values are hostile, and fields and parameters that are not known.

let harness: Harness;
let id: string;
let jwt: string;
beforeAll(async () => {
  harness = await createHarness();
  id = (await harness.mint()).id;
  jwt = await harness.jwtFor('admin', { sub: 'in-a-field' });
});

const SECRET = `sat_${'Zq7'.repeat(10)}`;
const GOOD = { name: 'deploy', scopes: ['api:read'] };
const create =
  (body: unknown, query = '') =>
  async (): Promise<Answer> =>
    await harness.send('POST', `${TOKENS}${query}`, { body });
const update =
  (body: unknown, query = '') =>
  async (): Promise<Answer> =>
    await harness.send('PATCH', `${TOKENS}/${id}${query}`, { body });
const expectBad = async (send: () => Promise<Answer>, code: ErrorCode, ...fields: string[]): Promise<Answer> =>
  await expectRefused(harness, send, badRequest(code, fields));

type BadText = [name: string, text: () => unknown];
const BAD_TEXTS: readonly BadText[] = [
  ['a NUL', () => 'a\0b'],
  ['an escape sequence', () => 'a\u001B[2Jb'],
  ['a C1 control', () => 'a\u0085b'],
  ['a delete', () => 'a\u007Fb'],
  ['a line separator', () => 'a\u2028b'],
  ['a right-to-left override', () => 'a\u202Eb'],
  ['an isolate', () => 'a\u2066b'],
  ['a zero-width space', () => 'a\u200Bb'],
  ['a filler', () => 'a\u3164'],
  ['text in tags', () => 'a\u{E0061}\u{E0064}\u{E006D}\u{E0069}\u{E006E}'],
  ['a lone high surrogate', () => 'a\uD800b'],
  ['a lone low surrogate', () => 'a\uDC00'],
  ['surrogates in the wrong order', () => '\uDC00\uD800'],
  ['a token secret', () => SECRET],
  ['a token secret within text', () => `token=${SECRET}.`],
  ['a JWT', () => jwt],
  ['a JWT within text', () => `Bearer ${jwt}`],
  ['a JWT with something in it that nobody sees', () => jwt.replace('.', '\u200C.')],
  ['a JWT that is written with spaces', () => `${btoa('{ "alg": "ES256" }')}.${jwt.split('.', 2)[1]}.c2lnbmF0dXJl`],
  ['a marker of ours', () => 'deploy-csgn-abcdefghijklmnop'],
  ['a number', () => 1],
  ['a list', () => ['deploy']],
  ['an object', () => ({ toString: 'deploy' })],
  ['true', () => true],
];

describe('a name', () => {
  it.each<BadText>([
    ...BAD_TEXTS,
    ['empty', () => ''],
    ['only spaces', () => '   '],
    ['a space at its end', () => 'deploy '],
    ['a line break', () => 'a\nb'],
    ['a tab', () => 'a\tb'],
    ['too long', () => 'x'.repeat(TOKEN_NAME_MAX_BYTES + 1)],
    ['too long in bytes', () => 'é'.repeat(TOKEN_NAME_MAX_BYTES / 2 + 1)],
  ])('%s is refused', async (_name, text) => {
    await expectBad(create({ ...GOOD, name: text() }), 'validation_failed', 'name');
    await expectBad(update({ name: text() }), 'validation_failed', 'name');
  });

  it.each([
    ['missing', { scopes: ['api:read'] }],
    ['null', { ...GOOD, name: null }],
  ])('%s is refused', async (_name, body) => {
    await expectBad(create(body), 'validation_failed', 'name');
  });
});

describe('a description', () => {
  it.each<BadText>([
    ...BAD_TEXTS,
    ['too long', () => 'x'.repeat(TOKEN_DESCRIPTION_MAX_BYTES + 1)],
    ['too long in bytes', () => '🔑'.repeat(TOKEN_DESCRIPTION_MAX_BYTES / 4 + 1)],
  ])('%s is refused', async (_name, text) => {
    await expectBad(create({ ...GOOD, description: text() }), 'validation_failed', 'description');
    await expectBad(
      create({ ...GOOD, metadata: { description: text() } }),
      'validation_failed',
      'metadata.description',
    );
    await expectBad(update({ description: text() }), 'validation_failed', 'description');
  });

  it('given twice differently is refused', async () => {
    const body = { ...GOOD, description: 'a', metadata: { description: 'b' } };
    await expectBad(create(body), 'validation_failed', 'description', 'metadata.description');
  });
});

describe('scopes', () => {
  it.each<[string, () => unknown]>([
    ['none', () => []],
    ['text', () => 'api:read'],
    ['an object', () => ({ 0: 'api:read', length: 1 })],
    ['a number', () => [1]],
    ['a list in the list', () => [['api:read']]],
    ['null in the list', () => ['api:read', null]],
    ['the empty text', () => ['']],
    ['a wildcard', () => ['*']],
    ['two in one', () => ['api:read api:write']],
    ['upper case', () => ['API:READ']],
    ['a control character', () => ['api:read\0']],
    ['a lone surrogate', () => ['api:\uD800']],
    ['a traversal', () => ['../api:read']],
    ['a token secret', () => [SECRET]],
    ['a JWT', () => [jwt]],
    ['one that is too long', () => [`api:${'x'.repeat(40)}`]],
    ['too many', () => Array.from({ length: SCOPES_MAX_COUNT + 1 }, (_, index) => `api:s${index}`)],
    ['thousands', () => Array.from({ length: 3_000 }, () => '')],
  ])('%s are refused', async (_name, scopes) => {
    await expectBad(create({ name: 'deploy', scopes: scopes() }), 'validation_failed', 'scopes');
    await expectBad(update({ scopes: scopes() }), 'validation_failed', 'scopes');
    await expectBad(update({ permissions: scopes() }), 'validation_failed', 'permissions');
  });

  it.each([
    ['more', ['api:read', 'api:write']],
    ['fewer', []],
    ['others', ['api:write']],
  ])('that differ from permissions are refused: %s', async (_name, permissions) => {
    const body = { scopes: ['api:read'], permissions };
    const fields = permissions.length === 0 ? ['permissions'] : ['scopes', 'permissions'];
    await expectBad(update(body), 'validation_failed', ...fields);
    await expectBad(create({ name: 'deploy', ...body }), 'validation_failed', 'scopes', 'permissions');
  });

  it.each<[string, () => unknown]>([
    ['a list', () => ['mcp']],
    ['a wildcard', () => '*'],
    ['a property of every object', () => '__proto__!'],
    ['a token secret', () => SECRET],
    ['a JWT', () => jwt],
  ])('a preset that is %s is refused', async (_name, preset) => {
    await expectBad(create({ name: 'deploy', preset: preset() }), 'validation_failed', 'preset');
  });
});

describe('an expiry', () => {
  const inYears = (years: number): string => new Date(Date.now() + years * 366 * 86_400_000).toISOString();

  it.each<[string, unknown]>([
    ['in the past', '2020-01-01T00:00:00Z'],
    ['too far ahead', inYears(11)],
    ['beyond any date', '+275761-01-01T00:00:00Z'],
    ['no date', 'tomorrow'],
    ['a day that is not', '2031-02-30T00:00:00Z'],
    ['a day without a time', '2031-02-03'],
    ['without a zone', '2031-02-03T00:00:00'],
    ['a number', 1_900_000_000],
    ['a list', [inYears(1)]],
    ['a token secret', SECRET],
    ['with a NUL', '2031-01-01T00:00:00Z\0'],
  ])('at a time that is %s is refused', async (_name, at) => {
    await expectBad(create({ ...GOOD, expires_at: at }), 'validation_failed', 'expires_at');
  });

  it.each<[string, string]>([
    ['0', '0'],
    ['below zero', '-1'],
    ['a fraction', '0.5'],
    ['a number with an exponent, too large', '1e308'],
    ['infinite', '1e999'],
    ['below zero and infinite', '-1e999'],
    ['a number that a double rounds', '9007199254740993'],
    ['of hundreds of digits', '9'.repeat(400)],
    ['far too many days', '999999999'],
    ['text: zero', '"0d"'],
    ['text: below zero', '"-1d"'],
    ['text: far too many weeks', '"999999999w"'],
    ['text: of hundreds of digits', `"${'9'.repeat(400)}d"`],
    ['text: a fraction', '"1.5d"'],
    ['text: an exponent', '"1e3d"'],
    ['text: a unit that is not', '"1y"'],
    ['text: no unit', '"30"'],
    ['text: two', '"1d1h"'],
    ['text: digits of another script', '"٣d"'],
    ['text: NaN', '"NaN"'],
    ['a list', '[30]'],
    ['an object', '{"valueOf":30}'],
    ['true', 'true'],
  ])('within %s is refused', async (_name, json) => {
    const rawBody = `{"name":"deploy","scopes":["api:read"],"expires_in":${json}}`;
    await expectBad(async () => await harness.send('POST', TOKENS, { rawBody }), 'validation_failed', 'expires_in');
  });

  it('in two forms is refused, even if they agree', async () => {
    const body = { ...GOOD, expires_at: inYears(1), expires_in: '366d' };
    await expectBad(create(body), 'validation_failed', 'expires_at', 'expires_in');
  });
});

describe('what is not known', () => {
  it.each(['workspace_id', 'owner', 'is_revoked', 'token', 'id', 'uuid', 'Name', 'idempotency_key', 'is_admin'])(
    'the field %s is refused',
    async (field) => {
      await expectBad(create({ ...GOOD, [field]: 'x' }), 'invalid_request', field);
      await expectBad(update({ name: 'x', [field]: 'x' }), 'invalid_request', field);
    },
  );

  it('the fields of a create are refused in an update', async () => {
    const body = { name: 'x', expires_at: '2031-01-01T00:00:00Z', expires_in: 1, preset: 'mcp', metadata: {} };
    await expectBad(update(body), 'invalid_request', 'expires_at', 'expires_in', 'preset', 'metadata');
  });

  it.each<[string, () => string]>([
    ['a token secret', () => SECRET],
    ['a JWT', () => jwt],
    ['a long text', () => 'x'.repeat(41)],
    ['a control character', () => 'a\0'],
    ['a lone surrogate', () => '\uD800'],
    ['markup', () => '<script>'],
    ['nothing', () => ''],
  ])('a field called %s is refused and not repeated', async (_name, field) => {
    await expectBad(create({ ...GOOD, [field()]: 1 }), 'invalid_request', 'body');
    await expectBad(update({ name: 'x', [field()]: 1 }), 'invalid_request', 'body');
  });

  it('a thousand fields make no answer of a thousand errors', async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 1]));
    const named = Array.from({ length: 16 }, (_, index) => `f${index}`);
    await expectBad(create({ ...GOOD, ...many }), 'invalid_request', 'body', ...named);
  });

  it.each(['workspace_id', 'limit', 'Workspace_uuid', 'debug', 'dry_run'])(
    'the parameter %s is refused on every token route',
    async (name) => {
      const query = `?${name}=1`;
      await expectBad(create(GOOD, query), 'invalid_request', name);
      await expectBad(update({ name: 'x' }, query), 'invalid_request', name);
      for (const [method, path] of [
        ['GET', TOKENS],
        ['GET', `${TOKENS}/${id}`],
        ['DELETE', `${TOKENS}/${id}`],
      ] as const) {
        await expectBad(async () => await harness.send(method, `${path}${query}`), 'invalid_request', name);
      }
    },
  );
});

describe('the workspace', () => {
  const other = 'c0000000-0000-4000-8000-000000000001';

  it('two different ones are refused', async () => {
    const twice = () => `?workspace_uuid=${harness.workspace}&workspace_uuid=${other}`;
    await expectBad(create(GOOD, twice()), 'invalid_request', 'workspace_uuid');
    await expectBad(update({ name: 'x' }, twice()), 'invalid_request', 'workspace_uuid');
    const here = `?workspace_uuid=${harness.workspace}`;
    await expectBad(create({ ...GOOD, workspace_uuid: other }, here), 'invalid_request', 'workspace_uuid');
    await expectBad(update({ name: 'x', workspace_uuid: other }, here), 'invalid_request', 'workspace_uuid');
    for (const [method, path] of [
      ['GET', TOKENS],
      ['GET', `${TOKENS}/${id}`],
      ['DELETE', `${TOKENS}/${id}`],
    ] as const) {
      await expectBad(async () => await harness.send(method, path + twice()), 'invalid_request', 'workspace_uuid');
    }
  });

  it.each<[string, unknown, ErrorCode]>([
    ['empty', '', 'invalid_request'],
    ['a traversal', '../x', 'invalid_request'],
    ['a token secret', SECRET, 'invalid_request'],
    ['a query', 'a&workspace_uuid=b', 'invalid_request'],
    ['a number', 1, 'validation_failed'],
    ['a list', ['a'], 'validation_failed'],
  ])('in the body, %s is refused', async (_name, workspace, code) => {
    await expectBad(create({ ...GOOD, workspace_uuid: workspace }), code, 'workspace_uuid');
    await expectBad(update({ name: 'x', workspace_uuid: workspace }), code, 'workspace_uuid');
  });

  it('none is refused where there is no default', async () => {
    const without = await createHarness({ env: { PIPEOPS_WORKSPACE_UUID: undefined } });
    const requests = [
      async () => await without.send('POST', TOKENS, { body: GOOD }),
      async () => await without.send('GET', TOKENS),
      async () => await without.send('GET', `${TOKENS}/${id}`),
      async () => await without.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'x' } }),
      async () => await without.send('DELETE', `${TOKENS}/${id}`),
    ];
    for (const send of requests) {
      await expectRefused(without, send, badRequest('invalid_request', ['workspace_uuid']));
    }
  });
});

describe('the parameters of the trail', () => {
  it.each([
    ['action', "x' OR '1'='1"],
    ['action', ''],
    ['status', 'attempted; DROP TABLE audit_events'],
    ['limit', '0'],
    ['limit', '-1'],
    ['limit', '1e3'],
    ['limit', '201'],
    ['limit', 'NaN'],
    ['limit', '٣'],
    ['cursor', '../../etc/passwd'],
    ['cursor', '%00'],
    ['cursor', "1' UNION SELECT sql FROM sqlite_master --"],
    ['order', 'seq; DROP TABLE audit_events'],
    ['include_self', 'false'],
  ])('%s=%s is refused', async (name, value) => {
    const path = `/api/v1/audit/events?${name}=${encodeURIComponent(value)}`;
    await expectBad(async () => await harness.send('GET', path), 'invalid_request', name);
  });
});

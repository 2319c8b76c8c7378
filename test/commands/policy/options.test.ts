import { describe, expect, it } from 'vitest';
import { UserError } from '../../../local/errors.ts';
import { readOptions, USAGE } from '../../../commands/policy/options.ts';

const W = '5877a4ae-0000-4000-8000-000000000001';
const asked = (...args: string[]) => {
  const options = readOptions(['explain', ...args], undefined);
  return options.mode === 'explain' ? options.asked : null;
};

describe('the arguments of npm run policy', () => {
  it.each([
    [
      ['create', '--workspace', W, '--scopes', 'a,b', '--scopes', 'c'],
      { operation: 'create', workspace: W, scopes: ['a', 'b', 'c'] },
    ],
    [
      ['create', '--workspace', W, '--preset', 'sdk', '--expires-in', '30d', '--held', '7'],
      { operation: 'create', workspace: W, preset: 'sdk', expiresIn: '30d', held: 7 },
    ],
    [['list', '--workspace', W], { operation: 'list', workspace: W }],
    [['get', '--workspace', W, '--owner', 'nobody'], { operation: 'get', workspace: W, owner: 'nobody' }],
    [['revoke', '--workspace', W], { operation: 'revoke', workspace: W }],
    [
      ['rotate', '--workspace', W, '--token-scopes', 'a,b', '--overlap', '0s', '--token-lifetime', '30d'],
      { operation: 'rotate', workspace: W, tokenScopes: ['a', 'b'], overlap: '0s', tokenLifetime: '30d' },
    ],
    [['update', '--workspace', W, '--suspend'], { operation: 'update', workspace: W, active: false }],
    [
      [
        'update',
        '--workspace',
        W,
        '--resume',
        '--token-scopes',
        'a',
        '--suspended-by',
        'owner,leak',
        '--token-expires-in',
        'never',
      ],
      {
        operation: 'update',
        workspace: W,
        active: true,
        tokenScopes: ['a'],
        suspendedBy: ['owner', 'leak'],
        tokenExpiresIn: 'never',
      },
    ],
    [['retry', '--workspace', W, '--workspace', 'other'], { operation: 'retry', workspaces: [W, 'other'] }],
    [['order', '--workspace', '*'], { operation: 'order', workspace: '*' }],
    [['audit'], { operation: 'audit' }],
  ])('%j ask for what they say', (args, request) => {
    expect(asked(...args)).toEqual(request);
  });

  it('name the workspace of the environment where they name none', () => {
    const options = readOptions(['explain', 'list'], W);
    expect(options).toMatchObject({ asked: { operation: 'list', workspace: W } });
    expect(readOptions(['explain', 'audit'], W)).toMatchObject({ asked: { operation: 'audit' } });
  });

  it('choose one policy, and say where the JWT comes from', () => {
    expect(
      readOptions(['explain', '--jwt-file', 'f', '--verify', '--header', 'cf-access', '--json', 'audit'], W),
    ).toMatchObject({
      source: { kind: 'file', file: null },
      presented: { jwtFile: 'f', claimsFile: null },
      header: 'Cf-Access-Jwt-Assertion',
      verify: true,
      json: true,
    });
    expect(readOptions(['version', '--policy', 'p.ts'], W)).toEqual({
      mode: 'version',
      source: { kind: 'file', file: 'p.ts' },
    });
    expect(readOptions(['test', '--local', '--cases', 'c.ts'], W)).toEqual({
      mode: 'test',
      source: { kind: 'local' },
      cases: 'c.ts',
    });
  });

  it('ask who may', () => {
    const args = ['who', '--can', 'tokens:create', '--scope', 'a,b', '--workspace', W, '--expires-in', 'never'];
    expect(readOptions(args, undefined)).toMatchObject({
      mode: 'who',
      question: { permission: 'tokens:create', scopes: ['a', 'b'], workspace: W, expiresIn: 'never', others: false },
    });
    // The environment's workspace is that of requests, and nobody asked about it.
    expect(readOptions(['who', '--can', 'tokens:read', '--others'], W)).toMatchObject({
      question: { workspace: null, others: true },
    });
  });

  it.each<[string, string[], RegExp]>([
    ['no command', [], /no command; there are: explain, who, test, version/],
    ['a strange command', ['ask'], /no command/],
    ['an option of another command', ['version', '--json'], /--json does not go with version/],
    ['a strange option', ['version', '--strange'], /--strange/],
    ['two policies', ['version', '--local', '--policy', 'p'], /name one/],
    ['a signature of claims', ['explain', '--verify', '--claims', 'b', 'audit'], /--claims have none/],
    ['two callers', ['explain', '--jwt-file', 'a', '--claims', 'b', 'audit'], /name one/],
    ['a word that is no operation', ['who', 'list', '--can', 'tokens:read'], /options alone/],
    [
      'no operation',
      ['explain'],
      /explain takes an operation; there are: create, list, get, update, revoke, rotate, order, retry, audit/,
    ],
    ['a strange operation', ['explain', 'mint', '--workspace', W], /"mint" is no operation/],
    ['two operations', ['explain', 'list', 'get', '--workspace', W], /one operation/],
    [
      'a create without a workspace',
      ['explain', 'create', '--scopes', 'a'],
      /create needs --workspace UUID \(or PIPEOPS_WORKSPACE_UUID\)/,
    ],
    ['a retry without a workspace', ['explain', 'retry'], /retry needs --workspace/],
    ['two workspaces for a list', ['explain', 'list', '--workspace', W, '--workspace', 'x'], /one workspace/],
    [
      'what does not go with an operation',
      ['explain', 'list', '--workspace', W, '--held', '1'],
      /--held does not go with list/,
    ],
    ['a workspace for the trail', ['explain', 'audit', '--workspace', W], /--workspace does not go with audit/],
    ['both suspend and resume', ['explain', 'update', '--workspace', W, '--suspend', '--resume'], /contradict/],
    [
      'a suspend of a revoke',
      ['explain', 'revoke', '--workspace', W, '--suspend'],
      /--suspend or --resume does not go with revoke/,
    ],
    [
      'an owner that is none',
      ['explain', 'get', '--workspace', W, '--owner', 'me'],
      /--owner is none of caller, other, nobody/,
    ],
    [
      'a reason that is none',
      ['explain', 'update', '--workspace', W, '--suspended-by', 'me'],
      /--suspended-by is none of owner/,
    ],
    ['a count that is none', ['explain', 'create', '--workspace', W, '--held', 'many'], /--held takes a whole number/],
    ['a header that is none', ['explain', '--header', 'Cookie', 'audit'], /authorization or cf-access/],
    ['no permission', ['who'], /--can, with one of tokens:create/],
    ['a strange permission', ['who', '--can', 'tokens:mint'], /--can, with one of/],
    ['scopes of a read', ['who', '--can', 'tokens:read', '--scope', 'a'], /--scope says nothing about tokens:read/],
    ['a lifetime of an update', ['who', '--can', 'tokens:update', '--expires-in', '1d'], /--expires-in says nothing/],
    ['a workspace of the trail', ['who', '--can', 'audit:read', '--workspace', W], /--workspace says nothing/],
    ['others for a create', ['who', '--can', 'tokens:create', '--others'], /--others says nothing/],
  ])('%s is refused, and what would be right is said', (_what, args, message) => {
    expect(() => readOptions(args, undefined)).toThrow(UserError);
    expect(() => readOptions(args, undefined)).toThrow(message);
  });

  it.each([[['--help']], [['explain', '--help']], [['who', '--can', 'x', '--help']]])('%j give help', (args) => {
    expect(readOptions(args, undefined)).toEqual({ mode: 'help' });
  });

  it('are all in the help', () => {
    for (const name of [
      'jwt-file',
      'claims',
      'header',
      'verify',
      'workspace',
      'scopes',
      'preset',
      'expires-in',
      'held',
      'owner',
    ]) {
      expect(USAGE).toContain(`--${name}`);
    }
    for (const name of [
      'suspend',
      'resume',
      'suspended-by',
      'token-scopes',
      'token-expires-in',
      'can',
      'scope',
      'others',
      'cases',
    ]) {
      expect(USAGE).toContain(`--${name}`);
    }
    for (const name of ['policy', 'local', 'json']) expect(USAGE).toContain(`--${name}`);
  });

  it.each([
    ['as an operation', ['explain', 'JWT']],
    ['as a command', ['JWT']],
    ['as an option', ['explain', '--JWT', 'audit']],
    ['as an owner', ['explain', 'get', '--workspace', W, '--owner', 'JWT']],
  ])('a JWT that stands there by mistake, %s, is not repeated', (_where, args) => {
    const jwt = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.${'c2ln'.repeat(20)}`;
    const refusal = (): string => {
      try {
        readOptions(
          args.map((arg) => arg.replace('JWT', jwt)),
          undefined,
        );
      } catch (error) {
        return String(error);
      }
      return 'nothing was refused';
    };
    expect(refusal()).toContain('UserError');
    expect(refusal()).not.toContain('c2ln');
  });
});

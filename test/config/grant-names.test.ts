import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parsePolicy } from '../../src/config/policy.ts';
import { createHarness, ISSUER, TOKENS } from '../support/harness.ts';
import { create, MARKER_SHAPED, update } from '../tokens/parsing.ts';
import { policyWith } from './policies.ts';

// A request can name every scope and preset that the operator's file accepts, and the file accepts every one that a request can name.

/** Where a scope may stand, and whether it is accepted there. */
const SCOPE_PLACES: Readonly<Record<string, (scope: unknown) => boolean>> = {
  'in a role': (scope) => parsePolicy(policyWith({ role: { scopes: [scope] } })).ok,
  'in a role beside another': (scope) => parsePolicy(policyWith({ role: { scopes: ['api:read', scope] } })).ok,
  'in a preset': (scope) => parsePolicy(policyWith({ presets: { mcp: [scope] } })).ok,
  'in a create': (scope) => create({ name: 'a', scopes: [scope] }).ok,
  'as a permission of a create': (scope) => create({ name: 'a', permissions: ['api:read', scope] }).ok,
  'in an update': (scope) => update({ scopes: [scope] }).ok,
  'as a permission of an update': (scope) => update({ permissions: [scope] }).ok,
};
/** Where the name of a preset may stand, and whether it is accepted there. */
const PRESET_PLACES: Readonly<Record<string, (preset: string) => boolean>> = {
  'in the file': (preset) => parsePolicy(policyWith({ presets: Object.fromEntries([[preset, ['api:read']]]) })).ok,
  'in a create': (preset) => create({ name: 'a', preset }).ok,
};
const everywhere = <T>(
  places: Readonly<Record<string, (name: T) => boolean>>,
  name: T,
): Readonly<Record<string, boolean>> =>
  Object.fromEntries(Object.entries(places).map(([place, accepts]) => [place, accepts(name)]));
const all = (places: object, accepted: boolean) =>
  Object.fromEntries(Object.keys(places).map((place) => [place, accepted]));

describe('a scope', () => {
  it.each([
    'api:read',
    'deployments:create',
    'a',
    'a1',
    'api:0',
    'projects.v2:read-all',
    'a_b-c.d:e_f-g.h',
    'a:b:c:d:e',
    'a-:-',
    's'.repeat(32),
  ])('%s is one everywhere', (scope) => {
    expect(everywhere(SCOPE_PLACES, scope)).toEqual(all(SCOPE_PLACES, true));
  });

  it.each<[string, unknown]>([
    ['empty', ''],
    ['a pattern', 'api:*'],
    ['a pattern of words', '*:read'],
    ['a pattern inside of a word', 'api:re*d'],
    ['two stars', '**'],
    ['in capitals', 'API:READ'],
    ['of one capital', 'api:Read'],
    ['without a first word', ':read'],
    ['without a last word', 'api:'],
    ['with an empty word', 'api::read'],
    ['with a digit first', '1api'],
    ['with a hyphen first', '-api'],
    ['with an underscore first', '_api'],
    ['a key of every object', '__proto__'],
    ['two in one', 'api:read api:write'],
    ['two with a comma', 'api:read,api:write'],
    ['with a slash', 'api/read'],
    ['with a plus', 'api+read'],
    ['quoted', '"api:read"'],
    ['with a line break', 'api:read\n'],
    ['with a tab', '\tapi:read'],
    ['with a NUL', 'api:read\0'],
    ['beyond ASCII', 'api:lésen'],
    ['with a letter of another script', 'api:re\u0430d'],
    ['with a digit of another script', 'api:\u0663'],
    ['with a zero-width space', 'api:\u200Bread'],
    ['with a letter that is small only to some', '\u212A:read'],
    ['with a lone surrogate', 'api:\uD800'],
    ['a character too long', 's'.repeat(33)],
    ['a secret', 'sat_abcdefghijkl'],
    ['like a marker', `api${MARKER_SHAPED}`],
    ['a number', 7],
    ['null', null],
    ['a list', ['api:read']],
  ])('that is %s is none anywhere', (_name, scope) => {
    expect(everywhere(SCOPE_PLACES, scope)).toEqual(all(SCOPE_PLACES, false));
  });

  test('is accepted everywhere or nowhere', () => {
    const near = fc.stringMatching(/^[a-zA-Z0-9_.:*\- ]{0,34}$/);
    const like = fc
      .array(fc.stringMatching(/^[a-z0-9_.-]{1,8}$/), { minLength: 1, maxLength: 4 })
      .map((words) => words.join(':'));
    fc.assert(
      fc.property(fc.oneof(like, near, fc.string()), (scope) => {
        // Alone in a role it means that there is no ceiling. It is the one accepted name that is no scope.
        fc.pre(scope !== '*');
        const accepted = new Set(Object.values(everywhere(SCOPE_PLACES, scope)));
        expect([...accepted]).toHaveLength(1);
      }),
      { numRuns: 500 },
    );
  });

  it('is never *, which alone in a role sets no ceiling; whoever names it is told so', () => {
    expect(everywhere(SCOPE_PLACES, '*')).toEqual({ ...all(SCOPE_PLACES, false), 'in a role': true });
    expect(create({ name: 'a', scopes: ['*'] })).toMatchObject({
      error: { errors: { scopes: [expect.stringMatching(/^Number 1: Name each scope: none is a pattern/)] } },
    });
  });

  it('counts once however often it is named', () => {
    const twice = ['api:write', 'api:read', 'api:write'];
    const once = ['api:write', 'api:read'];
    const policy = parsePolicy(policyWith({ role: { scopes: twice }, presets: { mcp: twice } }));
    expect(policy).toMatchObject({ value: { roles: [{ scopes: once }], presets: { mcp: once } } });
    expect(create({ name: 'a', scopes: twice })).toMatchObject({ value: { scopes: once } });
    expect(update({ scopes: twice })).toMatchObject({ value: { changes: { scopes: once } } });
  });

  it.each([
    [0, false],
    [1, true],
    [16, true],
    [17, false],
  ])('a list of %i: a preset stands for what a request may name, %s', (count, accepted) => {
    const scopes = Array.from({ length: count }, (_, index) => `api:s${index}`);
    expect(parsePolicy(policyWith({ presets: { mcp: scopes } })).ok).toBe(accepted);
    expect(create({ name: 'a', scopes }).ok).toBe(accepted);
    expect(update({ scopes }).ok).toBe(accepted);
  });
});

describe('a preset', () => {
  it.each(['mcp', 'sandbox', 'a', '0', '9to5', 'a.b_c-d', 'v1.2', 'constructor', 'p'.repeat(40)])(
    '%s is one everywhere',
    (preset) => {
      expect(everywhere(PRESET_PLACES, preset)).toEqual(all(PRESET_PLACES, true));
    },
  );

  it.each([
    ['empty', ''],
    ['in capitals', 'MCP'],
    ['of one capital', 'sandBox'],
    ['with a hyphen first', '-mcp'],
    ['with an underscore first', '_mcp'],
    ['with a dot first', '.mcp'],
    ['a key of every object', '__proto__'],
    ['with a slash', 'a/b'],
    ['with a colon', 'api:read'],
    ['with a space', 'm p'],
    ['with a line break', 'mcp\n'],
    ['everything', '*'],
    ['a pattern', 'm*'],
    ['beyond ASCII', 'mcé'],
    ['with a zero-width joiner', 'm\u200Dcp'],
    ['a character too long', 'p'.repeat(41)],
    ['a secret', 'sat_abcdefghijkl'],
    ['like a marker', `mcp${MARKER_SHAPED}`],
  ])('that is %s is none anywhere', (_name, preset) => {
    expect(everywhere(PRESET_PLACES, preset)).toEqual(all(PRESET_PLACES, false));
  });

  test('is accepted everywhere or nowhere', () => {
    const near = fc.stringMatching(/^[a-zA-Z0-9_.:*\- ]{0,42}$/);
    fc.assert(
      fc.property(fc.oneof(near, fc.stringMatching(/^[a-z0-9_.-]{1,41}$/), fc.string()), (preset) => {
        const { 'in the file': inFile, 'in a create': inCreate } = everywhere(PRESET_PLACES, preset);
        expect(inFile).toBe(inCreate);
      }),
      { numRuns: 500 },
    );
  });

  it('whose name looks like a secret is not repeated', () => {
    const parsed = parsePolicy(policyWith({ presets: { sat_abcdefghijkl: ['api:read'] } }));
    expect(parsed).toMatchObject({ ok: false });
    expect(JSON.stringify(parsed)).not.toContain('sat_abcdefghijkl');
  });
});

it('what whoami shows of a role is what a create may name', async () => {
  const scopes = ['api:read', 'a', 'projects:read-all', 'a_b-c:d_e:f', 's'.repeat(32)];
  const presets = { mcp: ['api:read'], constructor: ['a'], 'v1.2': ['a', 'api:read'] };
  const issuer = (await createHarness()).issuer;
  const POLICY = JSON.stringify({
    issuers: [{ issuer: ISSUER, audience: 'countersign', jwks: issuer.jwks }],
    roles: {
      ci: { permissions: ['tokens:create', 'tokens:read'], workspaces: ['*'], scopes: [...scopes, 'api:read'] },
    },
    bindings: [{ issuer: ISSUER, claims: { role: 'ci' }, role: 'ci' }],
    presets,
  });
  const harness = await createHarness({ issuer, env: { POLICY } });
  const jwt = await harness.jwtFor('ci');
  const shown = (await harness.send('GET', '/api/v1/whoami', { jwt })).body.data.roles[0].scopes;
  expect(shown).toEqual(scopes);

  const mint = async (grant: object) => await harness.send('POST', TOKENS, { jwt, body: { name: 'named', ...grant } });
  expect(await mint({ scopes: shown })).toMatchObject({ status: 201, body: { data: { scopes } } });
  for (const [preset, stands] of Object.entries(presets)) {
    expect(await mint({ preset })).toMatchObject({ status: 201, body: { data: { scopes: stands } } });
  }
});

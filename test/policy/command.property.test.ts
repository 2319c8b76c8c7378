import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Asked } from '../../commands/policy/asked.ts';
import { denialOf, explain } from '../../commands/policy/explain.ts';
import { type Question, who } from '../../commands/policy/who.ts';
import type { Policy } from '../../src/config/policy.ts';
import { rolesFor } from '../../src/policy/bindings.ts';
import { decide } from '../../src/policy/decide.ts';
import type { Binding, PolicyRequest, Role } from '../../src/policy/types.ts';
import { PERMISSIONS } from '../../src/vocabulary.ts';
import { HOUR_SECONDS, NOW_MS } from './builders.ts';

// The command says of arbitrary policies, callers and requests what the service's own `decide` says.

const [SHOP, BANK] = ['5877a4ae-0000-4000-8000-000000000001', '5877a4ae-0000-4000-8000-000000000002'];
const ISSUERS = ['https://one.example', 'https://two.example'];
const PRESETS = { sandbox: ['api:read'], platform: ['api:read', 'api:write'] };
const NAMES = ['a', 'b', 'c'];

const scopes = fc.subarray(['api:read', 'api:write', 'api:full']);
const someScopes = fc.subarray(['api:read', 'api:write', 'api:full'], { minLength: 1 });
const workspace = fc.constantFrom(SHOP, BANK);
const roleNamed = (name: string): fc.Arbitrary<Role> =>
  fc.record({
    name: fc.constant(name),
    permissions: fc.subarray([...PERMISSIONS], { minLength: 1 }),
    tokens: fc.constantFrom('own' as const, 'any' as const),
    workspaces: fc.constantFrom(['*'], [SHOP], [BANK], [SHOP, BANK]),
    scopes: fc.oneof(fc.constant(['*']), scopes),
    maxTtlSeconds: fc.option(fc.integer({ min: 1, max: 2 * HOUR_SECONDS })),
    maxTokens: fc.integer({ min: 1, max: 4 }),
    maxOverlapSeconds: fc.integer({ min: 0, max: 2 * HOUR_SECONDS }),
    unusedAfterSeconds: fc.constant(1),
    onUnused: fc.constant('report' as const),
  });
const binding: fc.Arbitrary<Binding> = fc.record({
  issuer: fc.constantFrom(...ISSUERS),
  claims: fc.constantFrom({ team: 'shop' }, { team: 'bank' }, { team: 'shop', ref: 'refs/heads/*' }),
  role: fc.constantFrom(...NAMES),
});
const policies: fc.Arbitrary<Policy> = fc.record({
  issuers: fc.constant([]),
  roles: fc.tuple(...NAMES.map(roleNamed)).chain((roles) => fc.shuffledSubarray(roles, { minLength: 3 })),
  bindings: fc.array(binding, { maxLength: 5 }),
  presets: fc.constant(PRESETS),
  webhooks: fc.constant([]),
});
const identities = fc.record({
  issuer: fc.constantFrom(...ISSUERS),
  subject: fc.constantFrom('alice', 'bob'),
  label: fc.constant(null),
  actorType: fc.constant('user' as const),
  claims: fc.record({
    team: fc.constantFrom('shop', 'bank', 'none'),
    ref: fc.constantFrom('refs/heads/x', 'refs/tags/x'),
  }),
});
const owner = fc.constantFrom('caller' as const, 'other' as const, 'nobody' as const);
const expiresIn = fc.constantFrom(undefined, '30m', '1h', '90m', '3h');
const asks: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({ operation: fc.constant('create' as const), workspace, scopes: someScopes, expiresIn, held: fc.nat(4) }),
  fc.record({
    operation: fc.constant('create' as const),
    workspace,
    preset: fc.constantFrom('sandbox', 'platform', 'unknown'),
    expiresIn,
  }),
  fc.record({ operation: fc.constantFrom('list' as const, 'order' as const), workspace }),
  fc.record({ operation: fc.constantFrom('get' as const, 'revoke' as const), workspace, owner }),
  fc.record({
    operation: fc.constant('update' as const),
    workspace,
    owner,
    scopes: fc.option(someScopes, { nil: undefined }),
    active: fc.constantFrom(undefined, true, false),
    suspendedBy: fc.subarray(['owner' as const, 'leak' as const]),
    tokenScopes: someScopes,
    tokenExpiresIn: fc.constantFrom(undefined, 'never', '1h', '3h'),
  }),
  fc.record({
    operation: fc.constant('retry' as const),
    workspaces: fc.array(workspace, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ operation: fc.constantFrom('audit' as const, 'resume-log' as const) }),
);
const RUNS = { numRuns: 1_000 };

test('explain: the decision is that of decide, for the roles that the bindings give', () => {
  fc.assert(
    fc.property(policies, identities, asks, (policy, identity, asked) => {
      const asker = { kind: 'known', identity, signature: 'good', untimely: null } as const;
      const explanation = explain(policy, asker, asked, NOW_MS);
      if (explanation.kind !== 'judged') throw new Error('nobody rejects it');
      const roles = rolesFor(identity, policy);
      const decision = decide({ ...identity, roles }, explanation.request, { nowMs: NOW_MS, presets: policy.presets });
      expect(explanation.decision).toEqual(decision);
      expect(explanation.roles.length).toBe(roles.length);
      expect(denialOf(explanation) === null).toBe(decision.allowed);
      const given = new Set(explanation.bindings.flatMap(({ gives, binding: { role } }) => (gives ? [role] : [])));
      expect(roles.map(({ name }) => name).toSorted()).toEqual([...given].toSorted());
    }),
    RUNS,
  );
});

const questions: fc.Arbitrary<Question> = fc
  .record({
    permission: fc.constantFrom(...PERMISSIONS),
    scopes,
    workspace: fc.option(workspace),
    expiresIn: fc.constantFrom(null, 'never', '30m', '3h'),
    others: fc.boolean(),
  })
  .map((question) => ({
    ...question,
    scopes: ['tokens:create', 'tokens:update'].includes(question.permission) ? question.scopes : [],
    expiresIn: question.permission === 'tokens:create' ? question.expiresIn : null,
    others: question.permission.startsWith('tokens:') && question.permission !== 'tokens:create' && question.others,
  }));

/** The requests of a caller that are instances of a question. */
function instancesOf(
  { permission, scopes: wanted, workspace: where, expiresIn: within, others }: Question,
  subject: string,
): readonly PolicyRequest[] {
  const issuer = 'https://one.example';
  return (where === null ? [SHOP, BANK] : [where]).flatMap((workspaceUuid): readonly PolicyRequest[] => {
    const known = { issuer, subject: others ? 'somebody else' : subject };
    const token = { tokenId: 't', workspaceUuid, owner: known, suspendedBy: [] };
    const named = wanted.length > 0 ? [wanted] : [['api:read'], ['api:write'], ['api:full']];
    const expiresAtMs =
      within === '30m' ? NOW_MS + HOUR_SECONDS * 500 : within === '3h' ? NOW_MS + HOUR_SECONDS * 3_000 : null;
    switch (permission) {
      case 'tokens:rotate':
        return named.map((scopesOfOne) => ({
          operation: 'rotate',
          workspaceUuid,
          token,
          scopes: scopesOfOne,
          expiresAtMs,
          lifetimeSeconds: within === 'never' ? null : 1,
          overlapSeconds: 0,
          heldTokens: 1,
        }));
      case 'tokens:create': {
        return named.map((scopesOfOne) => ({
          operation: 'create',
          workspaceUuid,
          scopes: scopesOfOne,
          preset: null,
          expiresAtMs,
          heldTokens: 0,
        }));
      }
      case 'tokens:read':
        return [{ operation: 'get', workspaceUuid, token }];
      case 'tokens:revoke':
        return [{ operation: 'revoke', workspaceUuid, token }];
      case 'tokens:update': {
        const resulting = wanted.length === 0 ? null : { scopes: wanted, expiresAtMs: NOW_MS };
        return [{ operation: 'update', workspaceUuid, token, resulting, resumes: false }];
      }
      case 'audit:read':
        return [{ operation: 'audit' }];
      case 'trail:resume':
        return [{ operation: 'resume-log' }];
    }
  });
}

test('who: a role is named exactly if decide can allow it what is asked about, whatever roles its bearer has beside it', () => {
  const reader: Role = {
    name: 'beside',
    permissions: ['tokens:read'],
    tokens: 'any',
    workspaces: ['*'],
    scopes: [],
    maxTtlSeconds: null,
    maxTokens: 1,
    maxOverlapSeconds: 0,
    unusedAfterSeconds: 1,
    onUnused: 'report',
  };
  fc.assert(
    fc.property(policies, questions, (policy, question) => {
      const named = new Map(who(policy, question, NOW_MS).able.map((able) => [able.role.name, able]));
      const context = { nowMs: NOW_MS, presets: policy.presets };
      for (const role of policy.roles) {
        const isAllowed = (roles: readonly Role[]): boolean =>
          instancesOf(question, 'alice').some((request) => {
            const caller = {
              issuer: 'https://one.example',
              subject: 'alice',
              label: null,
              actorType: 'user',
              claims: {},
              roles,
            } as const;
            const decision = decide(caller, request, context);
            if (!decision.allowed || decision.grant.role !== role.name) return false;
            return question.expiresIn !== 'never' || decision.grant.expiresAtMs === null;
          });
        const able = named.get(role.name);
        const alone = isAllowed([role]);
        const expected = alone || isAllowed([role, reader]) ? { needsReader: !alone } : undefined;
        expect(able && { needsReader: able.needsReader }, role.name).toEqual(expected);
        expect((able?.bindings ?? []).every(({ binding: given }) => given.role === role.name)).toBe(true);
      }
    }),
    RUNS,
  );
});

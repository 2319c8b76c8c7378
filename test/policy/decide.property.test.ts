import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide, judgeEach, maySee } from '../../src/policy/decide.ts';
import type { Caller, Decision, KnownToken, PolicyRequest, Role } from '../../src/policy/types.ts';
import { PERMISSIONS, SUSPENSION_REASONS } from '../../src/vocabulary.ts';
import { BANK, CONTEXT, HOUR_SECONDS, NOW_MS, SHOP, callerWith } from './builders.ts';

// The worlds are small, so that roles and requests often meet.
const scopes = fc.subarray(['api:read', 'api:write', 'api:full']);
const workspaceUuid = fc.constantFrom(SHOP, BANK);
const expiresAtMs = fc.option(fc.integer({ min: 0, max: 3 * HOUR_SECONDS }).map((seconds) => NOW_MS + seconds * 1000));

const anyRole: fc.Arbitrary<Role> = fc.record({
  name: fc.uuid(),
  permissions: fc.subarray([...PERMISSIONS]),
  tokens: fc.constantFrom('own', 'any'),
  workspaces: fc.constantFrom(['*'], [SHOP], [BANK], [SHOP, BANK]),
  scopes: fc.oneof(fc.constant(['*']), scopes),
  maxTtlSeconds: fc.option(fc.integer({ min: 1, max: 2 * HOUR_SECONDS })),
  maxTokens: fc.integer({ min: 1, max: 4 }),
  maxOverlapSeconds: fc.integer({ min: 0, max: 2 * HOUR_SECONDS }),
  unusedAfterSeconds: fc.constant(1),
  onUnused: fc.constant('report' as const),
});
const callers = fc.array(anyRole, { maxLength: 4 }).map((roles) => callerWith(...roles));

const owner = fc.option(
  fc.record({
    issuer: fc.constantFrom('https://issuer.example', 'https://other.example'),
    subject: fc.constantFrom('alice', 'bob'),
  }),
);
const knownToken: fc.Arbitrary<KnownToken> = fc.record({
  tokenId: fc.constant('t'),
  workspaceUuid,
  owner,
  suspendedBy: fc.subarray([...SUSPENSION_REASONS]),
});
const token = fc.option(knownToken, { freq: 8 });
const resulting = fc.option(fc.record({ scopes, expiresAtMs }));

const creates = fc.record({
  operation: fc.constant('create' as const),
  workspaceUuid,
  scopes: fc.option(scopes),
  preset: fc.constantFrom(null, 'sandbox', 'platform', 'unknown', '__proto__'),
  expiresAtMs,
  heldTokens: fc.integer({ min: 0, max: 4 }),
});
const requests: fc.Arbitrary<PolicyRequest> = fc.oneof(
  creates,
  fc.record({
    operation: fc.constant('rotate' as const),
    workspaceUuid,
    token,
    scopes,
    expiresAtMs,
    lifetimeSeconds: fc.option(fc.integer({ min: 1, max: 3 * HOUR_SECONDS })),
    overlapSeconds: fc.integer({ min: 0, max: 2 * HOUR_SECONDS }),
    heldTokens: fc.integer({ min: 0, max: 8 }),
  }),
  fc.record({ operation: fc.constant('list' as const), workspaceUuid }),
  fc.record({ operation: fc.constantFrom('get' as const, 'revoke' as const), workspaceUuid, token }),
  fc.record({ operation: fc.constant('update' as const), workspaceUuid, token, resulting, resumes: fc.boolean() }),
  fc.record({ operation: fc.constant('order' as const), workspaceUuid: fc.oneof(workspaceUuid, fc.constant('*')) }),
  fc.record({ operation: fc.constant('retry' as const), workspaceUuids: fc.array(workspaceUuid) }),
  fc.record({ operation: fc.constantFrom('audit' as const, 'resume-log' as const) }),
);

const judged = (roles: readonly Role[], request: PolicyRequest): Decision =>
  decide(callerWith(...roles), request, CONTEXT);
const kindOf = (decision: Decision): string => (decision.allowed ? 'allowed' : decision.failure.kind);
const isOwn = (caller: Caller, { owner: owned }: KnownToken): boolean =>
  owned?.issuer === caller.issuer && owned.subject === caller.subject;
const RUNS = { numRuns: 3_000 };

test('a grant is what the role that it names grants alone, if the caller sees the token', () => {
  fc.assert(
    fc.property(callers, requests, (caller, request) => {
      const decision = decide(caller, request, CONTEXT);
      fc.pre(decision.allowed);
      const deciding = caller.roles.filter(({ name }) => name === decision.grant.role);
      const sight: readonly Role[] = deciding.map((role) => ({
        ...role,
        permissions: [...role.permissions, 'tokens:read'],
      }));
      expect(judged(sight, request)).toEqual(decision);
    }),
    RUNS,
  );
});

test('the first role that alone allows a create decides it, and a create that each role refuses is refused', () => {
  fc.assert(
    fc.property(callers, creates, (caller, request) => {
      const alone = caller.roles.map((role) => judged([role], request));
      const first = alone.find(({ allowed }) => allowed);
      const together = decide(caller, request, CONTEXT);
      expect(together.allowed ? together : null).toEqual(first ?? null);
    }),
    RUNS,
  );
});

test('a minted token stays within the ceiling, the lifetime and the workspaces of one role, and lives no longer than asked for', () => {
  fc.assert(
    fc.property(callers, creates, (caller, request) => {
      const decision = decide(caller, request, CONTEXT);
      fc.pre(decision.allowed);
      const { role: name, scopes: granted, expiresAtMs: until } = decision.grant;
      const role = caller.roles.find((candidate) => candidate.name === name);
      expect(role?.permissions).toContain('tokens:create');
      expect(role?.workspaces.some((workspace) => workspace === '*' || workspace === request.workspaceUuid)).toBe(true);
      expect(granted?.length).toBeGreaterThan(0);
      expect(granted?.every((scope) => role?.scopes.includes('*') || role?.scopes.includes(scope))).toBe(true);
      const latestMs = NOW_MS + (role?.maxTtlSeconds ?? Infinity) * 1000;
      expect(until ?? Infinity).toBeLessThanOrEqual(Math.min(latestMs, request.expiresAtMs ?? Infinity));
    }),
    RUNS,
  );
});

test('a token out of sight gets one answer, whatever is asked of it and whoever owns it', () => {
  fc.assert(
    fc.property(
      callers,
      knownToken,
      fc.constantFrom('get' as const, 'revoke' as const),
      (caller, hidden, operation) => {
        fc.pre(!maySee(caller, hidden) && !(operation === 'revoke' && isOwn(caller, hidden)));
        const known = decide(caller, { operation, workspaceUuid: hidden.workspaceUuid, token: hidden }, CONTEXT);
        const unknown = decide(caller, { operation, workspaceUuid: hidden.workspaceUuid, token: null }, CONTEXT);
        expect(kindOf(known)).toBe(kindOf(unknown));
        expect(['no_role', 'forbidden', 'token_not_found']).toContain(kindOf(known));
      },
    ),
    RUNS,
  );
});

test('a single role that revokes an own token decides its revoke, even where no role shows the token', () => {
  const own = knownToken.map((one): KnownToken => {
    const { issuer, subject } = callerWith();
    return { ...one, owner: { issuer, subject } };
  });
  fc.assert(
    fc.property(callers, own, (caller, mine) => {
      const request = { operation: 'revoke', workspaceUuid: mine.workspaceUuid, token: mine } as const;
      const reading = caller.roles.map((role) => ({
        ...role,
        permissions: [...role.permissions, 'tokens:read' as const],
      }));
      expect(decide(caller, request, CONTEXT).allowed).toBe(judged(reading, request).allowed);
    }),
    RUNS,
  );
});

test('what each role answers by itself is what decides: the first that allows, or the reason of the one that came closest', () => {
  const ranks = [
    'permission',
    'workspace',
    'ownership',
    'suspended',
    'overlap',
    'preset_unknown',
    'scopes',
    'lifetime',
  ];
  fc.assert(
    fc.property(callers, requests, (caller, request) => {
      const decision = decide(caller, request, CONTEXT);
      // Of a token that is not known no role is asked, and whether one is in sight is another question.
      fc.pre(!('token' in request && request.token === null));
      fc.pre(decision.allowed || ['forbidden', 'token_limit_reached'].includes(decision.failure.kind));
      const each = judgeEach(caller, request, CONTEXT);
      const refusals = each.flatMap(({ decision: own }) => (own.ok ? [] : [own.error]));
      const grants = each.flatMap(({ role, decision: own }) => (own.ok ? [{ role: role.name, ...own.value }] : []));
      const closest = ranks[Math.max(...refusals.map((refusal) => ranks.indexOf(refusal)))];
      const refused = refusals.includes('token_limit') ? 'token_limit_reached' : closest;
      expect(decidedAs(decision)).toEqual(grants[0] ?? refused);
    }),
    RUNS,
  );
});

function decidedAs(decision: Decision): unknown {
  if (decision.allowed) return decision.grant;
  return decision.failure.kind === 'forbidden' ? decision.failure.reason : decision.failure.kind;
}

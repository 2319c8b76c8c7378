import { describe, expect, it } from 'vitest';
import rootPolicy from '../../policy.ts';
import { readPolicy } from '../../src/config/env.ts';
import { parsePolicy } from '../../src/config/policy.ts';
import { isObject } from '../../src/kit/json.ts';
import { policyVersion } from '../../src/policy/version.ts';
import { FULL, policyWith } from '../config/policies.ts';
import { role } from './builders.ts';

function versionOf(input: unknown): string {
  const policy = parsePolicy(input);
  if (!policy.ok) throw new Error(JSON.stringify(policy.error));
  return policyVersion(policy.value);
}

/** The same value with the keys of its objects in the opposite order, but for those whose order decides. */
function turned(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => turned(item));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, turned(inner, key)] as const);
  return Object.fromEntries(name === 'roles' ? entries : entries.toReversed());
}

describe('the version of a policy', () => {
  it('is sixteen hexadecimal digits', () => {
    expect(versionOf(rootPolicy)).toMatch(/^[0-9a-f]{16}$/);
  });

  it('is pinned, so that a release cannot change how it is made without saying so', () => {
    const policy = { issuers: [], roles: [role()], bindings: [], presets: { mcp: ['api:read'] }, webhooks: [] };
    // printf '%s' '{"bindings":[],"issuers":[],…,"webhooks":{}}' | sha256sum
    expect(policyVersion(policy)).toBe('7df218686d1d3503');
  });

  it('does not depend on the order of keys', () => {
    expect(JSON.stringify(turned(FULL))).not.toBe(JSON.stringify(FULL));
    expect(versionOf(turned(FULL))).toBe(versionOf(FULL));
  });

  it('is the same for policy.ts and for the binding POLICY that says the same', () => {
    const bound = readPolicy({ POLICY: JSON.stringify(FULL) }, null);
    expect(bound.ok && policyVersion(bound.value)).toBe(versionOf(FULL));
  });

  it('is the same where a default is written out, and in whatever spelling a workspace or a duration is written', () => {
    const workspaces = ['5877A4AE6A3C4D0F9A550F2F6A8F3F0E'];
    const written = policyWith({
      issuer: { subject: 'sub', maxAge: '1440m', header: 'Authorization' },
      role: { tokens: 'own', scopes: [], maxTokens: 2_000, workspaces },
    });
    expect(versionOf(written)).toBe(
      versionOf(policyWith({ role: { workspaces: ['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e'] } })),
    );
  });

  // oxlint-disable-next-line typescript/no-explicit-any -- a copy of the policy, any part of which is changed
  const changed: readonly (readonly [string, (policy: any) => void])[] = [
    ['an issuer', (p) => (p.issuers[0].audience = ['countersign'])],
    ['the claim that owns tokens', (p) => (p.issuers[0].subject = 'sub')],
    ['how old a JWT may be', (p) => (p.issuers[0].maxAge = '16m')],
    ['where keys come from', (p) => (p.issuers[0].jwksUri = 'https://issuer.example/keys?p=other')],
    ['a permission', (p) => p.roles.ci.permissions.push('tokens:revoke')],
    ['whose tokens a role reaches', (p) => (p.roles.ci.tokens = 'any')],
    ['a workspace', (p) => (p.roles.ci.workspaces = ['*'])],
    ['a scope', (p) => (p.roles.ci.scopes = ['api:read', 'api:full'])],
    ['a lifetime', (p) => (p.roles.ci.maxTtl = '31d')],
    ['how many tokens an owner may hold', (p) => (p.roles.ci.maxTokens = 51)],
    ['how long a rotated token may live on', (p) => (p.roles.ci.maxOverlap = '1d')],
    ['when a token counts as unused', (p) => (p.roles.ci.unusedAfter = '61d')],
    ['what becomes of it then', (p) => (p.roles.ci.onUnused = 'report')],
    [
      'the order of roles, since the first that allows decides',
      (p) => (p.roles = { auditor: p.roles.auditor, ci: p.roles.ci }),
    ],
    ['a claim of a binding', (p) => (p.bindings[0].claims.team = 'dev')],
    ['one binding less', (p) => p.bindings.pop()],
    ['a preset', (p) => p.presets.mcp.push('api:write')],
    ['an event of a webhook', (p) => p.webhooks.scanner.events.pop()],
    ['the name of a webhook', (p) => (p.webhooks = { other: p.webhooks.scanner, hr: p.webhooks.hr })],
  ];

  it.each(changed)('changes with %s', (_what, change) => {
    const policy = structuredClone(FULL) as unknown;
    change(policy);
    expect(versionOf(policy)).not.toBe(versionOf(FULL));
  });
});

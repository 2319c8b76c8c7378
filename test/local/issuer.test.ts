import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { LOCAL_AUDIENCE, LOCAL_ISSUER, openIssuer, signJwt } from '../../local/issuer.ts';
import { openPeople } from '../../local/people/keys.ts';
import { localPolicy } from '../../local/policy.ts';
import { openWebhooks } from '../../local/webhook-keys.ts';
import { parsePolicy } from '../../src/config/policy.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-issuer-'));
afterAll(() => rmSync(root, { recursive: true }));
const stateDir = (name: string): string => path.join(root, name);

describe('the local issuer', () => {
  it('keeps its key, for its owner alone', async () => {
    const first = await openIssuer(stateDir('kept'));
    expect(await openIssuer(stateDir('kept'))).toEqual(first);
    expect(readdirSync(stateDir('kept'))).toEqual(['issuer.jwk.json']);
    expect(statSync(path.join(stateDir('kept'), 'issuer.jwk.json')).mode & 0o777).toBe(0o600);
    expect(statSync(stateDir('kept')).mode & 0o777).toBe(0o700);
  });

  it('has one key even when two processes make it at once', async () => {
    const [one, other] = await Promise.all([openIssuer(stateDir('raced')), openIssuer(stateDir('raced'))]);
    expect(one).toEqual(other);
  });

  it('shows the public half alone', async () => {
    const { publicJwk } = await openIssuer(stateDir('public'));
    expect(Object.keys(publicJwk).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });

  it('says in one line what to do about a key file that is none', async () => {
    await openIssuer(stateDir('broken'));
    writeFileSync(path.join(stateDir('broken'), 'issuer.jwk.json'), '{"kty":"RSA"}');
    await expect(openIssuer(stateDir('broken'))).rejects.toThrow(/^\S+ is not the key of a local issuer\. Delete it/);
  });

  it('signs what its policy verifies', async () => {
    const issuer = await openIssuer(stateDir('signs'));
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const jwt = await signJwt(issuer, { subject: 'ada', role: 'ci', ttlSeconds: 60 }, nowSeconds);
    const keys = createLocalJWKSet({ keys: [issuer.publicJwk] });
    const { payload } = await jwtVerify(jwt, keys, { issuer: LOCAL_ISSUER, audience: LOCAL_AUDIENCE });
    expect(payload).toEqual({
      iss: LOCAL_ISSUER,
      aud: LOCAL_AUDIENCE,
      sub: 'ada',
      role: 'ci',
      iat: nowSeconds,
      exp: nowSeconds + 60,
    });
  });
});

describe('the local policy', () => {
  it.each(['5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e', null])(
    'is one that the Worker takes, with workspace %s',
    async (uuid) => {
      const { publicJwk } = await openIssuer(stateDir('policy'));
      const { github } = await openWebhooks(stateDir('policy'));
      const people = await openPeople(stateDir('policy'), 'http://localhost:8789');
      const policy = parsePolicy(localPolicy(publicJwk, uuid, github.publicKey, people));
      expect(policy).toMatchObject({ ok: true });
      expect(policy.ok && policy.value.issuers).toMatchObject([
        { issuer: LOCAL_ISSUER },
        {
          issuer: 'http://localhost:8789',
          label: 'email',
          actorType: 'user',
          maxAgeSeconds: 8 * 60 * 60,
          keys: { kind: 'inline', jwks: { keys: [people.publicJwk] } },
        },
      ]);
      expect(JSON.stringify(policy)).not.toContain('"d":');
      expect(policy.ok && policy.value.roles.find(({ name }) => name === 'developer')).toMatchObject({
        tokens: 'own',
        workspaces: [uuid ?? '*'],
        scopes: ['api:read', 'projects:read', 'projects:write', 'deployments:create'],
        maxTtlSeconds: 30 * 24 * 60 * 60,
      });
      expect(policy.ok && policy.value.roles.find(({ name }) => name === 'ci')).toEqual({
        name: 'ci',
        permissions: ['tokens:create', 'tokens:read', 'tokens:revoke', 'tokens:rotate'],
        tokens: 'own',
        workspaces: [uuid ?? '*'],
        scopes: ['api:read'],
        maxTtlSeconds: 30 * 24 * 60 * 60,
        maxTokens: 1_000,
        maxOverlapSeconds: 7 * 24 * 60 * 60,
        unusedAfterSeconds: 90 * 24 * 60 * 60,
        onUnused: 'report',
      });
      expect(policy.ok && policy.value.webhooks.map(({ name, kind, events }) => [name, kind, events])).toEqual([
        ['scanner', 'standard', ['token.leaked', 'token.revoke']],
        ['hr', 'standard', ['subject.offboarded', 'subject.reinstated']],
        ['github', 'github', ['token.leaked']],
      ]);
    },
  );
});

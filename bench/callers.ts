import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import { AUDIENCE, ISSUER, LIST_WORKSPACE } from './names.ts';
import type { Upstream } from './upstream.ts';

/** Those who call the service in a benchmark. */
export interface Callers {
  readonly publicJwk: JWK;
  /** One of each, valid for hours. */
  readonly jwts: readonly string[];
}

/** Makes an issuer, and so many callers who may do everything. */
export async function makeCallers(count: number): Promise<Callers> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const publicJwk = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256', use: 'sig' };
  const sign = async (subject: string): Promise<string> =>
    await new SignJWT({ email: `${subject}@acme.example`, role: 'admin' })
      .setProtectedHeader({ alg: 'ES256', kid: 'key-1', typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(subject)
      .setIssuedAt()
      .setExpirationTime('6h')
      .sign(privateKey);
  return {
    publicJwk,
    jwts: await Promise.all(Array.from({ length: count }, async (_, index) => await sign(`app-${index}`))),
  };
}

/** How a caller introduces itself, from an address of the documentation's. */
export const callerHeaders = (jwt: string): Readonly<Record<string, string>> => ({
  Authorization: `Bearer ${jwt}`,
  'CF-Connecting-IP': '203.0.113.7',
  'User-Agent': 'countersign-bench/1',
});

/**
 * What the service is told beside wrangler.toml.
 *
 * @param permissions what the role of the callers may do beside the usual.
 */
export const serviceVariables = (
  upstream: Pick<Upstream, 'url' | 'credential'>,
  callers: Callers,
  permissions: readonly string[] = [],
): Readonly<Record<string, string>> => ({
  PIPEOPS_API_URL: upstream.url,
  PIPEOPS_ADMIN_TOKEN: upstream.credential,
  PIPEOPS_WORKSPACE_UUID: LIST_WORKSPACE,
  FINGERPRINT_KEYS: 'k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
  IDEMPOTENCY_SECRET: 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
  POLICY: JSON.stringify({
    issuers: [
      { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [callers.publicJwk] }, label: 'email', actorType: 'user' },
    ],
    roles: {
      admin: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'audit:read', ...permissions],
        tokens: 'any',
        workspaces: ['*'],
        scopes: ['*'],
        maxTokens: 10_000,
      },
    },
    bindings: [{ issuer: ISSUER, claims: { role: 'admin' }, role: 'admin' }],
  }),
});

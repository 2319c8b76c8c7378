import { errors, generateKeyPair, SignJWT } from 'jose';
import { type CredentialHeader, type IssuerPolicy } from '../../src/config/issuers.ts';
import { JWT_MAX_BYTES } from '../../src/config/limits.ts';
import type { TokenRejection } from '../../src/failures.ts';
import { type Identity, identityOf } from '../../src/identity/identity.ts';
import { fetchKeySet, type JwksProblem, type KeySet, readKeySet } from '../../src/identity/jwks.ts';
import { choosePolicy, isBehindSignature, readUnverified, verifyJwt } from '../../src/identity/jwt.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';

// Who a JWT, or a list of claims, would be to the service. The service's own functions judge it; only its signature may be unknown.

/** What somebody presents: a JWT in the compact form, or the claims of one. */
export type Presented =
  | { readonly kind: 'jwt'; readonly jwt: string }
  | { readonly kind: 'claims'; readonly claims: Readonly<Record<string, unknown>> };

/** Reads the keys of an issuer that are not in the policy; null: they are not asked for. */
export type ReadKeys = ((entry: IssuerPolicy) => Promise<Result<KeySet, JwksProblem>>) | null;

/**
 * What is known of a signature. `claims_alone`: there is none to check. `keys_not_asked`: the issuer's keys are not in the policy.
 * `keys_unreadable`: the issuer was asked for them and did not give them.
 */
export type Signature = 'good' | 'claims_alone' | 'keys_not_asked' | 'keys_unreadable';

/** Whom the service takes somebody for. */
export type Asker =
  | { readonly kind: 'rejected'; readonly reason: TokenRejection; readonly issuer: string | null }
  | {
      readonly kind: 'known';
      readonly identity: Identity;
      readonly signature: Signature;
      /** What is wrong with the times of the JWT now, although it was or will be good at another time; null: nothing. */
      readonly untimely: TokenRejection | null;
    };

/** How long a JWT lives whose claims do not say it. */
const FRESH_SECONDS = 60;
const ALGORITHM = 'ES256';

/**
 * Judges what is presented as the service would.
 *
 * @param header the header that carries the JWT; null: the one in which the policy accepts its issuer.
 */
export async function askerOf(
  issuers: readonly IssuerPolicy[],
  presented: Presented,
  header: CredentialHeader | null,
  readKeys: ReadKeys,
  nowMs: number,
): Promise<Asker> {
  const read =
    presented.kind === 'jwt' ? readJwt(presented.jwt) : claimsAlone(issuers, presented.claims, header, nowMs);
  if (!read.ok) return { kind: 'rejected', reason: read.error, issuer: null };
  const jwt = read.value;
  const chosen = choosePolicy(issuers, jwt, header ?? headerOf(issuers, jwt.claims));
  if (!chosen.ok) return { kind: 'rejected', reason: chosen.error, issuer: null };
  const entry = chosen.value;
  const reject = (reason: TokenRejection): Asker => ({ kind: 'rejected', reason, issuer: entry.issuer });

  const signature =
    presented.kind === 'jwt'
      ? await checkSignature(presented.jwt, entry, readKeys, nowMs)
      : ok('claims_alone' as const);
  if (!signature.ok) return reject(signature.error);
  const judged = await judgeClaims(jwt, entry, nowMs);
  if (!judged.ok) return reject(judged.error);
  const identity = identityOf(jwt.claims, entry);
  if (!identity.ok) return reject(identity.error);
  return { kind: 'known', identity: identity.value, signature: signature.value, untimely: judged.value };
}

/** Reads a JWT as the service does, which looks at its size first. */
const readJwt = (jwt: string): Result<Unsigned, TokenRejection> =>
  jwt.length > JWT_MAX_BYTES ? err('too_large') : readUnverified(jwt);

interface Unsigned {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The header in which the first entry of an issuer accepts its JWTs. */
const headerOf = (issuers: readonly IssuerPolicy[], claims: Unsigned['claims']): CredentialHeader =>
  issuers.find(({ issuer }) => issuer === claims['iss'])?.header ?? 'Authorization';

/** A JWT that would have these claims: signed by an algorithm of the entry that fits them, and fresh where they do not say when. */
function claimsAlone(
  issuers: readonly IssuerPolicy[],
  claims: Unsigned['claims'],
  header: CredentialHeader | null,
  nowMs: number,
): Result<Unsigned, TokenRejection> {
  const iat = Math.floor(nowMs / 1000);
  const timed = { iat, exp: iat + FRESH_SECONDS, ...claims };
  const signedFor = (entry: IssuerPolicy): Unsigned => ({ header: { alg: entry.algorithms[0] }, claims: timed });
  const carried = header ?? headerOf(issuers, claims);
  const ofIssuer = issuers.filter((entry) => entry.issuer === claims['iss'] && entry.header === carried);
  const fitting = ofIssuer.find((entry) => {
    const chosen = choosePolicy(issuers, signedFor(entry), carried);
    return chosen.ok && chosen.value === entry;
  });
  const entry = fitting ?? ofIssuer[0];
  return ok(entry === undefined ? { header: {}, claims: timed } : signedFor(entry));
}

/** Checks the signature of a JWT as far as its issuer's keys are there. Errors: those of the service. */
async function checkSignature(
  jwt: string,
  entry: IssuerPolicy,
  readKeys: ReadKeys,
  nowMs: number,
): Promise<Result<Signature, TokenRejection>> {
  const { keys } = entry;
  const withoutKeys = await verifyJwt(
    jwt,
    () => {
      throw new errors.JWKSNoMatchingKey();
    },
    entry,
    nowMs,
  );
  if (!withoutKeys.ok && withoutKeys.error !== 'key_unknown') return withoutKeys;
  if (keys.kind !== 'inline' && readKeys === null) return ok('keys_not_asked');
  const set = keys.kind === 'inline' ? await readKeySet(keys.jwks) : await keySetOf(entry, readKeys);
  if (set === null) return ok('keys_unreadable');
  const verified = await verifyJwt(jwt, set.keys, entry, nowMs);
  return verified.ok || isBehindSignature(verified.error) ? ok('good') : verified;
}

async function keySetOf(entry: IssuerPolicy, readKeys: ReadKeys): Promise<KeySet | null> {
  const read = await readKeys?.(entry);
  return read?.ok === true ? read.value : null;
}

/** Gives the keys of an issuer, as the service reads them: by discovery, or from the URL in the policy. */
export const readKeysOverNetwork: NonNullable<ReadKeys> = async (entry) =>
  await fetchKeySet(entry, {
    fetch: async (url, init) => await fetch(url, init),
    timeout: (ms) => AbortSignal.timeout(ms),
  });

/**
 * Judges everything of a JWT but its signature. jose judges claims only behind a good signature, so a key of our own signs them anew
 * for it, and the service's own check says what it says.
 *
 * @returns what is wrong with its times alone; null: nothing is. Errors: what is wrong at any time.
 */
async function judgeClaims(
  jwt: Unsigned,
  entry: IssuerPolicy,
  nowMs: number,
): Promise<Result<TokenRejection | null, TokenRejection>> {
  const { privateKey, publicKey } = await generateKeyPair(ALGORITHM);
  const { typ } = jwt.header;
  const judge = async (claims: Unsigned['claims']): Promise<TokenRejection | null> => {
    const signed = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: ALGORITHM, ...(typ !== undefined && { typ: typeof typ === 'string' ? typ : '' }) })
      .sign(privateKey);
    const verified = await verifyJwt(
      signed,
      async () => await Promise.resolve(publicKey),
      { ...entry, algorithms: [ALGORITHM] },
      nowMs,
    );
    return verified.ok ? null : verified.error;
  };
  const now = await judge(jwt.claims);
  if (now === null || !isOfTime(now)) return now === null ? ok(null) : err(now);
  const iat = Math.floor(nowMs / 1000);
  const { nbf: _nbf, ...timeless } = jwt.claims;
  const fresh = await judge({ ...timeless, iat, exp: iat + FRESH_SECONDS });
  return fresh === null ? ok(now) : err(fresh);
}

const OF_TIME: readonly TokenRejection[] = ['expired', 'too_old', 'not_yet_valid', 'issued_in_future'];
const isOfTime = (reason: TokenRejection): boolean => OF_TIME.includes(reason);

import type { JSONWebKeySet } from 'jose';
import type { SignatureAlgorithm } from '../src/config/issuers.ts';

/** What the benchmark gives its Worker for each algorithm: an issuer, and JWTs that it signed. */
export interface Signed {
  readonly alg: SignatureAlgorithm;
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: JSONWebKeySet;
  readonly tokens: readonly string[];
}

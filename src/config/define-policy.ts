import type { JSONWebKeySet } from 'jose';
import type { CredentialHeader, SignatureAlgorithm } from './issuers.ts';
import type { Permission, UnusedMode } from '../vocabulary.ts';
import type { SourceInput } from './webhooks.ts';

/** A whole number and a unit: seconds, minutes, hours or days, such as `30d`. */
export type Duration = `${number}${'s' | 'm' | 'h' | 'd'}`;

/** An issuer whose JWTs are accepted, and how they are read. */
export interface IssuerInput {
  /** Equal to the JWT's `iss`, character by character: https, or http on a loopback address. */
  readonly issuer: string;
  /** What the JWT's `aud` must name. It should stand for this service and no other. */
  readonly audience: string | readonly string[];
  /** The signature algorithms that its JWTs may use. Default: RS, PS and ES with 256, 384 and 512, and EdDSA. */
  readonly algorithms?: readonly SignatureAlgorithm[];
  /** Where the issuer's keys are. Default: where its OIDC discovery document says. */
  readonly jwksUri?: string;
  /** The issuer's public keys, in place of `jwksUri`. */
  readonly jwks?: JSONWebKeySet;
  /** The claim that owns tokens. Default: `sub`. A name that starts with `/` is a path into nested claims. */
  readonly subject?: string;
  /** The claim that people see beside the subject, such as `email`. Default: none. */
  readonly label?: string;
  /** What the trail calls its callers. Default: `service_account`. */
  readonly actorType?: 'user' | 'service_account';
  /** How old a JWT may be, counted from its `iat`. Default: `24h`. */
  readonly maxAge?: Duration;
  /** How many seconds the issuer's clock may differ from ours, from 0 to 300. Default: 30. */
  readonly clockToleranceSeconds?: number;
  /**
   * The types (`typ`) of its JWTs that are credentials. One without a type always is. Default: `['JWT', 'at+jwt']`, so that a logout
   * token or a security event of this issuer is none.
   */
  readonly acceptTyp?: readonly string[];
  /** The header that carries the JWT. Default: `Authorization`. */
  readonly header?: CredentialHeader;
  /**
   * The OpenID Connect client of this issuer with which people sign in to the console. The audience of their ID tokens is this client,
   * whatever `audience` says. Its redirect URI is `https://<your service>/auth/callback`. Default: nobody signs in by this issuer.
   */
  readonly clientId?: string;
  /** The name of the Worker secret that holds the client's secret. Default: none, for a public client, whose sign-ins PKCE protects. */
  readonly clientSecret?: string;
}

/** What a role grants. One role must allow the whole of a request: two never combine. */
export interface RoleInput {
  /**
   * A token that no role lets a caller read is 404 to it, so `tokens:update` and `tokens:revoke` need `tokens:read` beside them,
   * except that a caller revokes its own tokens without it. `audit:read` and `trail:resume` need `workspaces: ['*']` and
   * `tokens: 'any'`.
   */
  readonly permissions: readonly Permission[];
  /**
   * The tokens that the role reaches: those that the caller created through this service, or all of a workspace. Default: `own`.
   */
  readonly tokens?: 'own' | 'any';
  /** The UUIDs of the workspaces in which the role counts, or `['*']` for all. */
  readonly workspaces: readonly string[];
  /**
   * The scopes that a token minted under this role may hold, or `['*']` for any. Default: none. A scope is exact: words of small
   * letters, digits, `_`, `.` and `-`, joined by colons.
   */
  readonly scopes?: readonly string[];
  /**
   * The longest life of a token. A token that is asked for without expiry gets this one. Default: no limit, and no expiry is
   * added.
   */
  readonly maxTtl?: Duration;
  /**
   * How many live tokens this role lets one owner hold in all workspaces together, from 1 to 10,000. A token is live until it is
   * revoked or has expired. An owner is issuer and subject together. Default: 2,000.
   */
  readonly maxTokens?: number;
  /** The longest time for which a rotated token may live on beside its successor, from `0s` to `30d`. Default: `7d`. */
  readonly maxOverlap?: Duration;
  /** After how long without use a token that was minted under this role counts as unused. Default: `90d`. */
  readonly unusedAfter?: Duration;
  /** What becomes of a token that counts as unused: it is only reported, or suspended as well. Default: `report`. */
  readonly onUnused?: UnusedMode;
}

/** Gives a role to the JWTs of an issuer that carry every claim listed. */
export interface BindingInput<RoleName extends string = string> {
  readonly issuer: string;
  /**
   * The value of each claim, at least one of them without `*`. An array claim matches by a member; `scope` and `scp` are sets of
   * words. `*` stands for anything without `/` and `:`. A name that starts with `/` is a path into nested claims.
   */
  readonly claims: Readonly<Record<string, string | number | boolean>>;
  readonly role: RoleName;
}

/** Who may do what. */
export interface PolicyInput<RoleName extends string = string> {
  readonly issuers: readonly IssuerInput[];
  /** The order counts where several roles allow a create: the first one decides. */
  readonly roles: Readonly<Record<RoleName, RoleInput>>;
  readonly bindings: readonly BindingInput<NoInfer<RoleName>>[];
  /**
   * The scopes that each PipeOps preset stands for, at most sixteen. A preset that is not here is refused. Its name has up to 40 small
   * letters, digits, `.`, `_` and `-`.
   */
  readonly presets?: Readonly<Record<string, readonly string[]>>;
  /**
   * Who may revoke by webhook, each at `/webhooks/{name}`: leak scanners, HR systems, incident tools. A source may do nothing that it
   * is not given.
   */
  readonly webhooks?: Readonly<Record<string, SourceInput>>;
}

/** Gives `policy.ts` its types, so that an editor shows a binding to a role that does not exist as an error. */
export function definePolicy<const RoleName extends string>(input: PolicyInput<RoleName>): PolicyInput<RoleName> {
  return input;
}

import * as z from 'zod';
import type { IssuerPolicy } from '../config/issuers.ts';
import {
  SESSION_COOKIE_MAX_BYTES,
  SESSION_MAX_MS,
  SESSION_SLOT_MS,
  SESSION_TOUCH_MS,
  SESSIONS_KNOWN_MAX_COUNT,
} from '../config/session-limits.ts';
import type { Database } from '../db/database.ts';
import type { AuthFailure } from '../failures.ts';
import { isCrossSiteMutation } from '../identity/authenticator.ts';
import { type Identity, identityOf, type SessionProof } from '../identity/identity.ts';
import { createBoundedMap } from '../kit/bounded-map.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace } from '../kit/trace.ts';
import { topLevelClaim } from '../policy/bindings.ts';
import type { Binding } from '../policy/types.ts';
import { labelKey } from '../subjects/labels.ts';
import { cookieOf } from './cookies.ts';
import type { SessionFacts, SessionSealing } from './sealing.ts';
import { touchSession } from './statements.ts';

/** A request through a session: who it is, and what D1 is asked whether the session lives. */
export interface SessionUse {
  /** The same object for each request of a session, as long as the isolate remembers its cookie. */
  readonly identity: Identity;
  readonly proof: SessionProof;
}

/** A session that is about to begin. */
export interface NewSession {
  readonly facts: SessionFacts;
  readonly mac: string;
  /** What the cookie holds. */
  readonly sealed: string;
}

interface AsksByCookie {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
}

/** The browser sessions of the console. */
export interface Sessions {
  /**
   * Reads the session of a request. Null: it has no cookie, or it has credentials of its own, beside which no cookie counts.
   *
   * Errors: `session_ended` for a cookie that was not sealed here, or whose session is over by what it seals or by today's policy;
   * `cross_site` for a change that another site's page may have made. Whether the session was ended only D1 knows: see `SessionProof`.
   */
  use(request: AsksByCookie): Promise<Result<SessionUse, AuthFailure> | null>;
  /** The session of a browser, whatever it asks for; null if it has none. */
  ofBrowser(headers: Headers): Promise<SessionUse | null>;
  /** Writes down, in the background and at most once in SESSION_TOUCH_MS, that a session is used. A poll of the console is no use. */
  touch(headers: Headers, proof: SessionProof): void;
  /**
   * Makes the session of somebody who has signed in with this `state`. It writes nothing.
   *
   * @param claims verified. The cookie keeps those that the policy reads.
   * Null: they do not fit into a cookie.
   */
  begin(
    policy: IssuerPolicy,
    identity: Identity,
    claims: Readonly<Record<string, unknown>>,
    state: string,
  ): Promise<NewSession | null>;
}

/** The header of every request of the console. No form and no link can send one. */
export const CONSOLE_HEADER = 'X-Countersign-Console';
/** What it says where a person did something, and not the page by itself. */
const BY_PERSON = '1';

const sealedSession = z.strictObject({
  id: z.string(),
  issuer: z.string(),
  client: z.string(),
  started_at: z.int(),
  ends_at: z.int(),
  claims: z.looseObject({ iat: z.number() }),
});
type SealedSession = z.output<typeof sealedSession>;

/** An opened cookie. */
interface Opened {
  readonly identity: Identity;
  readonly facts: SessionFacts;
  /** When it ends by what it seals and by the policy, in milliseconds since the epoch. */
  readonly endsAtMs: number;
  /** The MACs of a minute of the clock: within it each request needs the same. */
  macs: { readonly minute: number; readonly macs: readonly string[] } | null;
}

export function createSessions(dependencies: {
  readonly issuers: readonly IssuerPolicy[];
  readonly bindings: readonly Binding[];
  readonly sealing: SessionSealing;
  readonly database: Database;
  readonly runtime: Runtime;
}): Sessions {
  const { issuers, bindings, sealing, database, runtime } = dependencies;
  const known = createBoundedMap<Opened>({ maxCount: SESSIONS_KNOWN_MAX_COUNT });
  const touchedAtMs = createBoundedMap<number>({ maxCount: SESSIONS_KNOWN_MAX_COUNT });

  const open = async (cookie: string): Promise<Opened | null> => {
    const remembered = known.get(cookie);
    if (remembered !== undefined) return remembered;
    if (cookie.length > SESSION_COOKIE_MAX_BYTES) return null;
    const sealed = sealedSession.safeParse(await sealing.open('session', cookie));
    const opened = sealed.success ? openedAs(sealed.data, issuers) : null;
    if (opened !== null) known.set(cookie, opened);
    return opened;
  };

  const proofOf = async (opened: Opened, nowMs: number): Promise<SessionProof> => {
    const minute = Math.floor(nowMs / SESSION_SLOT_MS);
    opened.macs =
      opened.macs?.minute === minute ? opened.macs : { minute, macs: await sealing.macs(opened.facts, nowMs) };
    return { ...opened.facts, macs: opened.macs.macs };
  };

  const useOf = async (cookie: string | null): Promise<SessionUse | null> => {
    const nowMs = runtime.now();
    const opened = cookie === null ? null : await open(cookie);
    if (opened === null || nowMs >= opened.endsAtMs) return null;
    return { identity: opened.identity, proof: await proofOf(opened, nowMs) };
  };

  const touch = async (proof: SessionProof, nowMs: number): Promise<void> => {
    const mac = await sealing.mac(proof, nowMs);
    // The newest MAC is of the next minute, so the first ones are of the last five.
    const old = proof.macs.slice(1 + SESSION_TOUCH_MS / SESSION_SLOT_MS);
    const written = await database.batch({ trace: newTrace() }, [touchSession(database, proof, mac, old, nowMs)]);
    if (!written.ok) touchedAtMs.delete(proof.id);
  };

  return {
    use: async (request) => {
      const { headers } = request;
      if (headers.has('Authorization') || headers.has('Cf-Access-Jwt-Assertion')) return null;
      const cookie = cookieOf(headers, 'session');
      if (cookie === null) return null;
      const use = await useOf(cookie);
      if (use === null) return err({ kind: 'session_ended' });
      const isByConsole = headers.has(CONSOLE_HEADER);
      if (isCrossSiteMutation(request) || (!isByConsole && !isSafe(request.method))) return err({ kind: 'cross_site' });
      return ok(use);
    },

    ofBrowser: async (headers) => await useOf(cookieOf(headers, 'session')),

    touch: (headers, proof) => {
      const nowMs = runtime.now();
      if (headers.get(CONSOLE_HEADER) !== BY_PERSON) return;
      if (Math.abs(nowMs - (touchedAtMs.get(proof.id) ?? 0)) < SESSION_TOUCH_MS) return;
      touchedAtMs.set(proof.id, nowMs);
      runtime.background(touch(proof, nowMs));
    },

    begin: async (policy, identity, claims, state) => {
      const nowMs = runtime.now();
      const kept = keptClaims(claims, policy, bindings);
      const id = await sealing.idOf(state);
      const span = { started_at: nowMs, ends_at: Math.min(nowMs + SESSION_MAX_MS, endByAge(claims['iat'], policy)) };
      const facts = { id, ...factsOf(identity), ...span };
      const content = { id, issuer: policy.issuer, client: policy.clientId ?? '', ...span, claims: kept };
      const sealed = await sealing.seal('session', content);
      if (sealed.length > SESSION_COOKIE_MAX_BYTES) return null;
      // The row that is inserted names this minute.
      touchedAtMs.set(id, nowMs);
      return { facts, mac: await sealing.mac(facts, nowMs), sealed };
    },
  };
}

/** The methods that change nothing here (RFC 9110 §9.2.1). */
const isSafe = (method: string): boolean => method === 'GET' || method === 'HEAD';

const factsOf = ({ actorType, issuer, subject, label }: Identity) => ({
  actor_type: actorType,
  issuer,
  subject,
  label: label === null ? null : labelKey(label),
});

/** When a session ends by the age of its ID token, in milliseconds since the epoch. */
const endByAge = (iat: unknown, { maxAgeSeconds }: IssuerPolicy): number =>
  typeof iat === 'number' ? (iat + maxAgeSeconds) * 1000 : 0;

/** Reads what a cookie seals by today's policy, as a JWT is read; null if that has no place for it any more. */
function openedAs(sealed: SealedSession, issuers: readonly IssuerPolicy[]): Opened | null {
  const { id, issuer, client, started_at, ends_at, claims } = sealed;
  const policy = issuers.find((one) => one.issuer === issuer && one.clientId === client);
  if (policy === undefined) return null;
  const identity = identityOf(claims, policy);
  if (!identity.ok) return null;
  const facts = { id, ...factsOf(identity.value), started_at, ends_at };
  const endsAtMs = Math.min(ends_at, started_at + SESSION_MAX_MS, endByAge(claims.iat, policy));
  return { identity: identity.value, facts, endsAtMs, macs: null };
}

/** The claims that the policy reads: those of subject, label and bindings, and `iat`. Nothing else is kept. */
function keptClaims(
  claims: Readonly<Record<string, unknown>>,
  { issuer, subject, label }: IssuerPolicy,
  bindings: readonly Binding[],
): Readonly<Record<string, unknown>> {
  const named = bindings.filter((binding) => binding.issuer === issuer).flatMap((one) => Object.keys(one.claims));
  const read = ['iat', subject, ...(label === null ? [] : [label]), ...named].map(topLevelClaim);
  return Object.fromEntries(
    [...new Set(read)].filter((name) => Object.hasOwn(claims, name)).map((name) => [name, claims[name]]),
  );
}

import { env } from 'cloudflare:workers';
import { decodeJwt } from 'jose';
import type { AuditEventRow, ChainRow } from '../../src/db/schema.ts';
import { sha256Hex, canonicalJson } from '../../src/kit/digest.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { createControl } from '../pipeops-simulator/control.ts';
import type { OpenedSession, SessionTokens } from '../pipeops-simulator/faults-wire.ts';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { ownSimulatorUrl } from '../support/own-simulator.ts';
import { noteSecret } from '../support/secrets.ts';

export const SEAL_KEY = btoa('the-seal-key-of-all-tests-00000000');
const MINUTE_MS = 60_000;

export interface RenewingOptions {
  readonly session?: Partial<OpenedSession>;
  /** Another isolate of the same company, at the same time. */
  readonly like?: RenewingHarness;
  /** The session whose tokens are configured; default: one that begins now. */
  readonly tokens?: SessionTokens;
  readonly env?: Readonly<Record<string, unknown>>;
  readonly db?: D1Database;
  readonly runtime?: Partial<Runtime>;
}

export type RenewingHarness = Awaited<ReturnType<typeof createRenewingHarness>>;

/** What somebody has to look into, where the renewal is lost. */
export const LOST = 'admin_credential_renewal_lost';

/**
 * A D1 and a network that an isolate calls for its renewal. It is killed at one of these calls, before or after the effect, and does
 * nothing any more.
 *
 * @param point counted from 1; 0: it lives.
 */
export function createMortal(point: number, when: 'before' | 'after') {
  const points: string[] = [];
  const { promise: died, resolve } = Promise.withResolvers<void>();
  let isDead = false;
  const never = async (): Promise<never> => await new Promise<never>(() => {});

  const at = async <T>(name: string, effect: () => Promise<T>): Promise<T> => {
    if (isDead) return await never();
    points.push(name);
    if (points.length !== point) return await effect();
    if (when === 'after') await effect();
    isDead = true;
    resolve();
    return await never();
  };

  let isAboutChain = false;
  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'prepare') {
        return (sql: string) => {
          isAboutChain ||= sql.includes('credential_chains');
          return target.prepare(sql);
        };
      }
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          const isCounted = isAboutChain;
          isAboutChain = false;
          if (isDead) return await never();
          const send = async () => await target.batch(statements);
          return isCounted ? await at('d1', send) : await send();
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

  const runtime: Partial<Runtime> = {
    fetch: async (url, init) => {
      if (isDead) return await never();
      const send = async () => await workerRuntime.fetch(url, init);
      return url.endsWith('/oauth/token') ? await at(`fetch ${init.method ?? ''}`, send) : await send();
    },
    // The dead set no timers.
    timeout: () => new AbortController().signal,
    after: () => () => {},
  };
  return { db, runtime, points, died };
}

/**
 * The whole Worker with a session that renews itself, under a clock that a test moves. The simulator goes by the real time. The first
 * access token lives for ten hours, so that it is due eight hours after it was made.
 */
export async function createRenewingHarness(options: RenewingOptions = {}) {
  const { like } = options;
  const control = createControl(ownSimulatorUrl());
  const clientId: string = like?.clientId ?? `client-${crypto.randomUUID()}`;
  const clock: { skewMs: number } = like?.clock ?? { skewMs: 0 };
  const tokens: SessionTokens =
    options.tokens ??
    like?.tokens ??
    (await control.openSession({ client_id: clientId, expires_in: 36_000, ...options.session }));
  noteSecret(tokens.access_token);
  noteSecret(tokens.refresh_token);
  const sinceSeq: number =
    like?.sinceSeq ??
    (await env.DB.prepare('select coalesce(max(seq), 0) as seq from audit_events').first<number>('seq')) ??
    0;

  const shared: { readonly like?: Harness } = like === undefined ? {} : { like: like.harness };
  const harness: Harness = await createHarness({
    ...shared,
    ...(options.db !== undefined && { db: options.db }),
    runtime: { now: () => Date.now() + clock.skewMs, sleep: async () => {}, ...options.runtime },
    env: {
      PIPEOPS_ADMIN_TOKEN: tokens.access_token,
      PIPEOPS_REFRESH_TOKEN: tokens.refresh_token,
      PIPEOPS_CLIENT_ID: clientId,
      CREDENTIAL_SEAL_KEY: SEAL_KEY,
      ...options.env,
    },
  });

  /** What is true at PipeOps of the sessions of this client. Their tokens are noted, so that none may be found anywhere. */
  const sessions = async () => {
    const all = await control.sessions(clientId);
    for (const { access_tokens, refresh_tokens } of all)
      for (const token of [...access_tokens, ...refresh_tokens]) noteSecret(token);
    return all;
  };
  const chain = async (): Promise<ChainRow | null> => {
    const id = await sha256Hex(canonicalJson(['countersign credential', 'chain', tokens.refresh_token]));
    return await env.DB.prepare('select * from credential_chains where chain = ?').bind(id).first<ChainRow>();
  };

  return {
    harness,
    worker: harness.worker,
    lines: harness.lines,
    control,
    clientId,
    clock,
    tokens,
    sinceSeq,
    sessions,
    chain,
    now: () => Date.now() + clock.skewMs,
    age: (minutes: number): void => {
      clock.skewMs += minutes * MINUTE_MS;
    },
    /** Moves the clock to four fifths of the life of the current access token, and some seconds. */
    untilDue: async (): Promise<void> => {
      const row = await chain();
      const { iat = 0, exp = 0 } = decodeJwt(tokens.access_token);
      const issuedAtMs = row?.issued_at ?? iat * 1000;
      const expiresAtMs = row?.expires_at ?? exp * 1000;
      clock.skewMs = Math.ceil(issuedAtMs + 0.8 * (expiresAtMs - issuedAtMs)) + 5_000 - Date.now();
    },
    cron: async (): Promise<void> => {
      await harness.cron();
      await sessions();
    },
    /** A read, which asks PipeOps. */
    list: async (): Promise<Answer> => {
      const nowSeconds = Math.floor((Date.now() + clock.skewMs) / 1000);
      const jwt = await harness.jwtFor('admin', { iat: nowSeconds, exp: nowSeconds + 300 });
      const answer = await harness.send('GET', TOKENS, { jwt });
      await sessions();
      return answer;
    },
    /** The names of what `/readyz` shows as degraded. */
    degraded: async (): Promise<readonly string[]> =>
      (await harness.send('GET', '/readyz', { jwt: null })).body.data.degraded,
    /** What `/api/v1/status` says. */
    // oxlint-disable-next-line typescript/no-explicit-any -- tests look into bodies of every shape
    status: async (): Promise<any> => {
      const nowSeconds = Math.floor((Date.now() + clock.skewMs) / 1000);
      const jwt = await harness.jwtFor('admin', { iat: nowSeconds, exp: nowSeconds + 300 });
      return (await harness.send('GET', '/api/v1/status', { jwt })).body.data;
    },
    /** Moves the clock to three minutes after the end of the first access token. */
    untilEnded: (): void => {
      clock.skewMs = (decodeJwt(tokens.access_token).exp ?? 0) * 1000 + 180_000 - Date.now();
    },
    /** The rows of renewals since the harness was made. */
    rows: async (): Promise<AuditEventRow[]> => {
      const query = `select * from audit_events where action = 'credential.renew' and seq > ? order by seq`;
      return (await env.DB.prepare(query).bind(sinceSeq).all<AuditEventRow>()).results;
    },
    /** The requests that presented a refresh token. */
    presented: async () => (await control.requests({ client_id: clientId })).filter(({ method }) => method === 'POST'),
    /** The credentials with which the tokens of the workspace were asked for, in order. */
    used: async (): Promise<readonly string[]> =>
      (await harness.upstream()).map(({ headers }) => (headers['authorization'] ?? '').replace('Bearer ', '')),
  };
}

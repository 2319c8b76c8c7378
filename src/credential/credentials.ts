import { CREDENTIAL_LOOK_MS, CREDENTIAL_REFUSED_LOOK_MS, CREDENTIAL_RUN_MAX_MS } from '../config/credential-limits.ts';
import { credentialIssueMs } from '../config/secrets.ts';
import type { ChainRow } from '../db/credential-schema.ts';
import { untilAborted } from '../kit/deadline.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace, type RequestContext, type Trace } from '../kit/trace.ts';
import {
  type AdminCredential,
  adminCredential,
  type Credentials,
  orderCredentials,
  RENEWED,
} from '../pipeops/credentials.ts';
import type { CredentialLoss, ErrorCode } from '../vocabulary.ts';
import { dueAtMs, judgeRenewal, lossOf } from './chain.ts';
import { type Link, type OwedLink, renew, type RenewalDependencies, storeOwed } from './renewal.ts';
import type { Configured } from './sealing.ts';
import { noteRolledBack, selectChain } from './statements.ts';

/** The admin credentials, of which the first renews itself. */
export interface RenewingCredentials extends Credentials {
  /** Renews the credential if that is due: the cron's part. */
  run(context: RequestContext): Promise<void>;
  /** Says how the renewal is. D1 is asked; without an answer this is what the isolate knows. */
  standing(context: Pick<RequestContext, 'trace'>): Promise<RenewalStanding>;
}

/** How the renewal is. Times are milliseconds since the epoch. */
export interface RenewalStanding {
  /** How often the credential was renewed. */
  readonly counter: number;
  /** When it was renewed last; null: never. */
  readonly renewedAtMs: number | null;
  /** When the credential ends; null: it does not say. */
  readonly endsAtMs: number | null;
  /** When it is renewed next; null: when PipeOps refuses the credential. */
  readonly dueAtMs: number | null;
  /** When the refresh token was last presented; null: never. */
  readonly triedAtMs: number | null;
  /** Why that failed; null: it did not. */
  readonly failed: ErrorCode | null;
  /** Why a person has to act; null: the credential goes on renewing itself. `unreadable`: no configured key opens what D1 holds. */
  readonly lost: { readonly because: CredentialLoss | 'unreadable'; readonly sinceMs: number | null } | null;
  /** The event of the exchange whose outcome is unknown. */
  readonly eventId: string | null;
}

interface Dependencies extends RenewalDependencies {
  readonly runtime: RenewalDependencies['runtime'] & Pick<Runtime, 'background'>;
  /** The version of the policy that decides, for the rows of renewals. */
  readonly policyVersion: string;
}

/**
 * Makes the credentials of which the first renews itself. What D1 holds of its chain is looked up once by each isolate, and again when
 * a successor is likely: after four fifths of its life, when PipeOps refuses it, and by the cron. So no request waits for D1 because of
 * it, but the first one of an isolate, and one whose credential was refused.
 *
 * The configured credentials are tried after the renewed one: a person can put in a fresh PIPEOPS_ADMIN_TOKEN at any time.
 *
 * @param refreshToken the configured one, which begins the chain.
 */
export function renewingCredentials(
  dependencies: Dependencies,
  configured: readonly [AdminCredential, ...AdminCredential[]],
  refreshToken: string,
): RenewingCredentials {
  const { database, endpoint, runtime, sealing, policyVersion } = dependencies;
  const origin: Link = {
    counter: 0,
    accessToken: configured[0].secret,
    span: { issuedAtMs: credentialIssueMs(configured[0].secret), expiresAtMs: configured[0].endsAtMs },
  };
  /** Null until D1 has said which one it is. */
  let link: Link | null = null;
  let chain: ChainRow | null = null;
  /** Whether D1 holds tokens of the chain that no configured key opens. */
  let isUnreadable = false;
  /** The link whose access token PipeOps refuses. */
  let refusedCounter: number | null = null;
  let owed: OwedLink | null = null;
  const order = orderCredentials(configured);
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether D1 answered the last look. */
  let isAnswered = false;
  const newContext = (trace = newTrace()): RequestContext => systemContext(runtime, policyVersion, trace);
  const looks = createTurns(runtime, newContext);
  const renewals = createTurns(runtime, newContext);

  const adopt = (next: Link): void => {
    if (link !== null && link.counter > next.counter) return;
    if (link?.accessToken !== next.accessToken) {
      const renewed = { ...adminCredential(RENEWED, next.accessToken), endsAtMs: next.span.expiresAtMs };
      order.replace(next.counter === 0 ? configured : [renewed, ...configured]);
    }
    link = next;
  };

  /** Takes in what D1 holds. @param seenCounter the link that this isolate knew before it asked. */
  const learn = async (context: Traced, row: ChainRow | null, seenCounter: number): Promise<void> => {
    chain = row;
    if ((row?.counter ?? 0) < seenCounter) return await learnOfRollback(context, row, seenCounter);
    if (row === null || row.counter === 0) return adopt(origin);
    if (row.counter === link?.counter) return;
    const tokens = row.sealed === null ? null : await sealing.open(row.sealed, row.counter);
    isUnreadable = row.sealed !== null && tokens === null;
    if (tokens === null) return adopt(origin);
    const span = { issuedAtMs: row.issued_at, expiresAtMs: row.expires_at };
    adopt({ counter: row.counter, accessToken: tokens.accessToken, span });
  };

  /** D1 was restored: the refresh token in it is spent, and presenting it may end the session. */
  const learnOfRollback = async (context: Traced, row: ChainRow | null, seenCounter: number): Promise<void> => {
    if (row?.lost === 'rolled_back' || row?.lost === 'replaced') return;
    const nowMs = runtime.now();
    const names = await sealing.configured();
    chain = { ...(row ?? noChain(names)), attempt_id: null, lost: 'rolled_back', lost_at: nowMs };
    runtime.log({ level: 'error', event: 'credential_rolled_back', held: row?.counter ?? 0, seen: seenCounter });
    await database.batch(context, [noteRolledBack(database, names, seenCounter, nowMs)]);
  };

  /** Looks at what D1 holds, after giving it what it lacks. */
  const look = async (context: RequestContext): Promise<void> => {
    lookedAtMs = runtime.now();
    isAnswered = false;
    if (owed !== null && (await storeOwed(dependencies, context, owed, true)) === 'unknown') return;
    owed = null;
    const seenCounter = link?.counter ?? 0;
    const read = await database.batch(context, [selectChain(database, await sealing.configured())]);
    if (!read.ok) return;
    await learn(context, read.value[0][0] ?? null, seenCounter);
    isAnswered = true;
  };

  const refreshTokenOf = async (row: ChainRow | null): Promise<string | null> => {
    if (row === null || row.counter === 0) return refreshToken;
    return row.sealed === null ? null : ((await sealing.open(row.sealed, row.counter))?.refreshToken ?? null);
  };

  const renewIfDue = async (context: RequestContext): Promise<void> => {
    await looks.take(look, context);
    if (!isAnswered || link === null || isUnreadable) return;
    const { client } = await sealing.configured();
    const because = judgeRenewal(chain, client, link.span, refusedCounter === link.counter, runtime.now());
    const presented = because === null ? null : await refreshTokenOf(chain);
    if (because === null || presented === null) return;
    if (!(await endpoint.answers(context.trace))) {
      runtime.log({ level: 'error', event: 'credential_renewal_postponed', because });
      return;
    }
    const renewed = await renew(dependencies, context, chain, presented, because);
    if (renewed === null) return;
    owed = renewed.owed;
    adopt(renewed.link);
  };

  const untilOver = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
    // The call goes on with what there is.
    await untilAborted(work, signal).catch(() => {});
  };

  return {
    inOrder: order.inOrder,
    accepted: order.accepted,

    prepare: ({ signal, trace }) => {
      const nowMs = runtime.now();
      if (link === null) {
        const isTime = nowMs - lookedAtMs >= CREDENTIAL_REFUSED_LOOK_MS;
        return isTime ? untilOver(looks.take(look, newContext(trace)), signal) : null;
      }
      const dueMs = dueAtMs(link.span);
      if (dueMs !== null && dueMs <= nowMs && nowMs - lookedAtMs >= CREDENTIAL_LOOK_MS) void looks.take(look);
      return null;
    },

    refused: ({ secret }) => {
      if (secret !== link?.accessToken) return;
      const isNew = refusedCounter !== link.counter;
      refusedCounter = link.counter;
      if (isNew || runtime.now() - lookedAtMs >= CREDENTIAL_REFUSED_LOOK_MS) void renewals.take(renewIfDue);
    },

    renewed: ({ signal }) => {
      const work = renewals.underWay();
      return work === null ? null : untilOver(work, signal);
    },

    run: async (context) => await renewals.take(renewIfDue, context),

    standing: async ({ trace }) => {
      await looks.take(look, newContext(trace));
      const current = link ?? origin;
      const { client } = await sealing.configured();
      const lost = isUnreadable ? UNREADABLE : lossOf(chain, client, runtime.now());
      return {
        counter: current.counter,
        renewedAtMs: current.counter === 0 ? null : current.span.issuedAtMs,
        endsAtMs: current.span.expiresAtMs,
        dueAtMs: dueAtMs(current.span),
        triedAtMs: chain?.tried_at ?? null,
        failed: chain?.failed ?? null,
        lost,
        eventId: lost?.because === 'outcome_unknown' ? (chain?.attempt_id ?? null) : null,
      };
    },
  };
}

const UNREADABLE = { because: 'unreadable', sinceMs: null } as const;

const noChain = ({ chain, client }: Configured): ChainRow => ({
  chain,
  client,
  counter: 0,
  sealed: null,
  issued_at: null,
  expires_at: null,
  attempt_id: null,
  tried_at: null,
  lease_until: null,
  failed: null,
  lost: null,
  lost_at: null,
});

type Traced = Pick<RequestContext, 'trace'>;

/** Work of one kind that an isolate does once at a time, for whoever asks for it meanwhile. No request that ends takes it along. */
interface Turns {
  /** Begins the work, or joins it. It never throws. */
  take(work: (context: RequestContext) => Promise<void>, context?: RequestContext): Promise<void>;
  /** Null: there is none. */
  underWay(): Promise<void> | null;
}

function createTurns(runtime: Pick<Runtime, 'now' | 'background' | 'log'>, newContext: () => RequestContext): Turns {
  let turn: { readonly over: Promise<void>; readonly begunAtMs: number } | null = null;
  const underWay = () => (turn !== null && runtime.now() - turn.begunAtMs < CREDENTIAL_RUN_MAX_MS ? turn.over : null);

  const settle = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      const name = error instanceof Error ? error.name : 'unknown';
      runtime.log({ level: 'error', event: 'credential_work_failed', name });
    }
  };

  return {
    underWay,
    take: async (work, context = newContext()) => {
      const joined = underWay();
      if (joined !== null) return await joined;
      const begun = { over: settle(work(context)), begunAtMs: runtime.now() };
      turn = begun;
      runtime.background(begun.over);
      await begun.over;
      if (turn === begun) turn = null;
    },
  };
}

/** Of work that belongs to no request. */
const systemContext = ({ newId }: Pick<Runtime, 'newId'>, policyVersion: string, trace: Trace): RequestContext => ({
  requestId: newId(),
  traceparent: null,
  ip: null,
  userAgent: null,
  policyVersion,
  trace,
});

import { sql, type SQL } from 'drizzle-orm';
import { CREDENTIAL_EXCHANGE_TIMEOUT_MS, CREDENTIAL_LEASE_MS } from '../config/credential-limits.ts';
import type { ChainRow } from '../db/credential-schema.ts';
import type { Database } from '../db/database.ts';
import { codeOf } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { ExchangeFailure, RenewedTokens, TokenEndpoint } from '../pipeops/oauth.ts';
import {
  attemptedRow,
  type EventOutcome,
  eventSubject,
  failureOutcome,
  finalRow,
  settledColumns,
  successOutcome,
  SYSTEM_ACTOR,
  systemOrigin,
} from '../trail/event.ts';
import { repeatBatch } from '../trail/recorder.ts';
import { insertEventWhere, settleEvent, settleEventWhere } from '../trail/statements.ts';
import { type AccessSpan, expiryOf, type RenewalCause } from './chain.ts';
import type { Sealing } from './sealing.ts';
import {
  claimChain,
  eraseOthers,
  isClaimed,
  isStored,
  noteFailure,
  releaseClaim,
  selectChain,
  storeLink,
} from './statements.ts';

export interface RenewalDependencies {
  readonly database: Database;
  readonly endpoint: TokenEndpoint;
  readonly sealing: Sealing;
  readonly runtime: Pick<Runtime, 'now' | 'newId' | 'timeout' | 'cancel' | 'sleep' | 'log'>;
}

/** A link of the chain, as far as an isolate uses it. */
export interface Link {
  /** How many renewals came before it. */
  readonly counter: number;
  readonly accessToken: string;
  readonly span: AccessSpan;
}

/** A link that PipeOps has made and that D1 has not. It is the only one of its kind: with this isolate it would be gone. */
export interface OwedLink {
  readonly eventId: string;
  /** The id of the row that says that the link was stored after all, where the attempt was settled meanwhile. */
  readonly lateEventId: string;
  readonly sealed: string;
  readonly counter: number;
  readonly span: AccessSpan;
  readonly outcome: EventOutcome;
}

/** What came of presenting a refresh token. */
interface Renewed {
  readonly link: Link;
  /** Null: D1 has it. */
  readonly owed: OwedLink | null;
}

/**
 * Exchanges the refresh token of a chain for its next link: claim it and record the attempt in one batch → PipeOps → store the new link
 * and settle the attempt in one batch. If this is killed after the claim, nobody presents the token again before its access token has
 * ended: `lossOf` sees the claim without an end.
 *
 * Null: there is no new link. Either nothing was sent, or the row says what PipeOps made of it.
 *
 * @param seen the chain as it was decided on.
 */
export async function renew(
  dependencies: RenewalDependencies,
  context: RequestContext,
  seen: ChainRow | null,
  refreshToken: string,
  because: RenewalCause,
): Promise<Renewed | null> {
  const { endpoint, runtime, sealing } = dependencies;
  const counter = (seen?.counter ?? 0) + 1;
  // Keys that seal nothing must show themselves before there is something to lose.
  await sealing.seal({ accessToken: '', refreshToken }, counter);
  const eventId = await claim(dependencies, context, seen, because, counter);
  if (eventId === null) return null;

  const issuedAtMs = runtime.now();
  const exchanged = await endpoint.exchange(refreshToken, eventId, context.trace);
  if (!exchanged.ok) {
    await recordFailure(dependencies, context, eventId, exchanged.error);
    return null;
  }
  const link = linkOf(exchanged.value, counter, issuedAtMs);
  const next = { accessToken: link.accessToken, refreshToken: exchanged.value.refreshToken ?? refreshToken };
  const owed: OwedLink = {
    eventId,
    lateEventId: runtime.newId(),
    sealed: await sealing.seal(next, counter),
    counter,
    span: link.span,
    outcome: successOutcome(200, {
      expires_at: rfc3339OrNull(link.span.expiresAtMs),
      rotated: exchanged.value.refreshToken !== null,
    }),
  };
  const stored = await storeOwed(dependencies, context, owed, false);
  runtime.log({ level: 'info', event: 'credential_renewed', event_id: eventId, because, stored: stored === 'stored' });
  return { link, owed: stored === 'unknown' ? owed : null };
}

const linkOf = (tokens: RenewedTokens, counter: number, issuedAtMs: number): Link => ({
  counter,
  accessToken: tokens.accessToken,
  span: { issuedAtMs, expiresAtMs: expiryOf(tokens.accessToken, tokens.expiresInSeconds, issuedAtMs) },
});

/** Claims the refresh token and records that it will be presented. Null: another isolate has it, or D1 does not say. */
async function claim(
  dependencies: RenewalDependencies,
  context: RequestContext,
  seen: ChainRow | null,
  because: RenewalCause,
  counter: number,
): Promise<string | null> {
  const { database, runtime, sealing } = dependencies;
  const eventId = runtime.newId();
  const nowMs = runtime.now();
  const subject = eventSubject('credential.renew', SYSTEM_ACTOR, { detail: { because, counter } });
  const row = attemptedRow(eventId, nowMs, systemOrigin(context), subject);
  const claimed = await database.batch(context, [
    claimChain(database, await sealing.configured(), seen, eventId, nowMs),
    insertEventWhere(database, row, isClaimed(eventId)),
  ]);
  if (claimed.ok && claimed.value[0].length === 0) return null;
  // Whoever was held up for so long might still be sending when others take the exchange for lost.
  const isLate = runtime.now() - nowMs > CREDENTIAL_LEASE_MS - CREDENTIAL_EXCHANGE_TIMEOUT_MS;
  if (claimed.ok && !isLate) return eventId;
  const outcome = failureOutcome({ kind: 'audit_unavailable' });
  await repeatBatch(dependencies, context, [
    releaseClaim(database, seen, eventId),
    settleEvent(database, eventId, settledColumns(runtime.now(), null, outcome)),
  ]);
  return null;
}

/** Records what an exchange that gave nothing came to. What D1 does not take is an exchange of unknown outcome. */
async function recordFailure(
  dependencies: RenewalDependencies,
  context: RequestContext,
  eventId: string,
  { failure, presented, oauthError }: ExchangeFailure,
): Promise<void> {
  const { database, runtime } = dependencies;
  const nowMs = runtime.now();
  const told = presented === 'unknown' ? ({ kind: 'outcome_unknown', cause: failure } as const) : failure;
  const { detail, ...outcome } = failureOutcome(told);
  const columns = settledColumns(nowMs, null, {
    ...outcome,
    upstreamStatus: 'status' in failure ? failure.status : null,
    detail: {
      ...detail,
      ...(presented === 'unknown' && { reason: codeOf(failure) }),
      ...(oauthError !== null && { oauth_error: oauthError }),
    },
  });
  const lost = { unknown: 'outcome_unknown', refused: 'refused', failed: null } as const;
  await repeatBatch(dependencies, context, [
    noteFailure(database, eventId, codeOf(failure), lost[presented], nowMs),
    settleEvent(database, eventId, columns),
  ]);
  runtime.log({
    level: 'error',
    event: 'credential_not_renewed',
    event_id: eventId,
    error_code: codeOf(told),
    reason: codeOf(failure),
    oauth_error: oauthError,
  });
}

/**
 * Stores a link that PipeOps has made, and settles its attempt. `superseded`: the chain has gone on without it.
 *
 * @param isLate whether this is tried again, when the attempt may have been settled as unknown. Then a row of its own tells that it
 *   succeeded.
 */
export async function storeOwed(
  dependencies: RenewalDependencies,
  context: RequestContext,
  owed: OwedLink,
  isLate: boolean,
): Promise<'stored' | 'superseded' | 'unknown'> {
  const { database, runtime, sealing } = dependencies;
  const configured = await sealing.configured();
  const nowMs = runtime.now();
  const { eventId, outcome, sealed } = owed;
  const guard = isStored(sealed);
  const subject = eventSubject('credential.renew', SYSTEM_ACTOR, { detail: { late_for: eventId } });
  const lateRow = finalRow(owed.lateEventId, nowMs, systemOrigin(context), subject, outcome);
  const queries = [
    storeLink(database, eventId, owed),
    selectChain(database, configured),
    settleEventWhere(database, eventId, settledColumns(nowMs, null, outcome), guard),
    eraseOthers(database, configured, nowMs, guard),
    ...(isLate ? [insertEventWhere(database, lateRow, sql`${guard} and ${isFailure(eventId)}`)] : []),
  ] as const;
  // A late one is tried again by the next look.
  const sent = isLate ? await database.batch(context, queries) : await repeatBatch(dependencies, context, queries);
  if (!sent.ok) return 'unknown';
  return sent.value[1][0]?.sealed === sealed ? 'stored' : 'superseded';
}

/** Whether an attempt was settled as a failure, as a condition of a batch: nobody knew that it had succeeded. */
const isFailure = (eventId: string): SQL =>
  sql`exists (select 1 from audit_events as a where a.id = ${eventId} and a.status = 'failure')`;

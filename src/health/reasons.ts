import { CREDENTIAL_LATE_MS } from '../config/credential-limits.ts';
import { ADMIN_CREDENTIAL_WARNING_SECONDS } from '../config/limits.ts';
import { UNSEALED_DEGRADED_AFTER_MS } from '../config/trail-limits.ts';
import type { RenewalStanding } from '../credential/credentials.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { AdminCredential } from '../pipeops/credentials.ts';
import type { OutcomeRow } from '../pipeops/outcome-rows.ts';
import { type CallBucket, usedCalls, whenFree } from '../pipeops/quota-calls.ts';
import { WINDOW_NAMES, type WindowCalls } from '../pipeops/quota-windows.ts';
import type { DegradedReason, NotReadyReason, UpstreamTrouble } from '../vocabulary.ts';
import type { OpenWork } from './open-work.ts';

// What is wrong, as `/readyz` names it, and since when, and what to do, as `/api/v1/status` says it. All of it is decided on what one
// look at D1 has read and on what is configured.

/** Something that works and needs somebody to look into it. Times are milliseconds since the epoch. */
export interface Degraded {
  readonly reason: DegradedReason;
  /** Since when, as far as is known. */
  readonly sinceMs: number | null;
  /** When it was last met, where it is met by calls. */
  readonly lastAtMs: number | null;
  /** What else is known of it, as it is shown. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What the reasons are decided on. */
export interface HealthFacts {
  readonly nowMs: number;
  readonly open: Pick<OpenWork, 'orders' | 'outcomes' | 'calls' | 'sealing' | 'unauthentic'>;
  readonly credentials: readonly AdminCredential[];
  /** Null: no credential renews itself. */
  readonly renewal: RenewalStanding | null;
  /** The most calls that each window of the quota may hold, those of a change included. */
  readonly mostCalls: WindowCalls;
  readonly d1: { readonly bytes: number | null; readonly isNearlyFull: boolean };
}

/** All that is degraded, each reason at most once. A room that has more to tell adds a line here. */
export const degradedBy = (facts: HealthFacts): readonly Degraded[] =>
  [
    credentialEnd(facts),
    credentialRejected(facts),
    renewalLost(facts),
    ongoing(facts, 'upstream_unreachable'),
    rateLimited(facts),
    forbidden(facts),
    facts.d1.isNearlyFull ? degraded('d1_size', null, { d1_bytes: facts.d1.bytes }) : null,
    missingKeys(facts),
    failedOrders(facts),
    contradictedOrders(facts),
    unsealed(facts),
    unauthentic(facts),
  ].filter((one) => one !== null);

const degraded = (reason: DegradedReason, sinceMs: number | null, facts: Degraded['facts']): Degraded => ({
  reason,
  sinceMs,
  lastAtMs: null,
  facts,
});

const going = ({ open }: HealthFacts, kind: UpstreamTrouble): readonly OutcomeRow[] =>
  open.outcomes.filter((row) => row.kind === kind && row.since !== null);

/** Whether PipeOps refused a credential, and has accepted none of ours since. */
const isRejected = (facts: HealthFacts, { id }: AdminCredential): boolean =>
  going(facts, 'admin_credential_rejected').some(({ subject }) => subject === id);

/**
 * The credential that keeps this service going for longest is about to end, or has ended. One that says nothing of its end may last, and
 * one that PipeOps refuses keeps nothing going. A credential that renews itself is about to end only if that does not happen when it is due.
 */
function credentialEnd(facts: HealthFacts): Degraded | null {
  const usable = facts.credentials.filter((credential) => !isRejected(facts, credential));
  const last = (usable.length > 0 ? usable : facts.credentials).reduce((a, b) => (endOf(b) > endOf(a) ? b : a));
  const { endsAtMs, name } = last;
  if (endsAtMs === null) return null;
  const lateAtMs = facts.renewal?.lost === null ? (facts.renewal.dueAtMs ?? 0) + CREDENTIAL_LATE_MS : 0;
  const warnAtMs = Math.max(endsAtMs - ADMIN_CREDENTIAL_WARNING_SECONDS * 1000, lateAtMs);
  const told = { credential: name, expires_at: rfc3339OrNull(endsAtMs) };
  if (endsAtMs <= facts.nowMs) return degraded('admin_credential_expired', endsAtMs, told);
  return warnAtMs <= facts.nowMs ? degraded('admin_credential_expiring', warnAtMs, told) : null;
}

const endOf = ({ endsAtMs }: AdminCredential): number => endsAtMs ?? Infinity;

/** Only what is configured counts: another secret is another credential, of which nothing is known yet. */
function credentialRejected(facts: HealthFacts): Degraded | null {
  const refused = facts.credentials.filter((credential) => isRejected(facts, credential));
  const ids = new Set(refused.map(({ id }) => id));
  const rows = going(facts, 'admin_credential_rejected').filter(({ subject }) => ids.has(subject));
  return troubleOf('admin_credential_rejected', rows, { credentials: refused.map(({ name }) => name) });
}

/** A person has to act before the credential ends, or to find out that it has. */
function renewalLost({ renewal }: HealthFacts): Degraded | null {
  if (renewal === null || renewal.lost === null) return null;
  const { because, sinceMs } = renewal.lost;
  const told = { because, event_id: renewal.eventId, expires_at: rfc3339OrNull(renewal.endsAtMs) };
  return degraded('admin_credential_renewal_lost', sinceMs, told);
}

const ongoing = (facts: HealthFacts, kind: UpstreamTrouble): Degraded | null => troubleOf(kind, going(facts, kind), {});

function forbidden(facts: HealthFacts): Degraded | null {
  const rows = going(facts, 'upstream_forbidden');
  return troubleOf('upstream_forbidden', rows, { workspace_uuids: rows.map(({ subject }) => subject) });
}

/** Callers hear the one code where PipeOps answers 429, and where this service itself keeps the last calls for revocation. */
function rateLimited(facts: HealthFacts): Degraded | null {
  const told = ongoing(facts, 'upstream_rate_limited');
  if (told !== null) return { ...told, facts: { ...told.facts, said_by: 'pipeops' } };
  const { open, mostCalls, nowMs } = facts;
  if (!isUsedUp(open.calls, mostCalls)) return null;
  const { name, atMs } = whenFree(open.calls, mostCalls, 1, nowMs);
  return degraded('upstream_rate_limited', null, {
    said_by: 'countersign',
    window: name,
    free_again_at: rfc3339OrNull(atMs),
  });
}

const isUsedUp = (calls: readonly CallBucket[], most: WindowCalls): boolean =>
  WINDOW_NAMES.some((name) => usedCalls(calls, name) >= most[name]);

/** A trouble that calls meet, by its rows, the last of which was met last; null: there are none. */
function troubleOf(
  reason: UpstreamTrouble,
  rows: readonly OutcomeRow[],
  facts: Readonly<Record<string, unknown>>,
): Degraded | null {
  const last = rows.at(-1);
  if (last === undefined) return null;
  return {
    reason,
    sinceMs: Math.min(...rows.map(({ since, last_at: lastAt }) => since ?? lastAt)),
    lastAtMs: last.last_at,
    facts: { error_code: last.error_code, upstream_status: last.upstream_status, ...facts },
  };
}

const missingKeys = ({ open: { orders } }: HealthFacts): Degraded | null =>
  orders.missingKeyIds.length === 0 ? null : degraded('fingerprint_keys', null, { missing: orders.missingKeyIds });

const failedOrders = ({ open: { orders } }: HealthFacts): Degraded | null =>
  orders.failed === 0 ? null : degraded('revocation_orders', orders.oldestFailedMs, { orders: orders.failed });

const contradictedOrders = ({ open: { orders } }: HealthFacts): Degraded | null =>
  orders.contradicted === 0
    ? null
    : degraded('revocation_contradicted', orders.contradictedSinceMs, { orders: orders.contradicted });

/** The log of the trail is stopped, or facts wait for it for longer than a run or two may take. A stopped log explains what waits. */
function unsealed({ nowMs, open: { sealing } }: HealthFacts): Degraded | null {
  if (sealing === null) return null;
  const { stopped, stopped_at: stoppedAt, oldest, log } = sealing;
  const told = { log, oldest_unsealed_at: rfc3339OrNull(oldest) };
  if (stopped === 'forked' || stopped === 'rolled_back') return degraded(`trail_${stopped}`, stoppedAt, told);
  if (oldest === null || nowMs - oldest < UNSEALED_DEGRADED_AFTER_MS) return null;
  return degraded('trail_unsealed', oldest, { ...told, age_seconds: Math.floor((nowMs - oldest) / 1000) });
}
const unauthentic = ({ open: { unauthentic: met } }: HealthFacts): Degraded | null =>
  met.count === 0 ? null : degraded('trail_unauthentic', met.sinceMs, { rows: met.count });

/** What to do about each reason. docs/operate.md says more of each. */
export const NEXT_STEPS: Readonly<Record<DegradedReason | NotReadyReason, string>> = {
  d1:
    'D1 does not answer, or takes no rows, so nothing is answered that would have to be recorded. It is looked at again by itself. See ' +
    'Cloudflare’s status page and the log (event d1_failed). Until it is back, revoke at PipeOps’ own console.',
  schema_outdated:
    'This version is deployed before the migrations that it needs. Apply them: npm run deploy -- --env production ' +
    '(or staging). If a table is missing whose migration is applied, restore the database.',
  admin_credential_expiring:
    'Sign in to PipeOps as the administrator of this service, and put the new session JWT: ' +
    'npx wrangler secret put PIPEOPS_ADMIN_TOKEN_NEXT --config wrangler.toml --env production. Once this is gone, put it as PIPEOPS_ADMIN_TOKEN too and delete the other.',
  admin_credential_expired:
    'The admin credential has ended, so PipeOps refuses every call. Sign in to PipeOps as the administrator of this service, and put the ' +
    'new session JWT now: npx wrangler secret put PIPEOPS_ADMIN_TOKEN --config wrangler.toml --env production.',
  admin_credential_rejected:
    'PipeOps refuses the admin credential: 419 says that its session has ended, and 401 that it is no good. Sign in to PipeOps as the ' +
    'administrator of this service, and put the new session JWT now: npx wrangler secret put PIPEOPS_ADMIN_TOKEN --config wrangler.toml --env production.',
  admin_credential_renewal_lost:
    'The admin credential does not renew itself any more, and works until it ends. Sign in to PipeOps as the administrator of this ' +
    'service, and put the tokens of the new session in one step: ' +
    'npx wrangler secret bulk --config wrangler.toml --env production, with PIPEOPS_ADMIN_TOKEN and ' +
    'PIPEOPS_REFRESH_TOKEN. Where because is unreadable, put the former CREDENTIAL_SEAL_KEY behind the new one instead.',
  upstream_unreachable:
    'PipeOps does not answer, or answers what cannot be read. Creates and changes fail, lists may be up to an hour old, and revocations ' +
    'are kept and tried again. See PipeOps’ status page, and whether PIPEOPS_API_URL is right; the next call that PipeOps answers ends this.',
  upstream_rate_limited:
    'PipeOps takes no more calls for now, or the last ones are kept for revocation. See who makes them: GET /api/v1/audit/events. If ' +
    'PipeOps allows more than is set, set PIPEOPS_CALLS_PER_MINUTE and PIPEOPS_CALLS_PER_HOUR.',
  upstream_forbidden:
    'PipeOps does not let the admin credential act in these workspaces. At PipeOps, make its user an administrator there, or take the ' +
    'workspaces out of policy.ts and PIPEOPS_WORKSPACE_UUID.',
  d1_size:
    'D1 holds four fifths of what D1_MAX_BYTES says that it can hold. Export the trail (npm run -s audit -- --export ndjson --out FILE), and plan for ' +
    'another database; on the free plan, go to Workers Paid and set D1_MAX_BYTES.',
  fingerprint_keys:
    'Live tokens were fingerprinted under keys that are not configured, so leaks of them are not recognised. Put those keys behind the ' +
    'current one: npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production.',
  revocation_orders:
    'Orders were given up after 72 hours. Remove the cause. Find those of webhooks with GET /api/v1/webhooks/deliveries, and POST ' +
    '/api/v1/webhooks/deliveries/{id}/retry. The others are in GET /api/v1/audit/events?action=service_account_token.revoke&status=failure: ' +
    'DELETE their tokens.',
  revocation_contradicted:
    'PipeOps acknowledged revocations and still shows the tokens alive. They are ordered again by themselves. If this stays, revoke ' +
    'them at PipeOps’ own console, and ask PipeOps why.',
  trail_unsealed:
    'Events of the trail wait for their seal for longer than they should. Sealing goes on by itself once R2 and D1 answer; until then the ' +
    'trail grows as always. See the log (event sealing_failed), and that the bucket of the binding TRAIL exists.',
  trail_forked:
    'What the log of the trail has stored is not what it assigned, so nothing is sealed any more: somebody has changed D1 or R2, or restored ' +
    'one of them. Find out who, keep both as they are for an auditor, and see docs/operate.md, “The log of the trail is stopped”.',
  trail_rolled_back:
    'Somebody outside D1 knows a larger log of the trail than D1 does, so D1 was restored to an earlier time. Nothing is sealed any more, and ' +
    'writes go on. See docs/operate.md, “The log of the trail is stopped”, and then: npm run countersign -- trail resume --reason "…".',
  trail_unauthentic:
    'D1 holds rows that this service has not written: their MAC is wrong. They give nobody any power. Find out who has access to the ' +
    'database, and see docs/operate.md, “A row is not authentic”.',
};

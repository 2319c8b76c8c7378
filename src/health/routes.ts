import type { Hono } from 'hono';
import { presentExpiring, presentUsage, selectExpiring, selectUsage } from '../aging/counts.ts';
import type { Policy } from '../config/policy.ts';
import { SESSION_IDLE_MS } from '../config/session-limits.ts';
import { err, ok } from '../kit/result.ts';
import { barOf, selectBar } from '../subjects/bars.ts';
import { actorOf } from '../trail/event.ts';
import type { Rejections } from '../trail/rejections.ts';
import { rfc3339OrNull } from '../kit/time.ts';
import type { Recorder } from '../trail/recorder.ts';
import type { Database, RowsOf } from '../db/database.ts';
import type { FieldErrors } from '../failures.ts';
import type { AppEnv } from '../http/context.ts';
import { authorise, refuseBarred } from '../http/access.ts';
import { failure, methodNotAllowed, success } from '../http/answer.ts';
import { noParameters } from '../http/query.ts';
import { selectHeld, selectNearLimit } from '../inventory/token-counts.ts';
import { mostTokensOf } from '../policy/decide.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { STATUS_OWNERS_MAX_COUNT } from '../config/limits.ts';
import type { Credentials } from '../pipeops/credentials.ts';
import type { Quota } from '../pipeops/quota.ts';
import { type CallBucket, usedCalls } from '../pipeops/quota-calls.ts';
import type { Window, WindowName } from '../pipeops/quota-windows.ts';
import { usablePresets } from '../policy/ceiling.ts';
import type { Runtime } from '../kit/runtime.ts';
import { presentListStates } from './lists.ts';
import { presentStanding, selectStanding } from '../trail/log/standing.ts';
import type { LogFiles } from '../trail/log/files.ts';
import { countsOf, selectNextScheduled, unsealedSeconds } from './open-work.ts';
import type { Health, NotReady, Readiness } from './readiness.ts';
import { type Degraded, NEXT_STEPS } from './reasons.ts';
import { presentCredentials, presentRenewal, presentUpstream } from './upstream.ts';

export interface HealthDependencies {
  readonly database: Database;
  readonly recorder: Recorder;
  readonly rejections: Rejections;
  readonly quota: Quota;
  readonly runtime: Runtime;
  readonly readiness: Readiness;
  readonly credentials: Pick<Credentials, 'inOrder'>;
  /** The ids of the keys that fingerprints of secrets are made with. The first key is the current one. */
  readonly fingerprintKeyIds: readonly string[];
  /** The scopes that each preset of the policy stands for. */
  readonly presets: Policy['presets'];
  /** The size at which D1 takes no more rows. */
  readonly d1MaxBytes: number;
  /** The version of the policy that decides. */
  readonly policyVersion: string;
  /** The files of the trail's log; null: the trail is not sealed. */
  readonly logFiles: Pick<LogFiles, 'witnesses'> | null;
}

/** Serves load balancers and alerts. The probes need no JWT, tell nothing about any caller, and make no call to PipeOps. */
export function registerProbes(app: Hono<AppEnv>, { readiness, runtime }: HealthDependencies): void {
  app.get('/healthz', noParameters, (c) => success(c, 'The process runs.', { healthy: true }));
  app.get('/readyz', noParameters, async (c) => {
    const { notReady, degraded, open } = await readiness.probe();
    if (open === null || notReady.length > 0) return failure(c, { kind: 'not_ready', names: namesOf(notReady) });
    const names = namesOf(degraded);
    const message = names.length > 0 ? `Ready, but look into: ${names.join(', ')}.` : 'Ready.';
    return success(c, message, {
      ready: true,
      not_ready: [],
      degraded: names,
      ...countsOf(open),
      ...unsealedSeconds(open, runtime.now()),
    });
  });
  app.all('/healthz', methodNotAllowed('GET'));
  app.all('/readyz', methodNotAllowed('GET'));
}

/** Tells callers what they may do, and tells those who may read the trail how the service is. */
export function registerStatusRoutes(app: Hono<AppEnv>, health: HealthDependencies): void {
  const { database, recorder, rejections, readiness, credentials, presets, quota, runtime } = health;

  app.get('/api/v1/whoami', noParameters, async (c) => {
    const caller = c.get('caller');
    const { issuer, subject, label, actorType, roles } = caller;
    const { session } = caller;
    const lives = await readLiveTokens(database, c.get('context'), caller, runtime.now());
    if (!lives.ok) {
      if (lives.error.kind !== 'audit_unavailable') rejections.record(c.get('context'), lives.error, actorOf(caller));
      return failure(c, lives.error);
    }
    return success(c, 'You are known here.', {
      issuer,
      subject,
      label,
      actor_type: actorType,
      roles: roles.map(({ name, permissions, tokens, workspaces, scopes, ...limits }) => ({
        name,
        permissions,
        tokens,
        workspaces,
        scopes,
        max_ttl_seconds: limits.maxTtlSeconds,
        presets: usablePresets({ scopes }, presets),
        max_tokens: limits.maxTokens,
        max_overlap_seconds: limits.maxOverlapSeconds,
      })),
      live_tokens: lives.value,
      session:
        session === undefined
          ? null
          : {
              started_at: rfc3339OrNull(session.started_at),
              ends_at: rfc3339OrNull(session.ends_at),
              idle_seconds: SESSION_IDLE_MS / 1000,
            },
    });
  });

  app.get('/api/v1/status', authorise(recorder, 'audit:read', 'status.read'), noParameters, async (c) => {
    const { caller, context } = c.var;
    const { notReady, degraded, open, renewal } = await readiness.look(context, caller);
    if (open === null) return failure(c, { kind: 'not_ready', names: namesOf(notReady), advice: adviceOn(notReady) });
    const { attempts, orders, refusedDeliveries, limits, calls, lists, outcomes, bar } = open;
    if (bar !== null) return await refuseBarred(c, recorder, 'status.read', bar);
    const nowMs = runtime.now();
    const more = await database.batch(context, [
      selectNearLimit(database, nowMs),
      selectNextScheduled(database),
      selectExpiring(database, nowMs),
      selectUsage(database, nowMs),
      ...selectStanding(database),
    ] as const);
    // A column that only these need may be of a migration that is not applied.
    if (!more.ok && notReady.length > 0) {
      return failure(c, { kind: 'not_ready', names: namesOf(notReady), advice: adviceOn(notReady) });
    }
    if (!more.ok) return failure(c, { kind: 'audit_unavailable' });
    const [nearLimit, [scheduled], [expiring], [usage], [log], [unsealed]] = more.value;
    quota.learn(limits, nowMs);
    return success(c, 'Status of this service.', {
      ready: notReady.length === 0,
      not_ready: notReady.map(presentNotReady),
      degraded: degraded.map(presentDegraded),
      upstream: presentUpstream(outcomes),
      policy: { version: health.policyVersion },
      open_attempts: { count: attempts.count, oldest_at: rfc3339OrNull(attempts.oldestMs) },
      orders: {
        open: orders.open,
        acknowledged: orders.acknowledged,
        failed: orders.failed,
        contradicted: orders.contradicted,
        oldest_at: rfc3339OrNull(orders.oldestMs),
        next_scheduled_at: rfc3339OrNull(scheduled?.next ?? null),
      },
      webhooks: { refused_24h: refusedDeliveries },
      fingerprint_keys: { current: health.fingerprintKeyIds[0] ?? null, missing: orders.missingKeyIds },
      lists: presentListStates(lists),
      token_limits: presentNearLimit(nearLimit),
      expiring: presentExpiring(expiring),
      usage: presentUsage(usage),
      quota: presentQuota(quota, calls, nowMs),
      credentials: presentCredentials(credentials.inOrder(), outcomes),
      credential_renewal: renewal === null ? null : presentRenewal(renewal),
      trail_log: presentStanding(health.logFiles, log, unsealed),
      d1_bytes: database.sizeBytes(),
      d1_max_bytes: health.d1MaxBytes,
      d1_nearly_full: readiness.isNearlyFull(),
    });
  });

  app.all('/api/v1/whoami', methodNotAllowed('GET'));
  app.all('/api/v1/status', methodNotAllowed('GET'));
}

const namesOf = <R extends string>(reasons: readonly { readonly reason: R }[]): readonly R[] =>
  reasons.map(({ reason }) => reason);

const presentNotReady = ({ reason, sinceMs, lacking }: NotReady) => ({
  reason,
  since: rfc3339OrNull(sinceMs),
  ...(lacking.length > 0 && { lacking }),
  what_to_do: NEXT_STEPS[reason],
});

const presentDegraded = ({ reason, sinceMs, lastAtMs, facts }: Degraded) => ({
  reason,
  since: rfc3339OrNull(sinceMs),
  last_at: rfc3339OrNull(lastAtMs),
  ...facts,
  what_to_do: NEXT_STEPS[reason],
});

/** What a reader of the trail is told where nothing else can be read. */
const adviceOn = (notReady: Health['notReady']): FieldErrors =>
  Object.fromEntries(
    notReady.map(({ reason, sinceMs, lacking }) => [
      reason,
      [
        `Since ${rfc3339OrNull(sinceMs)}. ${NEXT_STEPS[reason]}`,
        ...(lacking.length > 0 ? [`Missing: ${lacking.join(', ')}.`] : []),
      ],
    ]),
  );

/** `remaining` and `resets_at` are null where PipeOps has told nothing of the current window. */
function presentQuota(quota: Quota, calls: readonly CallBucket[], nowMs: number) {
  const { waitUntilMs, minute, hour, sizes } = quota.standing(nowMs);
  const window = (name: WindowName, told: Window | null) => ({
    limit: sizes[name],
    reserved: usedCalls(calls, name),
    remaining: told?.remaining ?? null,
    resets_at: rfc3339OrNull(told?.untilMs ?? null),
  });
  return { wait_until: rfc3339OrNull(waitUntilMs), minute: window('minute', minute), hour: window('hour', hour) };
}

/**
 * How many live tokens a caller holds in all workspaces, including its creates under way, and the most that any of its roles
 * allows. `limit` is null where no role allows a create. `count` is null where D1 does not answer: who a caller is and what it may
 * do is told without a database. But only D1 knows whether a session was ended, so whoever comes through one is told nothing without it.
 */
async function readLiveTokens(database: Database, context: RequestContext, caller: Caller, nowMs: number) {
  const limit = mostTokensOf(caller);
  const held = selectHeld(database, caller, nowMs);
  if (caller.session === undefined) {
    const read = await database.batch(context, [held]);
    return ok({ count: read.ok ? (read.value[0][0]?.held ?? 0) : null, limit });
  }
  const read = await database.batch(context, [held, selectBar(database, caller)] as const);
  if (!read.ok) return err({ kind: 'audit_unavailable' } as const);
  const bar = barOf(read.value[1][0]);
  return bar === null ? ok({ count: read.value[0][0]?.held ?? 0, limit }) : err(bar);
}

/** The owners above four fifths of what their roles allow, as `/status` shows them. `more`: there may be others. */
function presentNearLimit(rows: RowsOf<ReturnType<typeof selectNearLimit>>) {
  const shown = rows.slice(0, STATUS_OWNERS_MAX_COUNT);
  return {
    above_four_fifths: shown
      .filter(({ live, max_tokens }) => live * 5 > max_tokens * 4)
      .map(({ owner_issuer, owner_subject, live, max_tokens }) => ({
        issuer: owner_issuer,
        subject: owner_subject,
        live,
        limit: max_tokens,
      })),
    more: rows.length > shown.length,
  };
}

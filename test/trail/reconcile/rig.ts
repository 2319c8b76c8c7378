import { env } from 'cloudflare:workers';
import type { Database } from '../../../src/db/database.ts';
import { type AuditEventRow, upstreamLimits } from '../../../src/db/schema.ts';
import type { UpstreamFailure } from '../../../src/failures.ts';
import { freeKeyOf } from '../../../src/idempotency/keys.ts';
import { markRevoked } from '../../../src/inventory/inventory.ts';
import { noteUnauthentic } from '../../../src/inventory/mac-sweep.ts';
import { err, ok, type Result } from '../../../src/kit/result.ts';
import { createQuota } from '../../../src/pipeops/quota.ts';
import type { Call, PipeOps, TokenRef, UpstreamToken } from '../../../src/pipeops/types.ts';
import { createLabelMemory } from '../../../src/subjects/labels.ts';
import { createReconciler } from '../../../src/trail/reconcile/run.ts';
import { createRecorder } from '../../../src/trail/recorder.ts';
import { anyAttempt } from '../../support/no-macs.ts';
import { tokenList, upstreamToken } from '../../support/upstream-token.ts';
import { clock, context, database, LIMITED, NOT_FOUND, NOW, storeEvent } from '../../revocation/orders/leased.ts';

// A reconciler on a real D1, whose PipeOps says what a test wants, and what it leaves in D1.

export const OTHER = '0b0b0b0b-0000-4000-8000-000000000000';
/** Old enough to be looked into, and too young to be announced. */
export const OLD = NOW - 121_000;

let markers = 0;
/** The marker of this test: no other test has a create of it. */
const marker = (): string =>
  `-csgn-${String.fromCharCode(97 + Math.floor(markers / 26), 97 + (markers % 26)).repeat(8)}`;
/** One that no create has. */
export const anotherMarker = (): string => `${marker().slice(0, -1)}2`;
/** The listed token of the create of this test. */
export const named = (id = 'minted') => upstreamToken({ id, name: `deploy${marker()}` });
/** A token that no other test names: the trail says some things of a token once a day. */
export const ownTokenId = (): string => `minted-${markers}`;

/** Begins a test: it has a marker of its own, and nothing is open. */
export async function begin(): Promise<void> {
  markers += 1;
  const tables = [
    'attempt_reviews',
    'revocation_orders',
    'tokens',
    'workspaces',
    'idempotency_keys',
    'subject_blocks',
    'upstream_limits',
    'unauthentic_rows',
  ];
  await env.DB.batch([
    env.DB.prepare(
      `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
    ),
    ...tables.map((table) => env.DB.prepare(`delete from ${table}`)),
  ]);
}

export interface Terms {
  readonly shown?: readonly UpstreamToken[];
  readonly list?: UpstreamFailure;
  readonly get?: Result<UpstreamToken, UpstreamFailure>;
  readonly revoke?: UpstreamFailure | { readonly throws: unknown };
  /** After how many calls the rest of the quota is kept for others. */
  readonly waitsAfter?: number;
  /** How long each call of PipeOps takes. */
  readonly callMs?: number;
  readonly takes?: (batch: number) => boolean;
  readonly hasNews?: boolean;
  /** What is done while PipeOps is asked for a token. */
  readonly meanwhile?: () => Promise<unknown>;
  /** The row that this service has not recorded. */
  readonly forged?: string;
}
export function rig({
  shown = [],
  list,
  get = err(NOT_FOUND),
  revoke,
  waitsAfter = Infinity,
  callMs = 0,
  takes,
  hasNews,
  meanwhile,
  forged,
}: Terms = {}) {
  let nowMs = NOW;
  let batches = 0;
  const calls: string[] = [];
  const lines: unknown[] = [];
  const options: Call[] = [];
  const grants: unknown[] = [];
  const deadlines: number[] = [];
  const batch: Database['batch'] = async (...sent) => {
    batches += 1;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
    return takes?.(batches) === false ? (err('rejected') as never) : await database.batch(...sent);
  };
  const db: Database = { ...database, batch };
  const called = async <T>(name: string, call: Call, answer: Result<T, UpstreamFailure>) => {
    calls.push(name);
    options.push(call);
    nowMs += callMs;
    return await Promise.resolve(answer.ok ? ok({ status: 200, data: answer.value }) : answer);
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- reconciliation asks for nothing else
  const pipeops = {
    list: async (workspace: string, call: Call) =>
      await called(`list ${workspace}`, call, list === undefined ? ok(tokenList(shown)) : err(list)),
    get: async ({ tokenId }: TokenRef, call: Call) => {
      await meanwhile?.();
      return await called(`get ${tokenId}`, call, get);
    },
    revoke: async ({ workspaceUuid, tokenId }: TokenRef, call: Call) => {
      if (revoke !== undefined && 'throws' in revoke) throw revoke.throws;
      return await called(
        `revoke ${workspaceUuid} ${tokenId}`,
        call,
        revoke === undefined ? ok('revoked') : err(revoke),
      );
    },
  } as unknown as PipeOps;
  const real = createQuota();
  const quota: typeof real = {
    ...real,
    permit: (...asked) => (calls.length < waitsAfter ? real.permit(...asked) : LIMITED),
    reserve: (...asked) => {
      const reservation = real.reserve(...asked);
      return {
        ...reservation,
        grant: (...granted) => {
          grants.push(granted[1]);
          return reservation.grant(...granted);
        },
      };
    },
    reservedCalls: (block) => {
      const reserved = real.reservedCalls(block);
      return { ...reserved, end: () => (calls.push('end'), reserved.end()) };
    },
    news: () => (hasNews === true ? [db.build.insert(upstreamLimits).values({ scope: 'news', until: 1 })] : []),
  };
  const runtime = {
    ...clock,
    now: () => nowMs,
    sleep: async () => await Promise.resolve(),
    log: (line: unknown) => void lines.push(line),
    timeout: (ms: number) => {
      deadlines.push(ms);
      return new AbortController().signal;
    },
  };
  const reconciler = createReconciler({
    database: db,
    recorder: createRecorder({ database: db, runtime, labels: createLabelMemory() }),
    pipeops,
    quota,
    runtime,
    reconcileAfterSeconds: 120,
    attempts: { isAuthentic: (row) => row.id !== forged && anyAttempt.isAuthentic(row) },
    noteUnauthentic: (eventId, atMs) => noteUnauthentic(db, 'attempt', [eventId], atMs),
    markRevoked: (ref, atMs, guard, end) => markRevoked(db, ref, atMs, guard, end),
    freeKeyOf: (eventId, guard) => freeKeyOf(db, eventId, guard),
  });
  const trips = () => batches;
  return {
    reconciler,
    calls,
    lines,
    options,
    grants,
    deadlines,
    trips,
    run: async () => await reconciler.run(context),
  };
}

export const attempt = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await storeEvent({
    occurred_at: OLD,
    action: 'service_account_token.update',
    actor_type: 'user',
    token_id: 'token-1',
    ...values,
  });
export const create = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await attempt({
    action: 'service_account_token.create',
    token_id: null,
    token_name: 'deploy',
    marker: marker(),
    ...values,
  });
export const revoke = async (values: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  await attempt({ action: 'service_account_token.revoke', ...values });

export const eventOf = async (id: string) =>
  await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
export const lastSeq = async (): Promise<number> =>
  (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
export const eventsSince = async (seq: number) =>
  (await env.DB.prepare('select * from audit_events where seq > ? order by seq').bind(seq).all<AuditEventRow>())
    .results;
export const orders = async () => (await env.DB.prepare('select * from revocation_orders order by id').all()).results;
export const tokenOf = async (id = 'token-1') =>
  await env.DB.prepare('select revoked_at, ended_by, name, scopes from tokens where token_id = ?').bind(id).first();
/** The workspaces whose generation was raised. */
export const raised = async () =>
  (await env.DB.prepare('select workspace_uuid from workspaces where generation > 0').all()).results.map(
    ({ workspace_uuid: workspace }) => workspace,
  );
export const isReviewed = async (id: string) =>
  (await env.DB.prepare('select 1 from attempt_reviews where event_id = ?').bind(id).first()) !== null;
/** The rows that were noted as not recorded by this service. */
export const unauthentic = async () => (await env.DB.prepare('select * from unauthentic_rows').all()).results;
/** Holds an idempotency key for each of these creates. */
export const hold = async (...events: string[]): Promise<void> => {
  for (const id of events) {
    await env.DB.prepare(
      `insert into idempotency_keys (key_hash, request_fingerprint, event_id, expires_at) values (?1, 'f', ?1, 1)`,
    )
      .bind(id)
      .run();
  }
};
/** The creates whose idempotency keys are held. */
export const held = async () =>
  (await env.DB.prepare('select event_id from idempotency_keys order by 1').all()).results.map(
    ({ event_id: id }) => id,
  );

import type { Database } from '../db/database.ts';
import type { UpstreamFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Buckets } from './call-buckets.ts';
import type { Purpose } from './quota-windows.ts';
import type { Quota } from './quota.ts';
import type { Call } from './types.ts';

/** Lets a request go to PipeOps once its call is reserved. */
export interface CallGate {
  /** Null: go ahead, now. Else why it must not be sent. */
  pass(purpose: Purpose, workspaceUuid: string, call: Call): Promise<UpstreamFailure | null>;
}

/**
 * The gate that every request passes, each try and each page by itself: what PipeOps is known to say, then the calls that the
 * caller of a read may cause, the calls that its work has reserved and then, in a trip to D1 of its own, one that nobody else has.
 *
 * Where D1 does not answer, the call is sent and counted as soon as D1 answers again: a token that must not live on is not kept
 * alive by our own counting, and nothing that needs D1 gets much further without it.
 */
export function createCallGate(database: Database, quota: Quota, runtime: Pick<Runtime, 'now'>): CallGate {
  const reserve = async (purpose: Purpose, call: Call): Promise<UpstreamFailure | null> => {
    const nowMs = runtime.now();
    const block = call.allowance?.block ?? 1;
    const reservation = quota.reserve(database, purpose, block, nowMs);
    const reserved = await database.batch(call, reservation.queries);
    if (!reserved.ok) {
      quota.owe(nowMs);
      return null;
    }
    const grant = reservation.grant(reserved.value[0]);
    if (call.allowance === undefined) return grant.calls > 0 ? null : grant.refusal;
    call.allowance.add(grant);
    return call.allowance.take() ? null : grant.refusal;
  };

  /** While PipeOps says wait for long, one revocation a minute finds out whether it still does. */
  const tryAllTheSame = async (call: Call, refusal: UpstreamFailure): Promise<UpstreamFailure | null> => {
    const nowMs = runtime.now();
    if (!quota.mayTry(nowMs)) return refusal;
    const tried = await database.batch(call, quota.takeTry(database, nowMs));
    if (!tried.ok || tried.value[0].length === 0) return refusal;
    quota.trying();
    if (call.allowance?.take() !== true) quota.owe(nowMs);
    return null;
  };

  return {
    pass: async (purpose, workspaceUuid, call) => {
      const nowMs = runtime.now();
      const refusal = quota.permit(purpose, workspaceUuid, nowMs);
      if (refusal !== null) return purpose === 'revocation' ? await tryAllTheSame(call, refusal) : refusal;
      const giveBack = call.calls?.take(nowMs) ?? null;
      if (call.calls !== undefined && giveBack === null) {
        return { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: call.calls.waitSeconds(nowMs) };
      }
      if (call.allowance?.take() === true) return null;
      const unreserved = call.allowance?.refusal() ?? (await reserve(purpose, call));
      if (unreserved !== null) giveBack?.();
      return unreserved;
    },
  };
}

/** Calls that were reserved together. */
export interface Grant {
  readonly calls: number;
  readonly at: Buckets;
  /** Why they are fewer than were asked for; null: they are not. */
  readonly refusal: UpstreamFailure | null;
}

/**
 * The calls to PipeOps that are reserved for one piece of work, and not sent yet: a mutation reserves its own with its first row,
 * a run of orders a block with its claim. Beyond them each further call (a page, a retry, a read-back) is reserved when it is
 * wanted.
 */
export interface Allowance {
  /** How many are reserved at once when none is left. */
  readonly block: number;
  add(grant: Grant): void;
  /** Uses one up; false: none is left. */
  take(): boolean;
  /** Why none was granted when they were last asked for; null: that is not known. */
  refusal(): UpstreamFailure | null;
  /** The work is over: what is left of it is given back. */
  end(): void;
}

/** @param giveBack takes what nobody sends any more. */
export function createAllowance(block: number, giveBack: (at: Buckets, calls: number) => void): Allowance {
  let left: readonly Grant[] = [];
  let refusal: UpstreamFailure | null = null;
  return {
    block,
    add: (grant) => {
      refusal = grant.refusal;
      if (grant.calls > 0) left = [...left, grant];
    },
    take: () => {
      const [first, ...rest] = left;
      if (first === undefined) return false;
      left = first.calls > 1 ? [{ ...first, calls: first.calls - 1 }, ...rest] : rest;
      return true;
    },
    refusal: () => refusal,
    end: () => {
      for (const { at, calls } of left) giveBack(at, calls);
      left = [];
    },
  };
}

import { sql, type SQL } from 'drizzle-orm';
import { settleEventWhere } from '../trail/statements.ts';
import { failureOutcome, settledColumns, successOutcome } from '../trail/event.ts';
import type { Failure } from '../failures.ts';
import { insertOrder, isOrder, openRevocation, replaceGivenUp } from '../inventory/orders.ts';
import type { Caller } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { isProvenEnd } from '../inventory/looks.ts';
import { markRevoked } from '../inventory/inventory.ts';
import { type Allowed, type LeftOpen, runMutation } from './mutation.ts';
import { findInWorkspace } from '../inventory/reach.ts';
import type { TokenRequest } from './requests.ts';
import { ORDER_STATE } from '../revocation/orders/states.ts';

interface Revocable extends Allowed {
  /** The end of the token is proven, so PipeOps is not asked. */
  readonly isEnded: boolean;
}

/**
 * Revokes a token. A revoke is done when PipeOps acknowledges it, and an order has the end looked at later. A token whose end is
 * proven counts as revoked, and PipeOps is not asked.
 *
 * A 404 proves nothing: the revoke fails with `revocation_pending`, and an order goes on with it.
 */
export async function revokeToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  ref: TokenRequest,
): Promise<Result<'revoked' | 'already_gone', Failure>> {
  const { database, decide, pipeops, runtime } = dependencies;
  const order = { cause: 'caller', mode: 'revoke', ...ref } as const;

  return await runMutation<'revoked' | 'already_gone', Revocable>(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.revoke',
      workspaceUuid: ref.workspaceUuid,
      tokenId: ref.tokenId,
      tokenName: null,
      detail: {},
    },
    purpose: 'revocation',
    decide: async (known, call) => {
      const located = await findInWorkspace(pipeops, caller, ref, known, call);
      if (!located.ok) return located;
      const decision = decide(caller, {
        operation: 'revoke',
        workspaceUuid: ref.workspaceUuid,
        token: located.value?.token ?? null,
      });
      if (!decision.allowed) return err(decision.failure);
      return ok({ grant: decision.grant, isEnded: known !== undefined && isProvenEnd(known) });
    },
    perform: async ({ isEnded }, call) =>
      isEnded ? ok({ status: null, data: 'already_gone' }) : await pipeops.revoke(ref, call),
    outcome: ({ grant }, { status, data }) =>
      successOutcome(status, { role: grant.role, ...(data === 'already_gone' && { already_gone: true }) }),
    following:
      ({ eventId }, data) =>
      (guard) => {
        const nowMs = runtime.now();
        const replaced = replaceGivenUp(database, ref, guard);
        return data === 'already_gone'
          ? [replaced]
          : [
              markRevoked(database, ref, nowMs, guard),
              insertOrder(database, { id: eventId, state: ORDER_STATE.acknowledged, nowMs, ...order }, guard),
              replaced,
            ];
      },
    leftOpen: ({ eventId }, failure, guard) =>
      failure.kind === 'upstream_not_found' ? leftPending(dependencies, ref, eventId, failure.status, guard) : null,
  });
}

/**
 * Leaves the row of a revoke open that PipeOps answered with 404: an order under the id of this event goes on with it and settles the
 * row. Where another order revokes the token already, the row is settled now and names that order.
 */
function leftPending(
  { database, runtime }: TokenDependencies,
  ref: TokenRequest,
  eventId: string,
  status: number,
  guard: SQL,
): LeftOpen {
  const nowMs = runtime.now();
  const failure = { kind: 'revocation_pending', status } as const;
  const other = openRevocation(ref);
  const order = { id: eventId, cause: 'caller', mode: 'revoke', state: ORDER_STATE.open, nowMs, ...ref } as const;
  const settled = settledColumns(nowMs, ref.tokenId, failureOutcome(failure));
  return {
    failure,
    queries: [
      settleEventWhere(
        database,
        eventId,
        { ...settled, outcome: sql`json_object('order', ${other})` },
        sql`${guard} and ${other} is not null and not ${isOrder(eventId)}`,
      ),
      insertOrder(database, order, guard),
    ],
  };
}

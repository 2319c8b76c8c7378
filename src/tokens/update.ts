import { or, sql, type SQL } from 'drizzle-orm';
import { withMarker } from '../kit/marker.ts';
import { successOutcome } from '../trail/event.ts';
import type { Failure, PolicyFailure, UpstreamFailure } from '../failures.ts';
import type { TokenRow } from '../db/schema.ts';
import { isOvertaken, liftOrders } from '../inventory/orders.ts';
import { purposeOf } from '../pipeops/requests.ts';
import type { Answered, Call, TokenRef, UpdateCommand, UpstreamToken } from '../pipeops/types.ts';
import type { Caller, Grant, KnownToken, ResultingToken } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { sha256Hex } from '../kit/digest.ts';
import { msOrNull } from '../kit/time.ts';
import type { SuspensionReason } from '../vocabulary.ts';
import type { TokenDependencies } from './dependencies.ts';
import { contradictionOfUpdate, withCame } from './effects.ts';
import { recordChanges } from '../inventory/grant.ts';
import { addSuspension, isSuspendedBeyond, isToken, liftSuspensions } from '../inventory/inventory.ts';
import { runMutation, type Allowed, type Performed } from './mutation.ts';
import { named, type ShownToken } from '../reads/present.ts';
import { findInWorkspace, ownMarkerOf } from '../inventory/reach.ts';
import type { TokenChanges, UpdateRequest } from './requests.ts';

/** An update that policy allows, as it is carried out. */
interface Changeable extends Allowed {
  /** The marker that ends the token's name at PipeOps, if it is one of ours. */
  readonly marker: string | null;
  /** What PipeOps is asked to change. It may be empty. */
  readonly command: UpdateCommand;
  /** The token as PipeOps has it; null: it was not asked. */
  readonly current: Answered<UpstreamToken> | null;
  /** Why the token is suspended; null: it is no suspension. */
  readonly suspends: SuspensionReason | null;
  /** The reasons of its suspension that a resume lifts, and those that it leaves. */
  readonly lifted: readonly SuspensionReason[];
  readonly left: readonly SuspensionReason[];
}

/** Room in the outcome of a row for the id of the order that undoes its update. */
const ORDER_DETAIL_BYTES = 50;

/**
 * Changes a token. An update that names scopes, or resumes a suspended token, is judged on the token that it results in. Renaming and
 * suspending need only a token within reach.
 *
 * A resume lifts the reasons that its caller may lift. PipeOps hears of it only where no reason is left.
 */
export async function updateToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  request: UpdateRequest,
): Promise<Result<ShownToken, Failure>> {
  const { database, pipeops } = dependencies;
  const { workspaceUuid, tokenId, changes } = request;
  const ref = { workspaceUuid, tokenId };

  return await runMutation<ShownToken, Changeable>(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.update',
      workspaceUuid,
      tokenId,
      tokenName: changes.name ?? null,
      detail: await recordedChanges(changes),
    },
    purpose: purposeOf(changes),
    // The resulting token is judged on what PipeOps has, which takes a GET beside the PATCH.
    calls: changes.scopes !== undefined || changes.isActive === true ? 2 : 1,
    decide: async (known, call) => await decideUpdate(dependencies, context, caller, request, known, call),
    perform: async ({ command, current, marker }, call): Promise<Result<Performed<ShownToken>, UpstreamFailure>> => {
      const isUntold = current !== null && Object.keys(command).length === 0;
      const answered = isUntold ? ok(current) : await pipeops.update(ref, command, call);
      const done = answered.ok && !isUntold ? obeyed(command, answered.value) : answered;
      return done.ok ? ok({ ...done.value, data: named(done.value.data, { marker }) }) : done;
    },
    outcome: ({ grant, lifted, left }, { status }) =>
      successOutcome(status, {
        role: grant.role,
        ...(lifted.length > 0 && { lifted }),
        ...(left.length > 0 && { still_suspended_by: left }),
      }),
    following:
      (_attempt, _token, { command, suspends, lifted }) =>
      (guard) => [
        ...(suspends === null ? [] : [addSuspension(database, isToken(ref) ?? sql`false`, suspends, guard)]),
        ...(lifted.length === 0 ? [] : [liftSuspensions(database, ref, lifted, guard)]),
        ...(command.isActive === true ? [liftOrders(database, ref, guard)] : []),
        ...(changes.name === undefined && changes.scopes === undefined
          ? []
          : [recordChanges(database, ref, changes, guard)]),
      ],
    overtaken: ({ eventId }, { command, lifted }) => overtakenWhere(dependencies, eventId, ref, command, lifted),
  });
}

/**
 * The condition under which an update must not stand; null: it may stand anyway. A token that is to be revoked or suspended, or that
 * somebody else has suspended meanwhile, must not come alive by a change that was under way beside that. An update that only suspends,
 * or of which PipeOps hears nothing, brings nothing to life.
 */
function overtakenWhere(
  { database }: TokenDependencies,
  eventId: string,
  ref: TokenRef,
  command: UpdateCommand,
  lifted: readonly SuspensionReason[],
): SQL | null {
  if (Object.keys(command).length === 0 || purposeOf(command) === 'revocation') return null;
  const isBarred = isOvertaken(database, eventId, ref);
  return command.isActive === true ? (or(isBarred, isSuspendedBeyond(ref, lifted)) ?? isBarred) : isBarred;
}

/** PipeOps' acknowledgement of an update, unless what it shows contradicts it. */
function obeyed(
  command: UpdateCommand,
  answered: Answered<UpstreamToken>,
): Result<Answered<UpstreamToken>, UpstreamFailure> {
  const came = contradictionOfUpdate(command, answered.data);
  if (came === null) return ok(answered);
  const detail = withCame({}, came, ORDER_DETAIL_BYTES);
  return err({ kind: 'upstream_disobeyed', status: answered.status, detail });
}

async function decideUpdate(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, tokenId, changes }: UpdateRequest,
  known: TokenRow | undefined,
  call: Call,
): Promise<Result<Changeable, PolicyFailure | UpstreamFailure>> {
  const { database, decide, pipeops } = dependencies;
  const ref = { workspaceUuid, tokenId };
  const located = await findInWorkspace(pipeops, caller, ref, known, call);
  if (!located.ok) return located;
  const token = located.value?.token ?? null;
  const resumes = changes.isActive === true;
  const judged = (resulting: ResultingToken | null): Result<Grant, PolicyFailure> => {
    const decision = decide(caller, {
      operation: 'update',
      workspaceUuid,
      token,
      resulting,
      namedScopes: changes.scopes ?? null,
      resumes,
    });
    return decision.allowed ? ok(decision.grant) : err(decision.failure);
  };

  const withinReach = judged(null);
  if (!withinReach.ok || located.value === null || token === null) {
    return withinReach.ok ? err({ kind: 'token_not_found', reason: 'unknown' }) : withinReach;
  }
  // The inventory lacks the token: its name may only look as if it ended with a marker.
  const marker =
    known === undefined
      ? await ownMarkerOf(database, context, workspaceUuid, located.value.marker)
      : located.value.marker;
  const carriedOut = (grant: Grant, current: Changeable['current']): Changeable => {
    const { lifted, left } = resumes ? afterResume(token, grant) : { lifted: [], left: [] };
    const { isActive, ...others } = changes;
    const command = commandFor(left.length > 0 || isActive === undefined ? others : { ...others, isActive }, marker);
    return {
      grant,
      marker,
      command,
      current,
      suspends: isActive === false ? reasonOf(caller, token) : null,
      lifted,
      left,
    };
  };
  if (changes.scopes === undefined && !resumes) return ok(carriedOut(withinReach.value, null));
  // PipeOps' console may have changed the token behind our back.
  const current = await pipeops.get(ref, call);
  if (!current.ok) return current;
  const { scopes, expiresAt } = current.value.data;
  const grant = judged({ scopes: changes.scopes ?? scopes, expiresAtMs: msOrNull(expiresAt) });
  return grant.ok ? ok(carriedOut(grant.value, current.value)) : grant;
}

/** Parts the reasons for which a token is suspended into those that this grant lifts and those that it leaves. */
const afterResume = ({ suspendedBy }: KnownToken, { lifts }: Grant) => ({
  lifted: suspendedBy.filter((reason) => lifts.includes(reason)),
  left: suspendedBy.filter((reason) => !lifts.includes(reason)),
});

const reasonOf = ({ issuer, subject }: Caller, { owner }: KnownToken): SuspensionReason =>
  owner?.issuer === issuer && owner.subject === subject ? 'owner' : 'administrator';

/** What PipeOps is asked to change. A renamed token keeps its marker, without which its create could not be recognised. */
const commandFor = ({ name, ...changes }: TokenChanges, marker: string | null): UpdateCommand => ({
  ...changes,
  ...(name !== undefined && { name: marker === null ? name : withMarker(name, marker) }),
});

/** What the trail keeps of an update: enough to recognise its effect. The digest stands for a description, which may be long. */
async function recordedChanges(changes: TokenChanges): Promise<Record<string, unknown>> {
  const { name, description, scopes, isActive } = changes;
  return {
    // The new name is the event's `token_name`. A row of 2 KB has no room for it twice.
    ...(name !== undefined && { name: true }),
    ...(description !== undefined && { description_sha256: await sha256Hex(description) }),
    ...(scopes !== undefined && { scopes }),
    ...(isActive !== undefined && { is_active: isActive }),
  };
}

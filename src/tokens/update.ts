import { successOutcome } from '../audit/outcomes.ts';
import type { Failure, PolicyFailure, UpstreamFailure } from '../failures.ts';
import { purposeOf } from '../pipeops/commands.ts';
import type { Call, UpdateCommand } from '../pipeops/types.ts';
import type { Caller, ResultingToken } from '../policy/types.ts';
import type { RequestContext } from '../request-context.ts';
import type { TokenRow } from '../db/schema.ts';
import { err, ok, type Result } from '../result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { withMarker } from '../audit/marker.ts';
import { SUSPENSION_REASONS } from '../vocabulary.ts';
import { liftSuspensions } from './inventory.ts';
import { runMutation, type Allowed } from './mutation.ts';
import { heldMarkerOf } from '../inventory/markers.ts';
import { named, type ShownToken } from './present.ts';
import { findInWorkspace } from './reach.ts';
import { sha256Hex } from '../text/digest.ts';
import { msOrNull } from '../times.ts';
import type { TokenChanges, UpdateRequest } from './types.ts';

/**
 * Changes a token. An update that names scopes, or resumes a suspended token, is judged on the token it results in;
 * renaming and suspending need only a token within reach.
 */
export async function updateToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  request: UpdateRequest,
): Promise<Result<ShownToken, Failure>> {
  const { workspaceUuid, tokenId, changes } = request;

  return await runMutation(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.update',
      workspaceUuid,
      tokenId,
      tokenName: changes.name ?? null,
      detail: await recordedChanges(changes),
    },
    purpose: purposeOf(changes),
    decide: async (known, call) => await decideUpdate(dependencies, context, caller, request, known, call),
    perform: async ({ marker }, call) => {
      const updated = await dependencies.pipeops.update({ workspaceUuid, tokenId }, commandFor(changes, marker), call);
      return updated.ok ? ok({ ...updated.value, data: named(updated.value.data, { marker }) }) : updated;
    },
    outcome: (grant, answer) => successOutcome(answer.status, { role: grant.role }),
    following: () => (guard) =>
      changes.isActive === true
        ? [liftSuspensions(dependencies.database, { workspaceUuid, tokenId }, SUSPENSION_REASONS, guard)]
        : [],
  });
}

interface Renameable extends Allowed {
  readonly marker: string | null;
}

async function decideUpdate(
  { database, decide, pipeops }: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  { workspaceUuid, tokenId, changes }: UpdateRequest,
  known: TokenRow | undefined,
  call: Call,
): Promise<Result<Renameable, PolicyFailure | UpstreamFailure>> {
  const ref = { workspaceUuid, tokenId };
  const found = await findInWorkspace(pipeops, caller, ref, known, call);
  if (!found.ok) return found;
  const token = found.value?.token ?? null;
  const foundMarker = found.value?.marker ?? null;
  // Of a token that the inventory lacks only its name is known.
  const marker = known === undefined ? await heldMarkerOf(database, context, workspaceUuid, foundMarker) : foundMarker;
  const resumes = changes.isActive === true;
  const judged = (resulting: ResultingToken | null): Result<Renameable, PolicyFailure> => {
    const decision = decide(caller, { operation: 'update', workspaceUuid, token, resulting, resumes });
    return decision.allowed ? ok({ grant: decision.grant, marker }) : err(decision.failure);
  };

  const withinReach = judged(null);
  if (!withinReach.ok || (changes.scopes === undefined && !resumes)) return withinReach;
  // PipeOps is asked, since its console may have changed the token behind our back.
  const current = await pipeops.get(ref, call);
  if (!current.ok) return current;
  const { scopes, expiresAt } = current.value.data;
  return judged({ scopes: changes.scopes ?? scopes, expiresAtMs: msOrNull(expiresAt) });
}

/** A renamed token keeps its marker: without it, its create could no longer be recognised. */
const commandFor = ({ name, ...changes }: TokenChanges, marker: string | null): UpdateCommand => ({
  ...changes,
  ...(name !== undefined && { name: marker === null ? name : withMarker(name, marker) }),
});

/** What the trail keeps of an update: enough to read it back by. A description may be long, so its digest stands in. */
async function recordedChanges(changes: TokenChanges): Promise<Record<string, unknown>> {
  const { name, description, scopes, isActive } = changes;
  return {
    // The new name is the event's own `token_name`; here it would be twice in a row of 2 KB.
    ...(name !== undefined && { name: true }),
    ...(description !== undefined && { description_sha256: await sha256Hex(description) }),
    ...(scopes !== undefined && { scopes }),
    ...(isActive !== undefined && { is_active: isActive }),
  };
}

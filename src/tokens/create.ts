import { SCOPES_MAX_COUNT } from '../config/limits.ts';
import type { Failure } from '../failures.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { newMarker } from '../kit/marker.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { msOrNull } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import { mostTokensOf } from '../policy/decide.ts';
import type { Caller } from '../policy/types.ts';
import type { TokenDependencies } from './dependencies.ts';
import { entering, mint, mintedOf, outcomeOfMint } from './minting.ts';
import { runMutation } from './mutation.ts';
import type { CreateRequest } from './requests.ts';

/** The answer to a create. */
export interface CreateAnswer {
  /** The token with its secret, as PipeOps' clients read it. */
  readonly data: unknown;
  /** Whether it was given before, to the first request with its key. */
  readonly isReplay: boolean;
}

/**
 * Mints a token. Its name at PipeOps ends with a random marker: nothing else tells a create whose answer was lost from another. The
 * secret is in the result and, sealed, in the answer that is kept under a key, and nowhere else.
 *
 * @param keyed the request's `Idempotency-Key`; null: it has none, and a repeat mints another token.
 */
export async function createToken(
  dependencies: TokenDependencies,
  context: RequestContext,
  caller: Caller,
  request: CreateRequest,
  keyed: KeyedRequest | null,
): Promise<Result<CreateAnswer, Failure>> {
  const { decide, runtime, tokenLimit } = dependencies;
  const { workspaceUuid, name, description, preset } = request;
  const asked = {
    operation: 'create',
    workspaceUuid,
    scopes: request.scopes,
    preset,
    expiresAtMs: msOrNull(request.expiresAt),
    heldTokens: 0,
  } as const;
  const here = tokenLimit(caller, asked);
  const marker = newMarker((length) => runtime.randomBytes(length));
  const beganAtMs = runtime.now();
  const minting = { workspaceUuid, name, description, marker, beganAtMs, keyed, replaces: null } as const;

  const created = await runMutation(dependencies, context, caller, {
    subject: {
      action: 'service_account_token.create',
      workspaceUuid,
      tokenId: null,
      tokenName: name,
      detail: {
        ...(request.scopes !== null && { scopes: request.scopes }),
        ...(preset !== null && { preset, ...presetDetail(dependencies.presetScopes(preset), request.scopes ?? []) }),
        ...(request.expiresAt !== null && { expires_at: request.expiresAt }),
      },
      marker,
    },
    // A create that policy refuses whatever its owner has reserves nothing.
    reserves: here === null ? null : { owner: caller, limit: { here, anywhere: mostTokensOf(caller) ?? here } },
    decide: async (_known, _call, heldTokens) => {
      const decision = decide(caller, { ...asked, heldTokens });
      return decision.allowed ? ok({ grant: decision.grant }) : err(decision.failure);
    },
    perform: async ({ grant }, call) => await mint(dependencies, minting, grant, call),
    outcome: ({ grant }, performed) => outcomeOfMint(minting, grant, asked.expiresAtMs, performed),
    following: (attempt, minted, { grant }) => entering(dependencies, context, caller, minting, attempt, minted, grant),
    minted: (minted) => mintedOf(workspaceUuid, minted),
    keyed: keyed === null ? null : { request: keyed, replayed: (answer) => ({ answer, isReplay: true }) },
  });
  return created.ok ? ok({ data: created.value.answer, isReplay: 'isReplay' in created.value }) : created;
}

/**
 * What a preset stood for when it was asked for, beyond the scopes that the request names itself: whoever asks the trail for a scope
 * finds it, whatever became of the preset since. A row has room for as many scopes as a request may name.
 */
function presetDetail(stoodFor: readonly string[], named: readonly string[]) {
  const scopes = stoodFor.filter((scope) => !named.includes(scope));
  const shown = scopes.slice(0, SCOPES_MAX_COUNT - named.length);
  const more = scopes.length - shown.length;
  return { ...(shown.length > 0 && { preset_scopes: shown }), ...(more > 0 && { more_preset_scopes: more }) };
}

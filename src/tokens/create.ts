import { SCOPES_MAX_COUNT } from '../config/limits.ts';
import { successOutcome } from '../trail/event.ts';
import { codeOf, type Failure, type UpstreamFailure } from '../failures.ts';
import { keepAnswer } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { isElsewhere } from '../kit/ids.ts';
import type { MintedToken, TokenRef } from '../pipeops/types.ts';
import { mostTokensOf } from '../policy/decide.ts';
import type { Caller, Grant } from '../policy/types.ts';
import type { RequestContext } from '../kit/trace.ts';
import { err, ok, type Result } from '../kit/result.ts';
import type { TokenDependencies } from './dependencies.ts';
import { grantColumns } from '../inventory/grant.ts';
import { insertToken } from '../inventory/inventory.ts';
import { newMarker, withMarker } from '../kit/marker.ts';
import { runMutation, type Minted } from './mutation.ts';
import { presentMinted } from '../reads/present.ts';
import { labelKey } from '../subjects/labels.ts';
import { sha256Hex } from '../kit/digest.ts';
import { rfc3339OrNull, msOrNull } from '../kit/time.ts';
import { cameOfCreate, contradiction, type Granted, readLeftOut, withCame } from './effects.ts';
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
  const { database, decide, fingerprints, pipeops, runtime, tokenLimit } = dependencies;
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
  const beganAtMs = runtime.now();
  const marker = newMarker((length) => runtime.randomBytes(length));

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
    perform: async ({ grant }, call) => {
      const answered = await pipeops.create(
        {
          workspaceUuid,
          name: withMarker(name, marker),
          description,
          // Policy has judged what a preset stands for here, so PipeOps is not asked what it means.
          scopes: grant.scopes ?? [],
          expiresAt: rfc3339OrNull(grant.expiresAtMs),
        },
        call,
      );
      if (!answered.ok) return answered;
      const { status } = answered.value;
      const granted = grantedBy(workspaceUuid, grant);
      const whole = await readLeftOut(dependencies, granted, answered.value.data, call);
      const token = whole.ok ? whole.value : answered.value.data;
      const fingerprint = await fingerprints.of(await sha256Hex(token.secret));
      const answer = presentMinted(token, description, runtime.now());
      const sealed = keyed === null ? null : await keyed.seal(JSON.stringify(answer));
      const refusal = whole.ok ? refusalOf(granted, token, status) : unread(whole.error);
      return ok({ status, data: { ...token, fingerprint, answer, sealed, refusal } });
    },
    outcome: ({ grant }, { status, data }) => {
      const detail = {
        role: grant.role,
        ...(grant.expiresAtMs !== msOrNull(request.expiresAt) && {
          granted_expires_at: rfc3339OrNull(grant.expiresAtMs),
        }),
      };
      const came = cameOfCreate(grantedBy(workspaceUuid, grant), data);
      return { ...successOutcome(status, withCame(detail, came)), tokenId: data.id };
    },
    following:
      (attempt, minted, { grant }) =>
      (guard) => [
        insertToken(
          database,
          {
            workspace_uuid: workspaceUuid,
            token_id: minted.id,
            owner_issuer: caller.issuer,
            owner_subject: caller.subject,
            marker,
            create_event_id: attempt.eventId,
            created_at: runtime.now(),
            expires_at: msOrNull(minted.expiresAt),
            owner_label: caller.label === null ? null : labelKey(caller.label),
            token_prefix: minted.tokenPrefix,
            fingerprint: minted.fingerprint.value,
            fingerprint_key_id: minted.fingerprint.keyId,
            ...grantColumns(
              { ...grant, scopes: grant.scopes ?? [], name, policyVersion: context.policyVersion },
              beganAtMs,
            ),
          },
          guard,
        ),
        ...(keyed === null ? [] : [keepAnswer(database, keyed, attempt.eventId, minted.sealed, guard)]),
      ],
    minted: ({ id, workspaceId, refusal }) => ({
      refs: [{ workspaceUuid, tokenId: id }, ...elsewhere(workspaceUuid, id, workspaceId)],
      refusal,
    }),
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

const grantedBy = (workspaceUuid: string, { scopes, expiresAtMs }: Grant): Granted => ({
  workspaceUuid,
  scopes: scopes ?? [],
  expiresAtMs,
});

/** Why a token is not handed out that is not what was granted; null: it is. The trail says what came instead. */
function refusalOf(granted: Granted, token: MintedToken, status: number): Minted['refusal'] {
  if (contradiction(granted, token) === null) return null;
  const detail = withCame({}, cameOfCreate(granted, token));
  return {
    withheld: { errorCode: 'upstream_disobeyed', detail },
    failure: { kind: 'upstream_disobeyed', status, detail },
  };
}

/** Why a token is not handed out of which nobody knows what was minted. */
const unread = (failure: UpstreamFailure): Minted['refusal'] => ({
  withheld: { errorCode: 'undelivered', detail: { unread: codeOf(failure) } },
  failure,
});

/** The token in the workspace that PipeOps names, if that is another one. */
const elsewhere = (workspaceUuid: string, tokenId: string, workspaceId: string | null): readonly TokenRef[] =>
  workspaceId === null || !isElsewhere(workspaceUuid, workspaceId) ? [] : [{ workspaceUuid: workspaceId, tokenId }];

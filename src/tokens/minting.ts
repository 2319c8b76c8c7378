import { successOutcome } from '../trail/event.ts';
import type { Query } from '../db/database.ts';
import { codeOf, type UpstreamFailure } from '../failures.ts';
import { keepAnswer } from '../idempotency/keys.ts';
import type { KeyedRequest } from '../idempotency/sealing.ts';
import { grantColumns } from '../inventory/grant.ts';
import { insertToken } from '../inventory/inventory.ts';
import { sha256Hex } from '../kit/digest.ts';
import { isElsewhere } from '../kit/ids.ts';
import { withMarker } from '../kit/marker.ts';
import { ok, type Result } from '../kit/result.ts';
import { msOrNull, rfc3339OrNull } from '../kit/time.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Call, MintedToken, TokenRef } from '../pipeops/types.ts';
import type { Caller, Grant } from '../policy/types.ts';
import { presentMinted } from '../reads/present.ts';
import { labelKey } from '../subjects/labels.ts';
import type { EventOutcome } from '../trail/event.ts';
import type { Attempt, Following } from '../trail/recorder.ts';
import type { TokenDependencies } from './dependencies.ts';
import { cameOfCreate, contradiction, type Granted, readLeftOut, withCame } from './effects.ts';
import type { Minted, Performed } from './mutation.ts';

// What a create and a rotation have in common: a token is asked of PipeOps, compared with its grant, and entered into the inventory.

/** A token that is to be minted. */
export interface Minting {
  readonly workspaceUuid: string;
  /** Without the marker. */
  readonly name: string;
  readonly description: string | null;
  /** The random suffix of its name at PipeOps: nothing else tells a create whose answer was lost from another. */
  readonly marker: string;
  /** When the request began, from which the recorded lifetime counts. */
  readonly beganAtMs: number;
  readonly keyed: KeyedRequest | null;
  /** The token of the same workspace whose place it takes; null: none. */
  readonly replaces: string | null;
}

/** A token that PipeOps has minted, and what is kept and told of it. */
export interface MintedAnswer extends MintedToken {
  readonly fingerprint: { readonly keyId: string; readonly value: string };
  /** What its caller hears, the secret included. */
  readonly answer: unknown;
  /** The same, sealed under the caller's key; null: without a key, or it could not be sealed. */
  readonly sealed: string | null;
  readonly refusal: Minted['refusal'];
}

/**
 * Asks PipeOps for the token. Policy has judged what a preset stands for, so PipeOps is not asked what it means.
 *
 * @param more what the answer says beside the token.
 */
export async function mint(
  dependencies: TokenDependencies,
  { workspaceUuid, name, description, marker, keyed }: Minting,
  grant: Grant,
  call: Call,
  more: () => Readonly<Record<string, unknown>> = () => ({}),
): Promise<Result<Performed<MintedAnswer>, UpstreamFailure>> {
  const { fingerprints, pipeops, runtime } = dependencies;
  const answered = await pipeops.create(
    {
      workspaceUuid,
      name: withMarker(name, marker),
      description,
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
  const answer = { ...presentMinted(token, description, runtime.now()), ...more() };
  const sealed = keyed === null ? null : await keyed.seal(JSON.stringify(answer));
  const refusal = whole.ok ? refusalOf(granted, token, status) : unread(whole.error);
  return ok({ status, data: { ...token, fingerprint, answer, sealed, refusal } });
}

/**
 * The outcome of a token that was minted: who allowed it, and where it is not as it was asked for.
 *
 * @param askedMs the expiry that was asked for.
 */
export function outcomeOfMint(
  { workspaceUuid }: Minting,
  grant: Grant,
  askedMs: number | null,
  { status, data }: Performed<MintedAnswer>,
): EventOutcome {
  const detail = {
    role: grant.role,
    ...(grant.expiresAtMs !== askedMs && { granted_expires_at: rfc3339OrNull(grant.expiresAtMs) }),
  };
  const came = cameOfCreate(grantedBy(workspaceUuid, grant), data);
  return { ...successOutcome(status, withCame(detail, came)), tokenId: data.id };
}

/** Enters the token, and keeps its answer under the caller's key. */
export const entering =
  (
    { database, owners, runtime }: TokenDependencies,
    context: RequestContext,
    caller: Caller,
    { workspaceUuid, name, marker, beganAtMs, keyed, replaces }: Minting,
    { eventId }: Attempt,
    minted: MintedAnswer,
    grant: Grant,
  ): Following =>
  (guard): readonly Query[] => {
    const owned = {
      workspace_uuid: workspaceUuid,
      token_id: minted.id,
      owner_issuer: caller.issuer,
      owner_subject: caller.subject,
    };
    return [
      insertToken(
        database,
        {
          ...owned,
          owner_mac: owners.of(owned),
          marker,
          create_event_id: eventId,
          created_at: runtime.now(),
          expires_at: msOrNull(minted.expiresAt),
          owner_label: caller.label === null ? null : labelKey(caller.label),
          token_prefix: minted.tokenPrefix,
          fingerprint: minted.fingerprint.value,
          fingerprint_key_id: minted.fingerprint.keyId,
          replaces,
          ...grantColumns(
            { ...grant, scopes: grant.scopes ?? [], name, policyVersion: context.policyVersion },
            beganAtMs,
          ),
        },
        guard,
      ),
      ...(keyed === null ? [] : [keepAnswer(database, keyed, eventId, minted.sealed, guard)]),
    ];
  };

/** Where the token may be, and why it is not handed out if it is not what was granted. */
export const mintedOf = (workspaceUuid: string, { id, workspaceId, refusal }: MintedAnswer): Minted => ({
  refs: [{ workspaceUuid, tokenId: id }, ...elsewhere(workspaceUuid, id, workspaceId)],
  refusal,
});

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

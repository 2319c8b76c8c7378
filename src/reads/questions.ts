import { labelKey } from '../subjects/labels.ts';
import type { AskedToken, AskedWorkspace } from './read-queries.ts';
import type { ReadTrip } from './read-trip.ts';

// What a group of reads asks of D1, alike questions once.

export const distinct = <T>(items: readonly T[]): readonly T[] => [
  ...new Map(items.map((item) => [JSON.stringify(item), item])).values(),
];

/** The question of a trip about its workspace. */
export function askedWorkspace({ workspaceUuid, held, wanted, tokenId }: ReadTrip): AskedWorkspace {
  const reader = wanted?.reader ?? null;
  const owner = reader?.owner ?? null;
  return {
    workspace: workspaceUuid,
    generation: held,
    min_begun: wanted?.minBegunMs ?? null,
    each: wanted?.eachMs ?? 0,
    shared: wanted?.isShared === true,
    ask: wanted?.mayAsk === true,
    issuer: reader?.issuer ?? null,
    subject: reader?.subject ?? null,
    label: reader === null || reader.label === null ? null : labelKey(reader.label),
    own: owner === null ? null : { token: tokenId ?? '', ...owner },
  };
}

/** The token whose row a trip asks for. */
export const askedToken = ({ workspaceUuid, tokenId }: ReadTrip): readonly AskedToken[] =>
  tokenId === null ? [] : [{ workspace: workspaceUuid, token: tokenId }];

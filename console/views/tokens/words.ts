import type { InventoryToken, WorkspaceKnowledge } from '../../../package/client/types.ts';
import type { TokenState } from '../../../package/client/vocabulary.ts';

// What the inventory says, in words.

export type Tone = 'good' | 'warning' | 'danger' | 'quiet';

export const TONES: Readonly<Record<TokenState, Tone>> = {
  active: 'good',
  retiring: 'warning',
  suspended: 'warning',
  expired: 'quiet',
  revoked: 'quiet',
};

/** Whether a token works, or can be made to work again. */
export const isLive = ({ state }: Pick<InventoryToken, 'state'>): boolean =>
  state === 'active' || state === 'suspended' || state === 'retiring';

/** What the state of a token means, in a sentence. Of a state that a newer service has there is none. */
export function stateSentence({
  state,
  suspended_by: reasons,
}: Pick<InventoryToken, 'state' | 'suspended_by'>): string {
  switch (state) {
    case 'active':
      return 'It can be used.';
    case 'retiring':
      return 'It was rotated. It can be used until its overlap is over, and is revoked then.';
    case 'suspended':
      return `It cannot be used until it is resumed${reasons.length === 0 ? '' : `. Why it is suspended: ${reasons.join(', ')}`}.`;
    case 'expired':
      return 'Its time is over. It cannot be used any more.';
    case 'revoked':
      return 'It has ended. It cannot be used any more, and nothing brings it back.';
    default:
      return '';
  }
}

/** What stands in the place of a time of use where none is known. */
export function lastUseWords({ usage }: Pick<InventoryToken, 'usage'>): {
  readonly text: string;
  readonly why: string;
} {
  return usage === 'never_used'
    ? { text: 'Never', why: 'PipeOps has seen no use of it since it was minted.' }
    : { text: 'Not known', why: 'PipeOps has not told of any use of it, or not in a way that can be relied on.' };
}

/** What the name of a token is, where it has one. */
export const nameOf = ({ name, id }: Pick<InventoryToken, 'name' | 'id'>): string => name ?? `token ${id.slice(0, 8)}`;

/** Who owns a token, in a word. */
export const ownerName = ({ owner }: Pick<InventoryToken, 'owner'>): string =>
  owner === null ? 'nobody here' : (owner.label ?? owner.subject ?? 'somebody');

/** How old what is known of PipeOps is, over several workspaces. */
export interface Known {
  /** The oldest time at which PipeOps listed one of them. Null: none was listed. */
  readonly listedAt: string | null;
  /** What is not known, in sentences. */
  readonly lacks: readonly string[];
}

/** @param knowledge of all pages; of a workspace that is named twice the last counts. */
export function knownOf(knowledge: readonly WorkspaceKnowledge[]): Known {
  const known = [...new Map(knowledge.map((one) => [one.workspace_uuid, one])).values()];
  const times = known.flatMap(({ listed_at: at }) => (at === null ? [] : [at]));
  const unsure = known.filter(({ listed_at: at, list_state: state }) => at === null || state !== 'complete');
  return {
    listedAt: times.toSorted()[0] ?? null,
    lacks: unsure.map(
      ({ workspace_uuid: uuid }) =>
        `PipeOps has not told of all of workspace ${uuid}: a token that was made past this service may be missing.`,
    ),
  };
}

import type { InventoryToken, WorkspaceKnowledge } from '../../../package/client/types.ts';
import type { SuspensionReason, TokenState } from '../../../package/client/vocabulary.ts';

// What the inventory says, in words.

export type Tone = 'good' | 'warning' | 'danger' | 'quiet';

export const STATES: Readonly<Record<TokenState, { readonly word: string; readonly tone: Tone }>> = {
  active: { word: 'Active', tone: 'good' },
  retiring: { word: 'Retiring', tone: 'warning' },
  suspended: { word: 'Suspended', tone: 'warning' },
  expired: { word: 'Expired', tone: 'quiet' },
  revoked: { word: 'Revoked', tone: 'quiet' },
};

const SUSPENSIONS: Readonly<Record<SuspensionReason, string>> = {
  owner: 'its owner suspended it',
  administrator: 'an administrator suspended it',
  offboarding: 'its owner was offboarded',
  leak: 'its secret was reported as leaked',
  unused: 'nobody used it',
};

/** Whether a token works, or can be made to work again. */
export const isLive = ({ state }: Pick<InventoryToken, 'state'>): boolean =>
  state === 'active' || state === 'suspended' || state === 'retiring';

/** What the state of a token means, in a sentence. A state that a newer service has is told as it came. */
export function stateSentence({
  state,
  suspended_by: reasons,
}: Pick<InventoryToken, 'state' | 'suspended_by'>): string {
  switch (state) {
    case 'active':
      return 'It can be used.';
    case 'retiring':
      return 'It was rotated. It can be used until its overlap is over, and is revoked then.';
    case 'suspended': {
      const why = reasons.map((reason) => SUSPENSIONS[reason] ?? reason);
      return why.length === 0
        ? 'It cannot be used until it is resumed.'
        : `It cannot be used until it is resumed: ${why.join(', and ')}.`;
    }
    case 'expired':
      return 'Its time is over. It cannot be used any more.';
    case 'revoked':
      return 'It has ended. It cannot be used any more, and nothing brings it back.';
    default:
      return `Its state is ${String(state)}.`;
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
  return { listedAt: times.toSorted()[0] ?? null, lacks: known.flatMap(lackOf) };
}

function lackOf({
  workspace_uuid: uuid,
  listed_at: listedAt,
  list_state: state,
}: WorkspaceKnowledge): readonly string[] {
  if (listedAt === null) return [`PipeOps was never asked for a list of workspace ${uuid}.`];
  if (state === 'complete') return [];
  return state === 'unavailable'
    ? [`PipeOps does not know workspace ${uuid} any more.`]
    : [`PipeOps told of a part of workspace ${uuid} alone: a token that was made past this service may be missing.`];
}

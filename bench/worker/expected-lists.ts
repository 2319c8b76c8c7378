/** A change of the tokens of a workspace. */
export type Change =
  | { readonly kind: 'create'; readonly name: string }
  | { readonly kind: 'rename'; readonly id: string; readonly name: string }
  | { readonly kind: 'revoke'; readonly id: string };

/**
 * What lists may show. Changes are made one after the other, so a list shows what there was after so many of them: at least
 * all that were over before its read began, and none that had not begun when it was answered.
 */
export interface ExpectedLists {
  readonly live: ReadonlyMap<string, string>;
  /** Changes that were over so far. */
  readonly over: () => number;
  begin(change: Change): void;
  /** It is over, and took effect. `id`: of the token that was made. */
  confirm(id: string): void;
  /** It is over, and did not. */
  withdraw(): void;
  /** Whether a list that is answered now may show this, to a read that began when so many changes were over. */
  allows(shown: string, overAtBegin: number): boolean;
}

/** @param seeded names of what is there from the beginning, by their ids. */
export function createExpectedLists(seeded: ReadonlyMap<string, string>): ExpectedLists {
  const live = new Map(seeded);
  const after: string[] = [textOf([...live.values()])];
  let open: Change | null = null;

  return {
    live,
    over: () => after.length - (open === null ? 1 : 2),
    begin: (change) => {
      open = change;
      const { kind } = change;
      const next = new Map(live);
      if (kind === 'revoke') next.delete(change.id);
      else next.set(kind === 'create' ? '' : change.id, change.name);
      after.push(textOf([...next.values()]));
    },
    confirm: (id) => {
      if (open?.kind === 'revoke') live.delete(open.id);
      else if (open !== null) live.set(open.kind === 'create' ? id : open.id, open.name);
      open = null;
    },
    withdraw: () => {
      after.pop();
      open = null;
    },
    allows: (shown, overAtBegin) => after.includes(shown, overAtBegin),
  };
}

/** What a list shows, as far as it counts. */
export const textOf = (names: readonly string[]): string => names.toSorted().join('\n');

import * as z from 'zod';
import { SNAPSHOT_LIST_WEIGHT_TOKENS, SNAPSHOT_STORE_MAX_BYTES, SNAPSHOT_TOKENS_MAX_COUNT } from '../config/limits.ts';
import type { TokenRow } from '../db/schema.ts';
import { byteLength } from '../kit/bytes.ts';
import { parseJson } from '../kit/json.ts';
import type { TokenList } from '../pipeops/types.ts';

// Lists of PipeOps that reads are answered from: what they are, and how an isolate and D1 keep them.

/** A list of PipeOps, and when and under which generation it was asked for. */
export interface DatedList {
  readonly list: TokenList;
  /** The workspace's generation before the list was asked for: it is served while that is the current one. */
  readonly generation: number;
  /** Milliseconds since the epoch, before it was asked for: whatever was over by then is in it. */
  readonly begunAtMs: number;
}

/** What a read needs to know of a token that our inventory has. An owner that is not authentic is none. */
export type InventoryRow = Pick<TokenRow, 'token_id' | 'owner_issuer' | 'owner_subject' | 'marker' | 'suspended_by'>;

/** The inventory's rows of the tokens in a list, and of no others: a workspace may have had any number of them. */
export type Inventory = ReadonlyMap<string, InventoryRow>;

/** A list with its inventory. */
export interface Snapshot extends DatedList {
  readonly inventory: Inventory;
}

export const withInventory = (dated: DatedList, rows: readonly InventoryRow[]): Snapshot => ({
  ...dated,
  inventory: new Map(rows.map((row) => [row.token_id, row])),
});

/** Lists with their inventories, as they were under the generation of the list. They last as long as the list does. */
export interface KnownSnapshots {
  /** Null: the inventory has to be read. */
  of(list: DatedList): Snapshot | null;
  keep(list: DatedList, snapshot: Snapshot): void;
}

export function createKnownSnapshots(): KnownSnapshots {
  const known = new WeakMap<DatedList, Snapshot>();
  return {
    of: (list) => known.get(list) ?? null,
    keep: (list, snapshot) => void known.set(list, snapshot),
  };
}

/** The lists that this isolate holds, one a workspace. None is trusted until D1 says that its generation is current. */
export interface SnapshotMemory {
  /** Null: none, or it was begun before `minBegunMs`. */
  get(workspaceUuid: string, minBegunMs: number): DatedList | null;
  /** Keeps the one that was begun last. */
  put(workspaceUuid: string, list: DatedList): void;
  /** Forgets the one of a workspace whose tokens may have changed. */
  drop(workspaceUuid: string): void;
}

/** Bounded by the tokens of all lists together: those that were looked at longest ago go first. */
export function createSnapshotMemory(maxTokens = SNAPSHOT_TOKENS_MAX_COUNT): SnapshotMemory {
  const lists = createTokenCache<DatedList>(maxTokens);
  const put = (workspaceUuid: string, list: DatedList): void => lists.put(workspaceUuid, list, list.list.tokens.length);
  return {
    get: (workspaceUuid, minBegunMs) => {
      const list = lists.peek(workspaceUuid);
      if (list === undefined || list.begunAtMs < minBegunMs) return null;
      put(workspaceUuid, list);
      return list;
    },
    put: (workspaceUuid, list) => {
      if ((lists.peek(workspaceUuid)?.begunAtMs ?? -Infinity) <= list.begunAtMs) put(workspaceUuid, list);
    },
    drop: (workspaceUuid) => lists.drop(workspaceUuid),
  };
}

/** Things made of tokens, by name, as far as all of them together are not made of too many. */
export interface TokenCache<T> {
  /** Without counting as a look at it. */
  peek(name: string): T | undefined;
  /** Whatever was put longest ago goes first. */
  put(name: string, value: T, tokens: number): void;
  drop(name: string): void;
}

/** @param maxTokens of all of them; each weighs SNAPSHOT_LIST_WEIGHT_TOKENS beside its own. */
export function createTokenCache<T>(maxTokens: number): TokenCache<T> {
  // A Map gives its keys in the order in which they were put.
  const kept = new Map<string, { readonly value: T; readonly weight: number }>();
  let weight = 0;
  const drop = (name: string): void => {
    weight -= kept.get(name)?.weight ?? 0;
    kept.delete(name);
  };
  return {
    peek: (name) => kept.get(name)?.value,
    put: (name, value, tokens) => {
      drop(name);
      kept.set(name, { value, weight: tokens + SNAPSHOT_LIST_WEIGHT_TOKENS });
      weight += tokens + SNAPSHOT_LIST_WEIGHT_TOKENS;
      for (const longestAgo of kept.keys()) {
        if (weight <= maxTokens) break;
        drop(longestAgo);
      }
    },
    drop,
  };
}

const text = z.string().nullable();
const storedList = z
  .object({
    total: z.number(),
    complete: z.boolean(),
    // A list that an earlier version of this service stored took one call.
    pages: z.number().default(1),
    state: z.enum(['complete', 'partial', 'unproven']).optional(),
    tokens: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        description: text,
        scopes: z.array(z.string()),
        tokenPrefix: text,
        workspaceId: text,
        isRevoked: z.boolean(),
        isExpired: z.boolean(),
        isActive: z.boolean().nullable(),
        expiresAt: text,
        createdAt: text,
        updatedAt: text,
        lastUsedAt: text,
      }),
    ),
  })
  // Nor did it tell how a list fell short.
  .transform((list) => ({
    ...list,
    state: list.state ?? (list.complete ? 'complete' : 'partial'),
  })) satisfies z.ZodType<TokenList>;

/** A list as D1 keeps it; null: it is too long for a row, or there is none. */
export function storedBody(list: TokenList): string | null {
  const body = JSON.stringify(list);
  return byteLength(body) <= SNAPSHOT_STORE_MAX_BYTES ? body : null;
}

/** A list that D1 kept; null where an earlier version of this service wrote what is not understood any more. */
export function readStored(row: {
  readonly generation: number;
  readonly begun_at: number;
  readonly body: string;
}): DatedList | null {
  const parsed = storedList.safeParse(parseJson(row.body));
  return parsed.success ? { list: parsed.data, generation: row.generation, begunAtMs: row.begun_at } : null;
}

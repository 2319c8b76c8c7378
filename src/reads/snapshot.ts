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

/** What a read needs to know of a token that our inventory has. */
export type InventoryRow = Pick<TokenRow, 'token_id' | 'owner_issuer' | 'owner_subject' | 'marker' | 'suspended_by'>;

/** What our inventory says of the tokens of a list: of no others, since a workspace may have had any number of them. */
export type Inventory = ReadonlyMap<string, InventoryRow>;

/** A list with its inventory. */
export interface Snapshot extends DatedList {
  readonly inventory: Inventory;
}

export const withInventory = (dated: DatedList, rows: readonly InventoryRow[]): Snapshot => ({
  ...dated,
  inventory: new Map(rows.map((row) => [row.token_id, row])),
});

/** The snapshots of lists whose inventory is known as of their generation: each list has one, for as long as it is held. */
export interface KnownSnapshots {
  /** Null: its inventory has to be read. */
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

/** What this isolate holds of each workspace. Nothing in it is trusted until D1 says that its generation is current. */
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
  // A Map gives its keys in the order in which they were put.
  const held = new Map<string, DatedList>();
  let weight = 0;
  const drop = (workspaceUuid: string): void => {
    const list = held.get(workspaceUuid);
    if (list !== undefined) weight -= weightOf(list);
    held.delete(workspaceUuid);
  };
  const put = (workspaceUuid: string, list: DatedList): void => {
    drop(workspaceUuid);
    held.set(workspaceUuid, list);
    weight += weightOf(list);
    for (const longestAgo of held.keys()) {
      if (weight <= maxTokens) break;
      drop(longestAgo);
    }
  };
  return {
    get: (workspaceUuid, minBegunMs) => {
      const list = held.get(workspaceUuid);
      if (list === undefined || list.begunAtMs < minBegunMs) return null;
      put(workspaceUuid, list);
      return list;
    },
    put: (workspaceUuid, list) => {
      if ((held.get(workspaceUuid)?.begunAtMs ?? -Infinity) <= list.begunAtMs) put(workspaceUuid, list);
    },
    drop,
  };
}

const weightOf = ({ list }: DatedList): number => list.tokens.length + SNAPSHOT_LIST_WEIGHT_TOKENS;

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

import * as z from 'zod';
import { SNAPSHOT_STORE_MAX_BYTES } from '../config/limits.ts';
import { parseJson } from '../kit/json.ts';
import type { TokenList } from '../pipeops/types.ts';
import { byteLength } from '../kit/bytes.ts';
import type { DatedList } from './snapshot.ts';

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

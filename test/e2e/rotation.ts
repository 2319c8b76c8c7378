import * as z from 'zod';
import { TOKENS, type Client } from './client.ts';
import type { TrailRow } from './trail.ts';

/** A token that was asked to be rotated, however often, and what came of it. */
export interface Rotation {
  readonly oldId: string;
  /** The ids of the tokens whose secrets its owner was given. */
  readonly handedOut: ReadonlySet<string>;
}

/** How long old tokens live on: some are revoked at once, and all of them while the soak runs. */
export const OVERLAPS = ['0s', '2s', '20s'] as const;

const Rotated = z.object({ data: z.object({ id: z.string(), replaces: z.string() }) });

/** The rotations of one token by its owner. */
export function rotationsOf(client: Client, oldId: string, overlap: (typeof OVERLAPS)[number]) {
  const handedOut = new Set<string>();
  const send = async (key: string) => {
    const answer = await client.send('POST', `${TOKENS}/${oldId}/rotate`, { overlap }, { 'Idempotency-Key': key });
    if (answer.status === 201) handedOut.add(Rotated.parse(JSON.parse(answer.text)).data.id);
    return answer;
  };
  const rotation: Rotation = { oldId, handedOut };
  return { rotation, send };
}

/** The id of the token whose place the token of a create was to take; null: it is no rotation. */
export function replacedBy({ detail }: Pick<TrailRow, 'detail'>): string | null {
  const parsed = z.object({ replaces: z.string() }).safeParse(JSON.parse(detail ?? '{}'));
  return parsed.success ? parsed.data.replaces : null;
}

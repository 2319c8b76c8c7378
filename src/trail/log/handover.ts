import { and, eq, sql } from 'drizzle-orm';
import type { Database } from '../../db/database.ts';
import { trailLeaves, trailLogs, type TrailLogRow } from '../../db/trail-log-schema.ts';
import { signatureLine, signNote, type Signer, type Verifier, verifierText } from '../../tlog/note.ts';
import { entryOf } from './facts.ts';
import { isStill } from './statements.ts';

// The hand-over from one key of a log to the next. It is a leaf of the log itself, signed by the old key, so whoever trusts the old key can
// follow it to the new one, and nobody who has only the new one can bring it about.

/** What the old key signs. The first line keeps it from passing for a checkpoint, whose first line is an origin. */
const handoverText = (origin: string, to: string): string => `countersign-handover/v1\n${origin}\n${to}\n`;

/** The entry by which a key hands over to another. Both have the origin of the log as their name. */
export async function handoverEntry(from: Signer, to: Verifier, nowMs: number): Promise<Uint8Array> {
  const text = verifierText(to);
  const signature = await signNote(handoverText(from.verifier.name, text), from);
  const line = signatureLine(signature).trimEnd();
  return entryOf('handover', { at: new Date(nowMs).toISOString(), to: text, signature: line });
}

/**
 * Adds the leaf of a hand-over, and says whose the log is from then on, where the log is still as it was read. The second statement gives a
 * row if it was.
 */
export function assignHandover(
  { build }: Pick<Database, 'build'>,
  log: TrailLogRow,
  leaf: { readonly entry: string; readonly hash: string },
  to: Pick<TrailLogRow, 'size' | 'edge' | 'key'>,
) {
  const isSame = isStill(log);
  return [
    build
      .insert(trailLeaves)
      .select(sql`select ${log.number}, ${log.size}, 'handover', null, ${leaf.hash}, 1, ${leaf.entry} where ${isSame}`),
    build
      .update(trailLogs)
      .set(to)
      .where(and(eq(trailLogs.number, log.number), isSame))
      .returning({ number: trailLogs.number }),
  ] as const;
}

import type { AuditEventRow } from '../../db/schema.ts';
import type { TrailLeafRow, trailPending } from '../../db/trail-log-schema.ts';
import { type Hash, leafHash } from '../../tlog/merkle.ts';
import type { FactKind } from '../../vocabulary.ts';
import { entryOfRow } from './facts.ts';
import { hashText } from './tree.ts';

// Which facts of events get a leaf, and which events wait for one. All of it is decided on rows that do not change any more in what the
// fact covers, so a row that changes while leaves are assigned makes no leaf wrong.

/** What an event waits for. */
export type Awaits = typeof trailPending.$inferSelect.awaits;

/** An event that the log may have something to say of. */
export interface Candidate {
  readonly row: AuditEventRow;
  /** Null: the log meets it for the first time. */
  readonly awaits: Awaits | null;
}

/** What a chunk of events adds to the log. */
export interface Assignment {
  /** The leaves in their order, as the statement inserts them. */
  readonly leaves: readonly NewLeaf[];
  readonly hashes: readonly Hash[];
  /** Events that wait for nothing any more, or for something else. */
  readonly over: readonly number[];
  /** Events that wait from now on. */
  readonly waiting: readonly { readonly seq: number; readonly awaits: Awaits }[];
  /** The ids of the events whose leaf says that they are not authentic. */
  readonly unauthentic: readonly string[];
}

export type NewLeaf = Pick<TrailLeafRow, 'kind' | 'hash' | 'authentic'> & { readonly seq: number };

/** Whether the MACs of a row are those of this service, as far as they can be checked. */
export type IsAuthentic = (row: AuditEventRow) => boolean;

/** What the log says of an event next; null: nothing yet. */
export function factOf({ row, awaits }: Candidate): FactKind | null {
  if (awaits === 'settlement') return row.status === 'attempted' ? null : 'settled';
  if (row.read_key !== null) return row.closed_at === null ? null : 'counted';
  return row.status === 'attempted' ? 'recorded' : 'final';
}

/** What an event waits for once the log has said this of it. */
export function nextOf({ row }: Candidate, fact: FactKind | null): Awaits | null {
  if (fact === 'recorded') return 'settlement';
  if (fact !== null) return null;
  return row.read_key === null ? 'settlement' : 'close';
}

/** Assigns the leaves of a chunk: those that waited come first, and each part is in the order of the trail. */
export function assign(candidates: readonly Candidate[], isAuthentic: IsAuthentic): Assignment {
  const leaves: NewLeaf[] = [];
  const hashes: Hash[] = [];
  const over: number[] = [];
  const waiting: { seq: number; awaits: Awaits }[] = [];
  const unauthentic: string[] = [];
  for (const candidate of candidates) {
    const { row, awaits } = candidate;
    const fact = factOf(candidate);
    if (fact !== null) {
      const authentic = isAuthentic(row);
      const hash = leafHash(entryOfRow(fact, row, authentic));
      leaves.push({ kind: fact, seq: row.seq, hash: hashText(hash), authentic: authentic ? 1 : 0 });
      hashes.push(hash);
      if (!authentic) unauthentic.push(row.id);
    }
    const next = nextOf(candidate, fact);
    if (next === awaits) continue;
    if (awaits !== null) over.push(row.seq);
    if (next !== null) waiting.push({ seq: row.seq, awaits: next });
  }
  return { leaves, hashes, over, waiting, unauthentic };
}

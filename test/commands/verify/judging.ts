import { exitCodeOf } from '../../../commands/verify/judge/findings.ts';
import { type Audit, judge } from '../../../commands/verify/judge/judge.ts';
import { parseKnown } from '../../../commands/verify/judge/known.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { parseVerifier, type Verifier } from '../../../src/tlog/note.ts';
import { AFTER_MS, EVENTS, pinOf, rowOf, rowsOf, type SmallLog, sourceOf } from './small-log.ts';

// An auditor who verifies a small trail.

export const verifier = (text: string): Verifier => {
  const parsed = parseVerifier(text);
  if (parsed === null) throw new Error('no key');
  return parsed;
};

interface Given extends Partial<Omit<Audit, 'known'>> {
  /** Notes of checkpoints that were seen before. */
  readonly seen?: readonly string[];
}

/** What an auditor finds who has pinned the key of the log, looks when all is over, and brings along what is given. */
export async function verify(log: SmallLog, { seen = [], ...given }: Given = {}) {
  const known = parseKnown(seen.map((note) => JSON.stringify({ note })).join('\n'), 'state');
  if (!known.ok) throw new Error(known.error);
  const judged = await judge(sourceOf(log), {
    pins: [verifier(await pinOf())],
    known: known.value,
    witnesses: [],
    quorum: 0,
    isLatest: true,
    isLive: false,
    nowMs: AFTER_MS,
    progress: () => {},
    ...given,
  });
  const words = Object.entries(judged.verdicts).map(([topic, { judgement }]) => `${topic} ${judgement}`);
  const first = judged.faults[0]?.fault ?? null;
  return { ...judged, exitCode: exitCodeOf(judged.verdicts), words, first };
}

/** The verdicts on a trail with which nothing is the matter. */
export const GOOD = ['integrity good', 'completeness good', 'freshness good'];
export const idOf = (seq: number): string => rowOf(seq).id;
/** The rows of a trail, one of them changed. */
export const changed = (seq: number, change: Partial<AuditEventRow>): AuditEventRow[] =>
  rowsOf(1, EVENTS).map((row) => (row.seq === seq ? { ...row, ...change } : row));

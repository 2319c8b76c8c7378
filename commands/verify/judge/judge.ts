import type { Verifier } from '../../../src/tlog/note.ts';
import type { Source } from '../source.ts';
import { type Chain, judgeChain, type JudgedLog } from './chain.ts';
import { shown } from './difference.ts';
import { createFindings, type Findings, type Topic, verdictsOf } from './findings.ts';
import type { KnownCheckpoint } from './known.ts';
import { type Cosigned, judgeCosignatures, sawIt } from './outside.ts';
import { judgeRows, type Rows, SEALING_MAX_MS } from './rows.ts';

/** What an auditor brings along. */
export interface Audit {
  readonly pins: readonly Verifier[];
  readonly known: readonly KnownCheckpoint[];
  /** Empty: whether the checkpoint was cosigned is not judged. */
  readonly witnesses: readonly Verifier[];
  readonly quorum: number;
  /** Whether the export has all rows, as one with `--latest` has. */
  readonly isLatest: boolean;
  /** The auditor's clock, in milliseconds since the epoch. */
  readonly nowMs: number;
  /** Whether the export is as new as that clock. Otherwise its newest event stands for the time of it. */
  readonly isLive: boolean;
  readonly progress: (what: 'entries' | 'events', done: number, of: number | null) => void;
}

/** Judges a trail by its logs, its export, and what the auditor knows. It reads entries and rows once, and holds 29 bytes of each event. */
export async function judge(source: Source, audit: Audit) {
  const findings = createFindings();
  // The list and the checkpoints come before the rows, so that every sealed event has its row by then.
  const list = await source.logs();
  const chain = await judgeChain(
    source,
    list,
    { ...audit, progress: (done, of) => audit.progress('entries', done, of) },
    findings,
  );
  const newestLog = chain.logs.at(-1) ?? null;
  if (newestLog === null) findings.add('nothing_sealed', 'Nothing is sealed yet.', { judgement: 'unknown' });
  const rows = await judgeRows(
    source,
    { ...audit, chain, progress: (done) => audit.progress('events', done, null) },
    findings,
  );
  const { witnesses, quorum } = audit;
  const cosigned =
    witnesses.length === 0 || newestLog === null
      ? []
      : await judgeCosignatures(newestLog.note, { witnesses, quorum, atMs: timeOf(rows, audit) }, findings);
  const stopped = list.logs.toSorted((one, other) => one.number - other.number).at(-1);
  if (stopped !== undefined && stopped.stopped !== null) {
    const message = `Log ${stopped.number} is stopped (${shown(stopped.stopped)}) since ${shown(stopped.stopped_at)}: nothing newer is sealed until the operator begins another log.`;
    findings.add('log_stopped', message);
  }
  judgeAge(rows, { ...audit, isWhole: chain.isWhole }, findings);
  const verdicts = verdictsOf(findings, goodWords(chain, rows, { audit, cosigned, newestLog }));
  return { verdicts, faults: findings.faults(), remarks: findings.remarks(), logs: chain.logs, rows };
}
export type Judged = Awaited<ReturnType<typeof judge>>;

/** The time for which the trail is judged, in milliseconds since the epoch. */
const timeOf = ({ newest }: Rows, { isLive, nowMs }: Audit): number =>
  isLive ? nowMs : Math.min(Date.parse(newest) || 0, nowMs);

/** Whether events wait too long for their seal. */
function judgeAge(rows: Rows, { isWhole, ...audit }: Audit & Pick<Chain, 'isWhole'>, findings: Findings): void {
  const { oldestUnsealed, unsealed } = rows;
  if (oldestUnsealed === null || timeOf(rows, audit) - Date.parse(oldestUnsealed) <= SEALING_MAX_MS) return;
  const which = unsealed === 1 ? 'One event is not sealed, of' : `${unsealed} events are not sealed, the oldest of`;
  const message = `${which} ${shown(oldestUnsealed)}: sealing waits, and until it goes on what is not sealed can be changed unseen. The operator's /readyz says why.`;
  findings.add('sealing_late', message, { judgement: isWhole ? 'wrong' : 'unknown' });
}

interface Good {
  readonly audit: Audit;
  readonly cosigned: readonly Cosigned[];
  readonly newestLog: JudgedLog | null;
}

/** What is said where nothing is the matter. */
function goodWords(chain: Chain, rows: Rows, { audit, cosigned, newestLog }: Good): Partial<Record<Topic, string>> {
  const { known, witnesses } = audit;
  const seen = known.length === 0 ? '' : `, and go on from what you have seen before (checkpoints: ${known.length})`;
  const sealed = rows.count - rows.unsealed;
  const same = sealed === 1 ? 'One row is as it was' : `${sealed} rows are as they were`;
  const newest = chain.latest === '' ? 'No fact is sealed yet' : `The newest sealed fact is of ${chain.latest}`;
  const asOf = audit.isLive ? '' : ' as of the newest row of the export';
  return {
    integrity: `${entriesWords(chain)} the roots that the pinned key signed${seen}. ${same} sealed.`,
    completeness: completenessWords(rows),
    freshness: `${newest}, and no event is unsealed for more than ${SEALING_MAX_MS / 60_000} minutes${asOf}.`,
    ...(witnesses.length > 0 &&
      newestLog !== null && {
        witnessed: `The checkpoint at size ${newestLog.checkpoint.size} is cosigned: ${cosigned.map(sawIt).join('; ')}.`,
      }),
  };
}

function entriesWords({ logs }: Chain): string {
  const entries = logs.reduce((sum, { checkpoint }) => sum + checkpoint.size, 0);
  const where = logs.length === 1 ? 'one log' : `${logs.length} logs`;
  return entries === 1 ? `One entry in ${where} gives` : `${entries} entries in ${where} give`;
}

function completenessWords({ count, lastSeq, unsealed }: Rows): string {
  if (count === 0) return 'There is no event, and none was sealed.';
  const there = `Events up to ${lastSeq} are all there.`;
  if (unsealed === 0) return `${there} All of them are sealed.`;
  return `${there} Not sealed yet: ${unsealed === count ? 'all of them' : `${unsealed} of the newest`}.`;
}

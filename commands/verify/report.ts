import { type Counted, TOPICS, topicOf } from './judge/findings.ts';
import type { Judged } from './judge/judge.ts';

/** The result for people: a line for each verdict, and what else was found under it. */
export function reportLines({ verdicts, faults, remarks }: Judged): readonly string[] {
  const lines: string[] = [];
  for (const topic of TOPICS) {
    const verdict = verdicts[topic];
    if (verdict === undefined) continue;
    lines.push(`${topic.padEnd(12)}  ${verdict.judgement.padEnd(7)}  ${verdict.because}`);
    const others = faults.filter(({ fault }) => topicOf(fault.kind) === topic).slice(1);
    for (const { fault } of others) lines.push(`${' '.repeat(14)}${fault.judgement.padEnd(7)}  ${fault.message}`);
  }
  return [...lines, ...remarks.map((remark) => `${'note'.padEnd(23)}${remark}`)];
}

/** The result for machines. */
export const reportJson = ({ verdicts, faults, remarks, logs, rows }: Judged, exitCode: number) => ({
  exit_code: exitCode,
  verdicts,
  faults: faults.map(({ fault, count }: Counted) => ({ topic: topicOf(fault.kind), ...fault, count })),
  notes: remarks,
  logs: logs.map(({ number, origin, checkpoint, kept }) => ({
    number,
    origin,
    size: checkpoint.size,
    kept,
    root: Buffer.from(checkpoint.root).toString('base64'),
  })),
  rows: { count: rows.count, last_seq: rows.lastSeq, unsealed: rows.unsealed, oldest_unsealed_at: rows.oldestUnsealed },
});

import { isObject } from '../../../src/kit/json.ts';
import { type Checkpoint, parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { sameHash } from '../../../src/tlog/merkle.ts';
import { cosignedAtSeconds, isSignature, type Note, type Verifier } from '../../../src/tlog/note.ts';
import type { JudgedLog } from './chain.ts';
import { shown } from './difference.ts';
import type { Findings } from './findings.ts';
import type { Keys } from './keys.ts';
import type { KnownCheckpoint } from './known.ts';
import type { LogContent } from './log.ts';

// What is known outside the service: the checkpoints that an auditor has seen, and those that witnesses have cosigned.

export interface KnownOf {
  readonly content: LogContent;
  readonly keys: Keys;
  readonly known: readonly KnownCheckpoint[];
  /** The first entry of the log that follows; null: none does. */
  readonly next: Readonly<Record<string, unknown>> | null;
}

/** Whether the log goes on from every checkpoint of it that was seen before. */
export async function judgeKnown(
  log: JudgedLog,
  { content, keys, known, next }: KnownOf,
  findings: Findings,
): Promise<void> {
  for (const { note, checkpoint, where } of known) {
    const { origin, size, root } = checkpoint;
    if (origin !== log.origin) continue;
    // One at a time: each is one signature.
    // oxlint-disable-next-line no-await-in-loop
    if (!(await keys.isSigned(note, size))) {
      const message = `The key of log ${log.number} has not signed the checkpoint in ${where}, so that says nothing of the log.`;
      findings.add('state_not_signed', message, { judgement: 'unknown' });
    } else if (size > log.checkpoint.size) judgeLarger(log, checkpoint.size, where, next, findings);
    else if (size === log.checkpoint.size && !sameHash(root, log.checkpoint.root)) {
      const message = `Log ${log.number} was forked: ${where} has another root for the size ${size}, signed by the same key. Keep both checkpoints: they prove it.`;
      findings.add('forked', message);
    } else {
      const computed = content.roots.get(size);
      if (computed === undefined || sameHash(computed, root)) continue;
      const message = `Log ${log.number} was forked or rewritten: it does not go on from ${where}, which has another root for its first ${size} entries, signed by the same key. Keep both checkpoints: they prove it.`;
      findings.add('forked', message);
    }
  }
}

/** Whether the logs that were seen before are still there, unless the log behind them says itself that they are not. */
export function judgeForgotten(
  known: readonly KnownCheckpoint[],
  origins: readonly string[],
  beginnings: readonly KnownOf['next'][],
  findings: Findings,
): void {
  for (const { checkpoint, where } of known) {
    const { origin, size, root } = checkpoint;
    if (origins.includes(origin)) continue;
    const isAdmitted = beginnings.some((beginning) => {
      const named = knownBy(beginning);
      if (named?.origin !== origin || named.size < size) return false;
      return named.size > size || sameHash(named.root, root);
    });
    if (isAdmitted) findings.remark(`The checkpoint in ${where} is of a log that the log behind it declares void.`);
    else {
      const message = `The log ${shown(origin)}, which had ${size} entries by the checkpoint in ${where}, is not there any more.`;
      findings.add('log_absent', message);
    }
  }
}

/** The largest checkpoint beyond D1 that the first entry of a log names; null: it names none. */
function knownBy(beginning: KnownOf['next']): Checkpoint | null {
  const previous = isObject(beginning?.['previous']) ? beginning['previous'] : {};
  return typeof previous['known'] === 'string' ? (parseCheckpoint(previous['known'])?.checkpoint ?? null) : null;
}

/** A log that was larger has lost entries, unless the log that follows says so itself. */
function judgeLarger(
  { number, origin, checkpoint }: JudgedLog,
  size: number,
  where: string,
  next: KnownOf['next'],
  findings: Findings,
): void {
  const named = knownBy(next);
  if (named?.origin === origin && named.size >= size) {
    findings.remark(`The checkpoint in ${where} is of the part of log ${number} that the log behind it declares void.`);
    return;
  }
  const message = `Log ${number} was rolled back: it has ${checkpoint.size} entries, and had ${size} by the checkpoint in ${where}${next === null ? '' : ', and the log behind it does not say that there were so many'}.`;
  findings.add('rolled_back', message);
}

/** Who has cosigned a checkpoint, and when. */
export interface Cosigned {
  readonly name: string;
  readonly atSeconds: number;
}

/** Whether as many witnesses as are wanted have cosigned the checkpoint. */
export async function judgeCosignatures(
  note: Note,
  witnesses: readonly Verifier[],
  quorum: number,
  findings: Findings,
): Promise<readonly Cosigned[]> {
  const cosigned: Cosigned[] = [];
  for (const witness of witnesses) {
    const lines = note.signatures.filter(({ name, keyId }) => name === witness.name && keyId === witness.keyId);
    let atSeconds: number | null = null;
    for (const line of lines) {
      // oxlint-disable-next-line no-await-in-loop -- there is hardly ever more than one
      if (await isSignature(note.body, line, witness))
        atSeconds = Math.max(atSeconds ?? 0, cosignedAtSeconds(line) ?? 0);
      else
        findings.add(
          'cosignature_bad',
          `The cosignature of ${witness.name} is not one of its key over this checkpoint.`,
        );
    }
    if (atSeconds !== null) cosigned.push({ name: witness.name, atSeconds });
  }
  if (cosigned.length < quorum) {
    const message = `${cosigned.length} of ${witnesses.length} witnesses have cosigned the checkpoint, and ${quorum} are wanted. A checkpoint of the last minutes may still be on its way to them: verify again later.`;
    findings.add('not_cosigned', message, { judgement: 'unknown' });
  }
  return cosigned;
}

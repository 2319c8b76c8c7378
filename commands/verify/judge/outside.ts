import type { Checkpoint } from '../../../src/tlog/checkpoint.ts';
import { sameHash } from '../../../src/tlog/merkle.ts';
import { cosignedAtSeconds, isSignature, type Note, type Verifier } from '../../../src/tlog/note.ts';
import type { JudgedLog } from './chain.ts';
import { shown } from './difference.ts';
import type { Findings } from './findings.ts';
import { createKeys, type Keys, numberOf } from './keys.ts';
import type { KnownCheckpoint } from './known.ts';
import type { LogContent } from './log.ts';

// What is known outside the service: the checkpoints that an auditor has seen, and those that witnesses have cosigned.

/** What the first entry of a log admits: the largest checkpoint that was signed beyond what counts, which may be one of a log that is gone. */
export interface Admission {
  /** The log that says so. */
  readonly by: number;
  /** The log that the checkpoint is one of. */
  readonly number: number;
  readonly checkpoint: Checkpoint;
}

export interface KnownOf {
  readonly content: LogContent;
  readonly keys: Pick<Keys, 'isSigned'>;
  readonly known: readonly KnownCheckpoint[];
  readonly admissions: readonly Admission[];
}

/** Whether the log goes on from every checkpoint of it that was seen before. */
export async function judgeKnown(
  log: JudgedLog,
  { content, keys, known, admissions }: KnownOf,
  findings: Findings,
): Promise<void> {
  const { number, kept } = log;
  const has = `${kept} entries${kept < log.checkpoint.size ? ' that count' : ''}`;
  if (log.checkpoint.size > kept) {
    const own = { number, checkpoint: log.checkpoint, where: 'its own files' };
    if (!isAdmitted(own, admissions)) findings.add('rolled_back', rolledBack(own, has));
  }
  for (const { note, checkpoint, where } of known) {
    const { origin, size, root } = checkpoint;
    if (origin !== log.origin) continue;
    const computed = content.roots.get(size);
    // One at a time: each is one signature.
    // oxlint-disable-next-line no-await-in-loop
    if (!(await keys.isSigned(note, size))) {
      const message = `The key of log ${number} has not signed the checkpoint in ${where}, so that says nothing of the log.`;
      findings.add('state_not_signed', message, { judgement: 'unknown' });
    } else if (size === log.checkpoint.size && !sameHash(root, log.checkpoint.root)) {
      const message = `Log ${number} was forked: ${where} has another root for the size ${size}, signed by the same key. Keep both checkpoints: they prove it.`;
      findings.add('forked', message);
    } else if (computed !== undefined && !sameHash(computed, root)) {
      const message = `Log ${number} was forked or rewritten: it does not go on from ${where}, which has another root for its first ${size} entries, signed by the same key. Keep both checkpoints: they prove it.`;
      findings.add('forked', message);
    } else if (size > kept) judgeVoid({ number, checkpoint, where }, has, admissions, findings);
  }
}

export interface AbsentOf {
  /** The name of the trail. */
  readonly name: string;
  readonly known: readonly KnownCheckpoint[];
  /** The origins of the logs that are there. */
  readonly there: readonly string[];
  /** All keys that have signed a log of this trail. */
  readonly publicKeys: readonly Uint8Array[];
  readonly admissions: readonly Admission[];
}

/** Whether every log that was seen before is there, or a log that follows admits that it is gone. */
export async function judgeAbsent(
  { name, known, there, publicKeys, admissions }: AbsentOf,
  findings: Findings,
): Promise<void> {
  for (const { note, checkpoint, where } of known) {
    const { origin, size } = checkpoint;
    if (there.includes(origin)) continue;
    const number = numberOf(name, origin);
    // oxlint-disable-next-line no-await-in-loop -- each is one signature
    if (number === null || !(await createKeys(origin, publicKeys).isSigned(note, size))) {
      const why =
        number === null ? `is of ${shown(origin)}, which is no log of this trail` : 'is not signed by its keys';
      findings.add('state_not_signed', `The checkpoint in ${where} ${why}, so that says nothing of it.`, {
        judgement: 'unknown',
      });
    } else if (isAdmitted({ number, checkpoint, where }, admissions)) {
      judgeVoid({ number, checkpoint, where }, '', admissions, findings);
    } else {
      const message = `The log ${shown(origin)}, which had ${size} entries by the checkpoint in ${where}, is not there any more.`;
      findings.add('log_absent', message);
    }
  }
}

/** Two checkpoints of one size that were seen outside, whatever the log itself is by now. */
export async function judgePairs(
  { name, known, publicKeys }: Pick<AbsentOf, 'name' | 'known' | 'publicKeys'>,
  findings: Findings,
): Promise<void> {
  const first = new Map<string, KnownCheckpoint>();
  for (const one of known) {
    const { origin, size, root } = one.checkpoint;
    if (numberOf(name, origin) === null) continue;
    // oxlint-disable-next-line no-await-in-loop -- each is one signature
    if (!(await createKeys(origin, publicKeys).isSigned(one.note, size))) continue;
    const other = first.get(`${origin} ${size}`);
    if (other === undefined) first.set(`${origin} ${size}`, one);
    else if (!sameHash(other.checkpoint.root, root)) {
      const message = `The log ${shown(origin)} was forked: ${other.where} and ${one.where} have two roots for the size ${size}, both signed by its key. Keep both checkpoints: they prove it.`;
      findings.add('forked', message);
    }
  }
}

interface SeenOf {
  readonly number: number;
  readonly checkpoint: Checkpoint;
  readonly where: string;
}

/** The admission that a checkpoint of the void part falls under. A log that is gone was there after the ones before it. */
const admissionOf = ({ number, checkpoint: { size } }: SeenOf, admissions: readonly Admission[]) =>
  admissions.find(
    (one) => one.by > number && (one.number > number || (one.number === number && one.checkpoint.size >= size)),
  );
const isAdmitted = (seen: SeenOf, admissions: readonly Admission[]): boolean =>
  admissionOf(seen, admissions) !== undefined;

const rolledBack = ({ number, checkpoint, where }: SeenOf, has: string, isFollowed = true): string => {
  const why = isFollowed
    ? ', and the log behind it does not say that there were so many.'
    : '. A copy of the log that is older than that checkpoint looks the same.';
  return `Log ${number} was rolled back: it has ${has}, and had ${checkpoint.size} by the checkpoint in ${where}${why}`;
};

/** Entries that were signed and do not count any more were lost, unless the log that follows says so itself. */
function judgeVoid(seen: SeenOf, has: string, admissions: readonly Admission[], findings: Findings): void {
  const { number, checkpoint, where } = seen;
  const admission = admissionOf(seen, admissions);
  if (admission === undefined) {
    findings.add(
      'rolled_back',
      rolledBack(
        seen,
        has,
        admissions.some(({ by }) => by > number),
      ),
    );
    return;
  }
  const isSame = admission.number === number && admission.checkpoint.size === checkpoint.size;
  if (isSame && !sameHash(admission.checkpoint.root, checkpoint.root)) {
    const message = `Log ${number} was forked: ${where} and the first entry of log ${admission.by} have two roots for the size ${checkpoint.size}, both signed by its key. Keep both checkpoints: they prove it.`;
    findings.add('forked', message);
    return;
  }
  findings.remark(`The checkpoint in ${where} is of the part of log ${number} that log ${admission.by} declares void.`);
}

/** Who has cosigned a checkpoint, and when. */
export interface Cosigned {
  readonly name: string;
  readonly atSeconds: number;
}

/**
 * How old the last cosignature of a witness may be. The newest checkpoint is cosigned once an hour, whether anything has happened or not, so
 * an older one says that the checkpoint is no longer the newest, or that nobody has shown it to the witness.
 */
const COSIGNATURE_MAX_AGE_MS = 2 * 60 * 60 * 1000;

export interface Cosigning {
  readonly witnesses: readonly Verifier[];
  /** So many of them are enough. */
  readonly quorum: number;
  /** The time for which the log is judged, in milliseconds since the epoch. */
  readonly atMs: number;
}

/** Whether as many witnesses as are wanted have cosigned the checkpoint, and lately. */
export async function judgeCosignatures(
  note: Note,
  { witnesses, quorum, atMs }: Cosigning,
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
  const timely = cosigned.filter(({ atSeconds }) => atMs - atSeconds * 1000 <= COSIGNATURE_MAX_AGE_MS);
  if (cosigned.length < quorum) {
    const message = `${cosigned.length} of ${witnesses.length} witnesses have cosigned the checkpoint, and ${quorum} are wanted. A checkpoint of the last minutes may still be on its way to them: verify again later.`;
    findings.add('not_cosigned', message, { judgement: 'unknown' });
  } else if (timely.length < quorum) {
    const old = cosigned.filter((one) => !timely.includes(one)).map(sawIt);
    const message = `${timely.length} of ${witnesses.length} witnesses have cosigned the checkpoint within two hours, and ${quorum} are wanted: ${old.join('; ')}. The newest checkpoint is cosigned each hour, so this one is old, or the service does not reach them.`;
    findings.add('cosigned_long_ago', message, { judgement: 'unknown' });
  }
  return cosigned;
}

/** Who saw it, and when. */
export const sawIt = ({ name, atSeconds }: Cosigned): string =>
  `${name} saw it at ${new Date(atSeconds * 1000).toISOString()}`;

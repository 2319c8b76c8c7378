import { isObject } from '../../../src/kit/json.ts';
import { type Checkpoint, parseCheckpoint } from '../../../src/tlog/checkpoint.ts';
import { type Hash, sameHash } from '../../../src/tlog/merkle.ts';
import type { Note, Verifier } from '../../../src/tlog/note.ts';
import { tileWidth } from '../../../src/tlog/tiles.ts';
import { type LogList, readEntries, type Source } from '../source.ts';
import { shown } from './difference.ts';
import { isFact, latestTime, type LogEntry, parseEntry } from './entries.ts';
import type { Findings } from './findings.ts';
import { createKeys, type Keys, numberOf, originOf } from './keys.ts';
import type { KnownCheckpoint } from './known.ts';
import { type LogContent, readLog, type Take } from './log.ts';
import { type Admission, judgeAbsent, judgeKnown, judgePairs } from './outside.ts';
import { createSealedEvents, type SealedEvents } from './sealed-events.ts';

// The logs of a trail, one after another. What a log says of the one before it is in its first entry, and is checked there.

export interface Gap {
  readonly from: number;
  readonly to: number;
  /** The log whose first entry names it. */
  readonly log: number;
}

/** A log that was read. */
export interface JudgedLog {
  readonly number: number;
  readonly origin: string;
  readonly note: Note;
  readonly noteText: string;
  readonly checkpoint: Checkpoint;
  /** How many of its entries count. */
  readonly kept: number;
}

/** What the logs say. */
export interface Chain {
  readonly logs: readonly JudgedLog[];
  readonly events: SealedEvents;
  readonly gaps: readonly Gap[];
  /** The latest time that an entry tells, as RFC 3339; empty: none does. */
  readonly latest: string;
  /** The time that the last entry tells. Of a log whose clock ran ahead for a while, it is the earlier one, and the true one. */
  readonly last: string;
  /** Whether all entries were there, and were understood: otherwise an event without a leaf may have one. */
  readonly isWhole: boolean;
}

export interface Auditor {
  /** The verifier keys that are pinned. The first one names the trail. */
  readonly pins: readonly Verifier[];
  /** Checkpoints that were seen before, or elsewhere. */
  readonly known: readonly KnownCheckpoint[];
  /** Is told how many entries are read, of how many. */
  readonly progress: (done: number, of: number) => void;
}

/** What the first entry of a log says of the log before it. */
interface Beginning {
  readonly keptSize: number;
  readonly entry: LogEntry;
}

/** Reads all logs in their order. */
export async function judgeChain(source: Source, list: LogList, auditor: Auditor, findings: Findings): Promise<Chain> {
  const [pin] = auditor.pins;
  if (pin === undefined) throw new TypeError('No key is pinned.');
  const events = createSealedEvents();
  const opened = await openLogs(source, list, pin.name, findings);
  const total = opened.reduce((sum, { checkpoint }) => sum + checkpoint.size, 0);
  const admissions = admissionsOf(opened, pin.name);
  const [logs, gaps, everyKey]: [JudgedLog[], Gap[], Set<Uint8Array>] = [[], [], new Set()];
  let [latest, last, isWhole, done] = ['', '', true, 0];
  let trusted: readonly Uint8Array[] = auditor.pins.map(({ publicKey }) => publicKey);
  let before: { readonly log: JudgedLog; readonly content: LogContent; readonly keys: Keys } | null = null;

  for (const [at, log] of opened.entries()) {
    const { number, origin, checkpoint, note, beginning } = log;
    const judged: JudgedLog = { ...log, kept: opened[at + 1]?.beginning?.keptSize ?? checkpoint.size };
    const isKeyLost = beginning?.entry.body['because'] === 'key_lost';
    const all = auditor.pins.map(({ publicKey }) => publicKey);
    const keys = createKeys(origin, isKeyLost ? [...trusted, ...all] : trusted);
    if (judged.kept > checkpoint.size) {
      const message = `Log ${number} has ${checkpoint.size} entries, and the log behind it says that ${judged.kept} of them count.`;
      findings.add('chain_broken', message);
    }
    const sizes = [
      judged.kept,
      ...auditor.known.filter((one) => one.checkpoint.origin === origin).map((one) => one.checkpoint.size),
      ...previousSizes(opened[at + 1]?.beginning ?? null),
    ].filter((size) => size <= checkpoint.size);

    const take: Take = async (entry, index) => {
      if (entry === null) {
        isWhole = false;
        return;
      }
      done += 1;
      if (done % 256 === 0) auditor.progress(done, total);
      if (index >= judged.kept) return;
      if (entry.fact === null) {
        isWhole = false;
        const message = `Entry ${index} of log ${number} is not understood: ${shown(entry.why).slice(1, -1)}. A newer version of this program may understand it.`;
        findings.add('entry_not_understood', message, { judgement: 'unknown' });
        return;
      }
      const time = latestTime(entry);
      if (time > latest) latest = time;
      last = time || last;
      if (isFact(entry)) {
        const { seq, id } = entry;
        if (entry.body['unauthentic'] === true) {
          const message = `Event ${seq} (${shownId(id)}) was sealed as unauthentic: its MAC was not one of the service, so somebody else has written or changed it before its seal (entry ${index} of log ${number}).`;
          findings.add('unauthentic', message, { seq, id });
        }
        const problem = events.add(entry, { log: number, index });
        if (problem === null) return;
        const message = `Entry ${index} of log ${number}, ${entry.fact} of event ${seq} (${shownId(id)}), cannot stand there: ${problem}.`;
        // What it contradicts may be in what is not there.
        findings.add('fact_out_of_place', message, { seq, id, judgement: isWhole ? 'wrong' : 'unknown' });
      } else if (entry.fact === 'handover') {
        if (await keys.handOver(index, entry.body)) return;
        const message = `Entry ${index} of log ${number} hands over to another key, and the key before it has not signed that.`;
        findings.add('handover_not_signed', message);
      } else if (index > 0 || number === 1) {
        findings.add(
          'chain_broken',
          `Entry ${index} of log ${number} begins another log, which only a first entry can.`,
        );
      }
    };
    // One log at a time: each begins where the one before it ends.
    // oxlint-disable-next-line no-await-in-loop
    const content = await readLog(source, { number, size: checkpoint.size, sizes }, take);
    // oxlint-disable-next-line no-await-in-loop
    const isSigned = await keys.isSigned(note, checkpoint.size);
    if (!isSigned && isKeyLost) {
      const message = `Log ${number} is signed by a key that is not pinned. It says itself that the key before it was lost. Ask the operator for its verifier key by another way, and name both with --key.`;
      findings.add('key_lost', message, { judgement: 'unknown' });
    } else if (!isSigned) {
      const message = `The checkpoint of log ${number} at size ${checkpoint.size} is not signed by the pinned key${number === 1 ? '' : ', nor by one that it was handed over to'}: somebody without the key has made it, or --key is that of another log.`;
      findings.add('not_signed', message);
    }
    judgeContent(judged, content, { known: auditor.known, events }, findings);
    // oxlint-disable-next-line no-await-in-loop
    if (beginning !== null)
      await judgeBeginning(judged, beginning, before, { name: pin.name, pinned: all }, gaps, findings);
    // oxlint-disable-next-line no-await-in-loop
    await judgeKnown(judged, { content, keys, known: auditor.known, admissions }, findings);
    logs.push(judged);
    for (const key of keys.all()) everyKey.add(key);
    // A key that was lost signs no further log, although it is one of those that may have signed this one.
    trusted = isKeyLost && !keys.haveHandedOver() ? all : keys.last();
    before = { log: judged, content, keys };
  }
  auditor.progress(total, total);
  const about = { name: pin.name, known: auditor.known, publicKeys: [...everyKey] };
  await judgeAbsent({ ...about, there: opened.map(({ origin }) => origin), admissions }, findings);
  await judgePairs(about, findings);
  return { logs, events, gaps, latest, last, isWhole };
}

const shownId = (id: string): string => shown(id).slice(1, -1);

type Opened = Omit<JudgedLog, 'kept'> & { readonly beginning: Beginning | null };

/** Reads the checkpoint and the first entry of each log. */
async function openLogs(source: Source, list: LogList, name: string, findings: Findings): Promise<readonly Opened[]> {
  const opened: Opened[] = [];
  const numbers = list.logs.map(({ number }) => number).toSorted((one, other) => one - other);
  if (numbers.length > 0 && numbers[0] !== 1) {
    findings.add('chain_broken', `The first log is log ${numbers[0]}: the logs before it are not there.`);
  }
  for (const number of numbers) {
    // oxlint-disable-next-line no-await-in-loop -- there are a few logs in a lifetime
    const text = await source.checkpoint(number);
    const parsed = text === null ? null : parseCheckpoint(text);
    const origin = originOf(name, number);
    if (text === null && list.logs.find((log) => log.number === number)?.size === 0) continue;
    if (text === null || parsed === null) {
      findings.add('log_malformed', `Log ${number} has no checkpoint that can be read.`);
      continue;
    }
    if (parsed.checkpoint.origin !== origin) {
      const message = `The checkpoint of log ${number} is one of ${shown(parsed.checkpoint.origin)}, and not of "${origin}", which the pinned key is for.`;
      findings.add('not_signed', message);
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop
    const beginning = number === 1 ? null : await readBeginning(source, number, parsed.checkpoint.size);
    if (number > 1 && beginning === null) {
      findings.add('chain_broken', `Log ${number} does not begin with what it follows.`);
    }
    opened.push({ number, origin, noteText: text, ...parsed, beginning });
  }
  return opened;
}

async function readBeginning(source: Source, log: number, size: number): Promise<Beginning | null> {
  if (size === 0) return null;
  const entries = await readEntries(source, log, { index: 0, width: tileWidth('entries', 0, size) });
  const entry = entries?.[0] === undefined ? null : parseEntry(entries[0]);
  if (entry?.fact !== 'resumed') return null;
  const keptSize = entry.body['kept_size'];
  return typeof keptSize === 'number' && Number.isSafeInteger(keptSize) && keptSize >= 0 ? { keptSize, entry } : null;
}

/** The sizes of the checkpoints that the first entry of a log names. */
function previousSizes(beginning: Beginning | null): readonly number[] {
  const previous = beginning?.entry.body['previous'];
  if (!isObject(previous)) return [];
  return [previous['checkpoint'], previous['known']].flatMap((note) => {
    const parsed = typeof note === 'string' ? parseCheckpoint(note) : null;
    return parsed === null ? [] : [parsed.checkpoint.size];
  });
}

/** The largest checkpoints beyond what counts that first entries name. */
const admissionsOf = (opened: readonly Opened[], name: string): readonly Admission[] =>
  opened.flatMap(({ number: by, beginning }) => {
    const previous = beginning?.entry.body['previous'];
    const note = isObject(previous) ? previous['known'] : null;
    const checkpoint = typeof note === 'string' ? parseCheckpoint(note)?.checkpoint : undefined;
    const number = checkpoint === undefined ? null : numberOf(name, checkpoint.origin);
    return checkpoint === undefined || number === null ? [] : [{ by, number, checkpoint }];
  });

interface Compared {
  readonly known: readonly KnownCheckpoint[];
  readonly events: SealedEvents;
}

/** Whether the entries are those that were signed. */
function judgeContent(log: JudgedLog, content: LogContent, { known }: Compared, findings: Findings): void {
  const { number, checkpoint, origin } = log;
  const { absent, differing, differingTile, roots, tileRoots } = content;
  if (absent !== null) {
    const which = `${absent.count} entries of log ${number}, from ${absent.from} to ${absent.to},`;
    const message = absent.areHashesThere
      ? `${which} are not there, and their hashes are. The events that they seal cannot be compared.`
      : `${which} are not there, nor are their hashes: nothing from there on can be judged.`;
    findings.add('entries_absent', message, { judgement: 'unknown' });
    if (!absent.areHashesThere) return;
  }
  const root = roots.get(checkpoint.size);
  const isRight = root !== undefined && sameHash(root, checkpoint.root);
  const tileRoot = tileRoots?.get(checkpoint.size);
  const about = { seq: differing?.seq ?? null, id: differing?.id ?? null };
  const whose =
    differing === null
      ? ''
      : differing.seq === null
        ? ''
        : `, of event ${differing.seq} (${shownId(differing.id ?? '')})`;
  if (isRight) {
    if (differing === null) {
      if (differingTile === null) return;
      const message = `The hash tile ${differingTile} of log ${number} is not what the log's entries give.`;
      findings.add('tile_differs', message);
      return;
    }
    const message = `The hash tile ${differing.path} of log ${number} is not what the entries give, from entry ${differing.index} on${whose}.`;
    findings.add('tile_differs', message, about);
  } else if (differing !== null && tileRoot !== undefined && sameHash(tileRoot, checkpoint.root)) {
    const message = `Entry ${differing.index} of log ${number}${whose} is not the one that was signed: the hash tiles give the signed root, and the entries do not.`;
    findings.add('entry_changed', message, about);
  } else {
    const good = known
      .filter((one) => one.checkpoint.origin === origin)
      .filter(({ checkpoint: { size, root: was } }) => isSame(roots.get(size), was))
      .map((one) => one.checkpoint.size);
    const since = good.length === 0 ? '' : ` Up to entry ${Math.max(...good) - 1} they are as you have seen them.`;
    const message = `The entries of log ${number} do not give the root that its checkpoint names at size ${checkpoint.size}: entries were changed, added or taken away.${since}`;
    findings.add('root_differs', message, about);
  }
}

const isSame = (one: Hash | undefined, other: Hash): boolean => one !== undefined && sameHash(one, other);

interface Before {
  readonly log: JudgedLog;
  readonly content: LogContent;
  readonly keys: Keys;
}

/** Whether a log follows the one before it as it says. */
async function judgeBeginning(
  { number }: JudgedLog,
  { entry, keptSize }: Beginning,
  before: Before | null,
  { name: trail, pinned }: { readonly name: string; readonly pinned: readonly Uint8Array[] },
  gaps: Gap[],
  findings: Findings,
): Promise<void> {
  const { body } = entry;
  const broken = (what: string): void =>
    findings.add('chain_broken', `Log ${number} does not follow the log before it as its first entry says: ${what}.`);
  const previous = isObject(body['previous']) ? body['previous'] : {};
  if (before === null) {
    broken('there is none');
    return;
  }
  if (body['log'] !== number) broken(`it calls itself log ${shown(body['log'])}`);
  if (previous['origin'] !== before.log.origin) broken(`it names ${shown(previous['origin'])}`);
  if (previous['size'] !== keptSize) broken('two sizes of what counts differ');
  for (const name of ['checkpoint', 'known'] as const) {
    const note = previous[name];
    if (note === null && (name === 'known' || keptSize === 0)) continue;
    const parsed = typeof note === 'string' ? parseCheckpoint(note) : null;
    if (parsed === null) {
      broken(`its ${name} is no checkpoint`);
      continue;
    }
    const { origin, size, root } = parsed.checkpoint;
    const isOwn = origin === before.log.origin;
    // What is known may be of a log that a rollback took away altogether. It had the keys of the log before it, or ones that are pinned.
    const of = name === 'known' ? (numberOf(trail, origin) ?? 0) : before.log.number;
    const keys = isOwn ? before.keys : createKeys(origin, [...before.keys.last(), ...pinned]);
    // oxlint-disable-next-line no-await-in-loop -- there are two
    const isSigned = (isOwn || (of > before.log.number && of < number)) && (await keys.isSigned(parsed.note, size));
    if (!isSigned && name === 'known' && body['because'] === 'key_lost') {
      const message = `Log ${number} names a checkpoint of ${size} entries beyond what counts, by a key that is not pinned. Ask the operator for the verifier key of log ${number} by another way, and name both with --key.`;
      findings.add('key_lost', message, { judgement: 'unknown' });
    } else if (!isSigned) broken(`its ${name} is not signed by the key of that log`);
    else if (!isOwn) continue;
    else if (name === 'checkpoint' && size !== keptSize) broken('its checkpoint is of another size than what counts');
    else if (size <= before.log.checkpoint.size && !isSame(before.content.roots.get(size), root)) {
      // A fork is told openly where the log stopped for it: what counts ends before it.
      if (name === 'known' && body['because'] === 'forked') continue;
      broken(`its ${name} has another root than the entries of that log give`);
    }
  }
  const gap = body['gap'];
  if (isObject(gap)) {
    const { from, to } = gap;
    if (typeof from === 'number' && typeof to === 'number' && from >= 1 && to >= from)
      gaps.push({ from, to, log: number });
    else broken('its gap is none');
  } else if (gap !== null) broken('its gap is none');
  const lost = isObject(gap) ? ` No event has a number from ${shown(gap['from'])} to ${shown(gap['to'])}.` : '';
  findings.remark(
    `Log ${number} follows log ${before.log.number}, of which ${keptSize} entries count (${shown(body['because'])}; ${shown(body['reason'])}).${lost}`,
  );
}

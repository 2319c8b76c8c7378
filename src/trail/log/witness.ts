import type { Witness } from '../../config/trail-log.ts';
import { COSIGNATURE_MAX_SKEW_MS } from '../../config/trail-limits.ts';
import type { Runtime } from '../../kit/runtime.ts';
import { parseCheckpoint } from '../../tlog/checkpoint.ts';
import type { Hash } from '../../tlog/merkle.ts';
import { cosignedAtSeconds, isSignature, type NoteSignature, parseNote, type Verifier } from '../../tlog/note.ts';
import { ADD_CHECKPOINT, submissionText } from '../../tlog/witnessing.ts';
import type { AnchorProblem } from '../../vocabulary.ts';
import { type OutsideAnswer, type OutsideNetwork, post } from './outside.ts';

/** A checkpoint as it goes outside. */
export interface SentCheckpoint {
  readonly size: number;
  /** The text of the signed note, without cosignatures. */
  readonly note: string;
}

/**
 * What came of a checkpoint outside. `taken`: it was taken, and a witness has cosigned it. `ahead`: the place has a larger size than the
 * checkpoint. `other`: the witness holds another log of this name.
 */
export type Outcome =
  | { readonly kind: 'taken'; readonly cosignature: NoteSignature | null }
  | { readonly kind: 'ahead'; readonly size: number }
  | { readonly kind: 'other'; readonly size: number }
  | {
      readonly kind: 'failed';
      readonly problem: AnchorProblem;
      readonly status: number | null;
      /** The size that the place has, as far as it is known now. */
      readonly size: number;
    };

/** Gives the proof from a size to that of the checkpoint; null where the files of the log give none. */
export type ProofFrom = (oldSize: number) => Promise<readonly Hash[] | null>;

type WitnessRuntime = OutsideNetwork & Pick<Runtime, 'now'>;

/**
 * Asks a witness to cosign a checkpoint (C2SP tlog-witness). A witness that has another size than it is remembered with says so, and is
 * asked once more from there. Nothing that it signs is passed on unless its pinned key has signed this very checkpoint.
 *
 * @param remembered the size that the witness has as far as is known, 0 where nothing is.
 */
export async function askWitness(
  runtime: WitnessRuntime,
  { url, verifier }: Witness,
  checkpoint: SentCheckpoint,
  remembered: number,
  proofFrom: ProofFrom,
): Promise<Outcome> {
  const submit = async (oldSize: number): Promise<Step> => {
    const proof = await proofFrom(oldSize);
    if (proof === null) return { kind: 'failed', problem: 'no_proof', status: null, size: oldSize };
    const body = submissionText({ oldSize, proof, checkpoint: checkpoint.note });
    const answer = await post(runtime, { url: `${url}${ADD_CHECKPOINT}`, body, wantsText: true });
    if (!answer.ok) return { kind: 'failed', problem: answer.error, status: null, size: oldSize };
    return await stepOf(answer.value, oldSize, checkpoint, verifier, runtime.now());
  };
  // A size beyond that of the checkpoint leads to no proof. The witness says what it has.
  const first = await submit(remembered <= checkpoint.size ? remembered : 0);
  if (first.kind !== 'has') return first;
  const { size } = first;
  if (size > checkpoint.size) return { kind: 'ahead', size };
  const second = await submit(size);
  if (second.kind === 'has') {
    if (second.size > checkpoint.size) return { kind: 'ahead', size: second.size };
    // The size is the same and the witness refuses it all the same: it has another root.
    if (second.size === checkpoint.size && size === checkpoint.size) return { kind: 'other', size };
    return { kind: 'failed', problem: 'conflict', status: 409, size: second.size };
  }
  // The size is the witness's own word, and the proof from it leads to the checkpoint (`proofFrom` has checked that). So what it holds is
  // not what this log has at that size.
  return second.kind === 'failed' && second.problem === 'inconsistent' ? { kind: 'other', size } : second;
}

type Step = Exclude<Outcome, { kind: 'ahead' | 'other' }> | { readonly kind: 'has'; readonly size: number };

async function stepOf(
  { status, size, text }: OutsideAnswer,
  oldSize: number,
  checkpoint: SentCheckpoint,
  verifier: Verifier,
  nowMs: number,
): Promise<Step> {
  if (status === 200) {
    const cosignature = await cosignatureOf(checkpoint.note, text, verifier, nowMs);
    if (cosignature !== null) return { kind: 'taken', cosignature };
    return { kind: 'failed', problem: 'bad_cosignature', status, size: oldSize };
  }
  if (status === 409 && size !== null) return { kind: 'has', size };
  // What a witness was remembered to have is not what it has. The next run asks from 0, and learns it.
  if (status === 422) return { kind: 'failed', problem: 'inconsistent', status, size: 0 };
  return { kind: 'failed', problem: PROBLEMS[status] ?? 'unexpected_status', status, size: oldSize };
}

const PROBLEMS: Readonly<Record<number, AnchorProblem>> = { 403: 'untrusted_key', 404: 'unknown_log' };

/**
 * The cosignature of this witness over a checkpoint, out of the lines that it answered with; null if there is none. A witness may have several
 * keys, so lines of other keys are passed over.
 */
export async function cosignatureOf(
  note: string,
  lines: string,
  verifier: Verifier,
  nowMs: number,
): Promise<NoteSignature | null> {
  const body = parseCheckpoint(note)?.note.body;
  const parsed = parseNote(`${note}${lines}`);
  // An empty line in the answer would make the checkpoint end elsewhere.
  if (parsed === null || parsed.body !== body) return null;
  for (const signature of parsed.signatures) {
    if (signature.name !== verifier.name || signature.keyId !== verifier.keyId) continue;
    if (!isTimely(signature, nowMs)) continue;
    // One at a time: there is hardly ever more than one.
    if (await isSignature(parsed.body, signature, verifier)) return signature;
  }
  return null;
}

/** A cosignature of another day says nothing of how fresh the log is. An hour or a time zone may be wrong in a clock, ours too. */
function isTimely(cosignature: NoteSignature, nowMs: number): boolean {
  const atSeconds = cosignedAtSeconds(cosignature);
  return atSeconds !== null && Math.abs(atSeconds * 1000 - nowMs) <= COSIGNATURE_MAX_SKEW_MS;
}

/**
 * Sends a checkpoint to a URL. It may be anything that keeps what it is sent; one that knows a larger size may say so as a witness does.
 *
 * @param text the checkpoint with the cosignatures that there are.
 */
export async function sendToUrl(
  runtime: OutsideNetwork,
  url: string,
  text: string,
  size: number,
  remembered: number,
): Promise<Outcome> {
  const answer = await post(runtime, { url, body: text, wantsText: false });
  if (!answer.ok) return { kind: 'failed', problem: answer.error, status: null, size: remembered };
  const { status, size: told } = answer.value;
  if (status >= 200 && status < 300) return { kind: 'taken', cosignature: null };
  if (told !== null && told > size) return { kind: 'ahead', size: told };
  return { kind: 'failed', problem: 'unexpected_status', status, size: remembered };
}

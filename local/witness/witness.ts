import { parseCheckpoint } from '../../src/tlog/checkpoint.ts';
import { type Hash, isConsistent, sameHash } from '../../src/tlog/merkle.ts';
import { cosign, isSignedBy, signatureLine, type Signer, type Verifier, verifierOf } from '../../src/tlog/note.ts';
import { parseSubmission, SIZE_TYPE, sizeText } from '../../src/tlog/witnessing.ts';

// A witness (C2SP tlog-witness) without its network: `npm start` serves it, and tests call it.

/** What a witness has seen of a log. */
export interface Seen {
  readonly size: number;
  readonly root: Hash;
}

export interface WitnessOptions {
  /** Cosigns under the name of the witness. */
  readonly signer: Signer;
  /**
   * The keys of the logs that it knows. A log may have several, so that one can take over from another. A key is also good for the logs that
   * follow the one of its name, `<name>/2` and so on, under the same public key.
   */
  readonly logs: readonly Verifier[];
  /** What was seen of each log, by its origin. */
  readonly seen: Map<string, Seen>;
  /** Keeps `seen` before anything is signed. It must be done when it returns. */
  readonly persist: () => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly contentType: string;
  readonly body: string;
}

/** Answers the body of an `add-checkpoint`. */
export type AddCheckpoint = (body: string) => Promise<WitnessAnswer>;

const told = (status: WitnessAnswer['status'], text: string): WitnessAnswer => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body: `${text}\n`,
});

/** Creates a witness. */
export function createWitness({ signer, logs, seen, persist, now }: WitnessOptions): AddCheckpoint {
  return async (body) => {
    const submission = parseSubmission(body);
    const parsed = submission === null ? null : parseCheckpoint(submission.checkpoint);
    if (submission === null || parsed === null) return told(400, 'The body is no old size, proof and checkpoint.');
    const { note, checkpoint } = parsed;
    const { origin, size, root } = checkpoint;
    const keys = logs.flatMap((key) => keyFor(origin, key) ?? []);
    if (keys.length === 0) return told(404, 'The log is not known here.');
    const signed = await Promise.all(keys.map(async (key) => await isSignedBy(note, key)));
    if (!signed.includes(true)) return told(403, 'No key of the log has signed the checkpoint.');
    const { oldSize, proof } = submission;
    if (oldSize > size) return told(400, 'The old size is larger than the checkpoint.');
    // Nothing is awaited from here until the checkpoint is kept: a second request would otherwise roll the first one back.
    const last = seen.get(origin) ?? null;
    const known = last?.size ?? 0;
    const conflict = { status: 409, contentType: SIZE_TYPE, body: sizeText(known) } as const;
    if (oldSize !== known) return conflict;
    if (last !== null && size === known && !sameHash(root, last.root)) return conflict;
    if (!follows(last, checkpoint, proof)) return told(422, 'The log does not begin with what was seen of it.');
    seen.set(origin, { size, root });
    persist();
    const cosignature = await cosign(note.body, Math.floor(now() / 1000), signer);
    return { status: 200, contentType: 'text/plain; charset=utf-8', body: signatureLine(cosignature) };
  };
}

/** Whether the proof shows that a log begins with what was seen of it. Of a log that was never seen there is nothing to prove. */
const follows = (last: Seen | null, { size, root }: Seen, proof: readonly Hash[]): boolean =>
  last === null || last.size === 0 ? proof.length === 0 : isConsistent(last.size, last.root, size, root, proof);

/** The key under the origin of a log; null if the key is not for that log. */
function keyFor(origin: string, key: Verifier): Verifier | null {
  if (origin === key.name) return key;
  const isFollower = origin.startsWith(`${key.name}/`) && /^[1-9]\d{0,5}$/.test(origin.slice(key.name.length + 1));
  return isFollower ? verifierOf(key.kind, origin, key.publicKey) : null;
}

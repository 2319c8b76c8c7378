import { decodePaddedBase64 } from '../kit/bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { type Hash, leafHash, rootOfInclusion, sameHash } from './merkle.ts';
import { isSignedBy, type Note, type Verifier } from './note.ts';

// Receipts are proofs of one entry in one file (C2SP tlog-proof), which anyone checks with the public key alone.

const HEADER = 'c2sp.org/tlog-proof@v1';

export interface Receipt {
  /** The entry. A proof file has room for it as its extra data. */
  readonly entry: Uint8Array;
  readonly index: number;
  readonly proof: readonly Hash[];
  /** The text of the signed checkpoint. */
  readonly checkpoint: string;
}

/** The text of a proof file. */
export const receiptText = ({ entry, index, proof, checkpoint }: Receipt): string =>
  [HEADER, `extra ${base64(entry)}`, `index ${index}`, ...proof.map(base64), '', checkpoint].join('\n');

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** Reads a proof file that carries its entry; null where the text is none. Nothing of it is checked. */
export function parseReceipt(text: string): Receipt | null {
  const end = text.indexOf('\n\n');
  const [header, extra = '', index = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  const entry = decodePaddedBase64(extra.replace(/^extra /, ''));
  const place = Number(index.replace(/^index /, ''));
  const proof = lines.map(decodePaddedBase64).filter((hash) => hash?.length === 32);
  if (header !== HEADER || !extra.startsWith('extra ') || entry === null) return null;
  if (!/^index (?:0|[1-9]\d{0,15})$/.test(index) || !Number.isSafeInteger(place) || proof.length !== lines.length)
    return null;
  return {
    entry,
    index: place,
    proof: proof.filter((hash) => hash !== null),
    checkpoint: text.slice(end + 2),
  };
}

/** What a receipt proves: that the log of the key holds its entry. */
export interface Proven {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
}

/** Checks a receipt. Null: it proves nothing, since its checkpoint is not signed by the key or its proof does not lead to the root. */
export async function proveReceipt(receipt: Receipt, verifier: Verifier): Promise<Proven | null> {
  const parsed = parseCheckpoint(receipt.checkpoint);
  if (parsed === null || parsed.checkpoint.origin !== verifier.name) return null;
  if (!(await isSignedBy(parsed.note, verifier))) return null;
  const { size, root } = parsed.checkpoint;
  const reached = rootOfInclusion(leafHash(receipt.entry), receipt.index, size, receipt.proof);
  return reached !== null && sameHash(reached, root) ? parsed : null;
}

import { decodePaddedBase64 } from '../kit/bytes.ts';
import type { Hash } from './merkle.ts';

// The texts between a log and a witness (C2SP tlog-witness). A witness signs a checkpoint once it is shown that the log still begins with
// all that it has seen of it.

/** What a log appends to the URL of a witness. */
export const ADD_CHECKPOINT = '/add-checkpoint';
/** The content type of the size that a witness has. */
export const SIZE_TYPE = 'text/x.tlog.size';
/** A proof between two sizes below 2^63 is never longer, and a witness refuses more. */
const PROOF_MAX_LINES = 63;

/** What a log sends to a witness. */
export interface Submission {
  /** The size that the witness has of this log. */
  readonly oldSize: number;
  /** Shows that the log at the size of the checkpoint begins with the log at the old size. */
  readonly proof: readonly Hash[];
  /** The text of the signed checkpoint. */
  readonly checkpoint: string;
}

/** The body of `add-checkpoint`. */
export const submissionText = ({ oldSize, proof, checkpoint }: Submission): string =>
  [`old ${oldSize}`, ...proof.map((hash) => Buffer.from(hash).toString('base64')), '', checkpoint].join('\n');

/** Reads the body of `add-checkpoint`; null where the text is none. Nothing of it is checked. */
export function parseSubmission(text: string): Submission | null {
  const end = text.indexOf('\n\n');
  const [old = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\n');
  const oldSize = old.startsWith('old ') ? parseSize(old.slice('old '.length)) : null;
  const proof = lines.map(decodePaddedBase64).filter((hash) => hash?.length === 32);
  if (oldSize === null || lines.length > PROOF_MAX_LINES || proof.length !== lines.length) return null;
  return { oldSize, proof: proof.filter((hash) => hash !== null), checkpoint: text.slice(end + 2) };
}

/** The body of an answer of the type SIZE_TYPE. */
export const sizeText = (size: number): string => `${size}\n`;

/** Reads a size in decimal digits, with or without a newline behind it; null where the text is none. */
export function parseSize(text: string): number | null {
  const digits = text.replace(/\n$/, '');
  return /^(?:0|[1-9]\d{0,15})$/.test(digits) && Number.isSafeInteger(Number(digits)) ? Number(digits) : null;
}

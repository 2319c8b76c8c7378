import { ACTOR_LABEL_MAX_BYTES } from '../config/limits.ts';
import { byteLength } from '../kit/caps.ts';
import { replaceControls } from '../kit/control-characters.ts';
import { sha256HexSync } from '../kit/digest.ts';

/**
 * The form in which labels are compared: an e-mail address is the same whatever its letters' case. A label may have any length, so
 * the digest of a long one stands for it: what it begins with says nothing about whose it is.
 */
export function labelKey(label: string): string {
  const key = replaceControls(label.toWellFormed()).normalize('NFC').toLowerCase();
  return byteLength(key) <= ACTOR_LABEL_MAX_BYTES ? key : `sha256:${sha256HexSync(key)}`;
}

/** What `subject_labels` knows a label by. */
export const labelDigest = (label: string): string => sha256HexSync(labelKey(label));

import { describe, expect, it } from 'vitest';
import type { TokenRejection } from '../../src/failures.ts';
import { adviceOn, isBehindSignature } from '../../src/identity/jwt.ts';

const TOLD = {
  too_large: true,
  type_not_accepted: true,
  audience_mismatch: true,
  expired: true,
  too_old: true,
  not_yet_valid: true,
  issued_in_future: true,
  claim_missing: true,
  claim_malformed: true,
  subject_empty: true,
  credentials_ambiguous: false,
  malformed: false,
  algorithm_not_allowed: false,
  critical_header: false,
  issuer_unknown: false,
  wrong_header: false,
  key_unknown: false,
  signature_invalid: false,
} as const satisfies Record<TokenRejection, boolean>;
const REASONS = Object.entries(TOLD) as [TokenRejection, boolean][];

describe('what a caller is told of its JWT', () => {
  it.each(REASONS)('%s: %s', (reason, told) => {
    expect(adviceOn(reason) !== null).toBe(told);
  });

  it.each(REASONS.filter(([, told]) => told))('%s: what is wrong, and then what to do', (reason) => {
    // The advice uses only the characters of RFC 6750 §3.
    expect(adviceOn(reason)).toMatch(/^The JWT [\x20-\x21\x23-\x5B\x5D-\x7E]+\. [A-Z].+\.$/);
  });

  it.each(REASONS)('%s is found behind a good signature, or before anything is read: %s', (reason, told) => {
    expect(isBehindSignature(reason)).toBe(told && reason !== 'too_large');
  });
});

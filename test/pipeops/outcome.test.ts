import { expect, it } from 'vitest';
import { isOutcomeUnknown } from '../../src/pipeops/failures.ts';

it.each([
  { kind: 'upstream_timeout' } as const,
  { kind: 'upstream_unreachable' } as const,
  { kind: 'upstream_error', status: 500 } as const,
  { kind: 'upstream_invalid_response', status: 200 } as const,
])('after $kind nobody knows whether the mutation took effect', (failure) => {
  expect(isOutcomeUnknown(failure)).toBe(true);
});

it.each([
  { kind: 'upstream_credential_rejected', status: 401 } as const,
  { kind: 'upstream_forbidden', status: 403 } as const,
  { kind: 'upstream_rate_limited', status: 429, retryAfterSeconds: null } as const,
  { kind: 'upstream_not_found', status: 404 } as const,
  { kind: 'upstream_rejected', status: 422, fields: [] } as const,
])('after $kind it is known to have had none', (failure) => {
  expect(isOutcomeUnknown(failure)).toBe(false);
});

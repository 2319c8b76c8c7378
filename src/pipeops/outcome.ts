import type { UpstreamFailure } from '../failures.ts';

const OUTCOME_UNKNOWN: Readonly<Record<UpstreamFailure['kind'], boolean>> = {
  upstream_timeout: true,
  upstream_unreachable: true,
  upstream_error: true,
  upstream_invalid_response: true,
  upstream_credential_rejected: false,
  upstream_forbidden: false,
  upstream_rate_limited: false,
  upstream_not_found: false,
  upstream_rejected: false,
  // It has, and not as it should.
  upstream_disobeyed: false,
};

/** Whether a mutation that failed so may have taken effect all the same. */
export const isOutcomeUnknown = (failure: UpstreamFailure): boolean => OUTCOME_UNKNOWN[failure.kind];

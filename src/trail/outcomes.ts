import { codeOf, type Failure } from '../failures.ts';
import type { EventOutcome } from './events.ts';

/** The outcome that a failure leaves in the trail: the code its caller saw, and the true reason, which it did not. */
export function failureOutcome(failure: Failure): EventOutcome {
  return {
    status: 'failure',
    upstreamStatus: 'status' in failure ? failure.status : null,
    errorCode: codeOf(failure),
    detail: {
      ...('reason' in failure && { reason: failure.reason }),
      ...('limit' in failure && { max_tokens: failure.limit }),
      ...('detail' in failure && failure.detail),
      ...('heldBy' in failure && { idempotent_of: failure.heldBy }),
    },
  };
}

export const successOutcome = (
  upstreamStatus: number | null,
  detail: Readonly<Record<string, unknown>> = {},
): EventOutcome => ({ status: 'success', upstreamStatus, errorCode: null, detail });

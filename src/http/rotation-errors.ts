import type { RotationFailure } from '../failures.ts';
import type { Answer } from './wire-errors.ts';

// What a caller hears whose token is not rotated: why, and what to do.

/** What a caller hears that asks for the rotation of somebody else's token. */
export const anothersRotation: Answer = {
  status: 403,
  message:
    'Only the owner of a token rotates it, since the secret of its successor is for the owner alone. An administrator revokes the token, and its owner mints another.',
};

/** Why a token of the caller is not rotated, and what to do. */
export function notRotatable(failure: Extract<RotationFailure, { kind: 'not_rotatable' }>): Answer {
  if (failure.reason === 'rotated') {
    return {
      status: 409,
      message: `This token was rotated, and ${failure.successor} has taken its place. Rotate that one, or repeat the first request with its Idempotency-Key to get its answer again.`,
      errors: { replaced_by: [failure.successor] },
    };
  }
  return { status: 409, message: `This token ${NOT_ROTATABLE[failure.reason]}` };
}

const NOT_ROTATABLE = {
  revoked: 'is revoked. Create another one.',
  expired: 'has expired. Create another one.',
  suspended: 'is suspended. Resume it first, or have whoever suspended it resume it.',
  ordered: 'is ordered to be revoked or suspended. Create another one if you still may.',
  not_recorded: 'was minted before its grant was recorded here. Create another one, and revoke this one.',
  overtaken:
    'was revoked, suspended or ordered meanwhile. Its successor is revoked, and nobody gets its secret. Look up the event id in the trail.',
} as const;

import type { Failure } from '../../package/client/failure.ts';
import type { DegradedReason, NotReadyReason } from '../../package/client/vocabulary.ts';

// What is wrong with the service, in words that need no more than /readyz tells. docs/operate.md says more of each.

/** A reason in words. */
export interface ReasonWords {
  /** What is wrong, as a sentence. */
  readonly title: string;
  /** What that means for whoever uses the service. */
  readonly meaning: string;
}

const REASONS: Readonly<Record<DegradedReason | NotReadyReason, ReasonWords>> = {
  d1: {
    title: 'The database does not answer.',
    meaning: 'Nothing is done that would have to be recorded. Until this is over, revoke in PipeOps’ own console.',
  },
  schema_outdated: {
    title: 'The database lacks a migration.',
    meaning: 'Requests fail until an operator applies it.',
  },
  admin_credential_expiring: {
    title: 'The PipeOps credential ends within a week.',
    meaning: 'Without a new one nothing can be done at PipeOps afterwards.',
  },
  admin_credential_expired: {
    title: 'The PipeOps credential has ended.',
    meaning: 'Creates and changes fail. Revocations are kept until there is a new one.',
  },
  admin_credential_rejected: {
    title: 'PipeOps refuses the credential of this service.',
    meaning: 'Creates and changes fail. Revocations are kept until there is a new one.',
  },
  admin_credential_renewal_lost: {
    title: 'The PipeOps credential does not renew itself any more.',
    meaning: 'It works until it ends.',
  },
  upstream_unreachable: {
    title: 'PipeOps does not answer.',
    meaning: 'Creates and changes fail, and lists may be an hour old. Revocations are kept and tried again.',
  },
  upstream_rate_limited: {
    title: 'PipeOps takes no more calls for now.',
    meaning: 'Changes wait, and lists may be old. The last calls are kept for revocation.',
  },
  upstream_forbidden: {
    title: 'PipeOps forbids this service to act in a workspace.',
    meaning: 'Nothing can be created, changed or revoked there.',
  },
  d1_size: {
    title: 'The database is nearly full.',
    meaning: 'Once it is full, nothing is created, changed, revoked or listed.',
  },
  fingerprint_keys: {
    title: 'A fingerprint key is missing.',
    meaning: 'Leaks of the tokens that were created under it are not recognised.',
  },
  revocation_orders: {
    title: 'Revocations were given up.',
    meaning: 'Their tokens may still work until somebody tries again.',
  },
  revocation_contradicted: {
    title: 'A revoked token still works.',
    meaning: 'PipeOps acknowledged its revocation and still shows it alive. It is revoked again by itself.',
  },
  trail_unsealed: { title: 'Events wait for their seal.', meaning: 'The trail goes on, and has no proof yet.' },
  trail_forked: { title: 'The log of the trail was changed.', meaning: 'Nothing is sealed any more.' },
  trail_rolled_back: { title: 'The database was rolled back.', meaning: 'Nothing is sealed any more.' },
  trail_unauthentic: { title: 'A row was not written by this service.', meaning: 'It gives nobody any power.' },
};

const isKnown = (reason: string): reason is keyof typeof REASONS => Object.hasOwn(REASONS, reason);

/** A reason in words. One of a newer service is told by its name. */
export const reasonWords = (reason: string): ReasonWords =>
  isKnown(reason)
    ? REASONS[reason]
    : {
        title: `Something needs attention: ${reason.replaceAll('_', ' ')}.`,
        meaning: 'This page is older than the service. Load it again.',
      };

/** All that is wrong, in one line. */
export const bannerWords = (reasons: readonly string[]): string =>
  reasons.map((reason) => reasonWords(reason).title).join(' ');

/**
 * The reasons that a failure names: `/status` tells them with advice, and `/readyz` in its message alone.
 *
 * @returns an empty list if the failure is another one.
 */
export function notReadyReasons(failure: Failure): readonly string[] {
  if (failure.code !== 'not_ready') return [];
  const told = Object.keys(failure.errors);
  return told.length > 0 ? told : (/^Not ready: ([a-z0-9_, ]+)\./.exec(failure.message)?.[1]?.split(', ') ?? []);
}

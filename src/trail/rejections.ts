import type { RateLimits } from '../config/env.ts';
import type { AuthFailure, PolicyFailure, SignatureFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type Actor, failureOutcome, SYSTEM_ACTOR } from './event.ts';
import type { Recorder } from './recorder.ts';

/** Why somebody is no caller: an unacceptable JWT or signature, or a good JWT that no binding knows. */
export type Rejection = AuthFailure | SignatureFailure | Extract<PolicyFailure, { kind: 'no_role' }>;

export interface Rejections {
  /**
   * Records a rejected login, in the background: strangers wait for no D1, and D1 being down changes nothing for them.
   * Rows are limited by address and in all, so that strangers cannot fill the database; logins are not.
   *
   * @param known who it is, as far as that is certain; null: a stranger.
   */
  record(context: RequestContext, rejection: Rejection, known: Actor | null): void;
}

interface Dependencies {
  readonly recorder: Recorder;
  readonly rateLimits: Pick<RateLimits, 'rejectionsPerAddress' | 'rejectionsInAll'>;
  readonly runtime: Runtime;
}

export function createRejections({ recorder, rateLimits, runtime }: Dependencies): Rejections {
  const mayRecord = async (context: RequestContext): Promise<boolean> => {
    // The address first: one that is silenced uses up nothing of the others' share.
    const perAddress = await rateLimits.rejectionsPerAddress.limit({ key: addressGroup(context.ip) });
    return perAddress.success && (await rateLimits.rejectionsInAll.limit({ key: 'all' })).success;
  };

  const record = async (context: RequestContext, rejection: Rejection, known: Actor | null): Promise<void> => {
    try {
      if (!(await mayRecord(context))) return;
    } catch {
      runtime.log({ level: 'error', event: 'rate_limiter_failed', request_id: context.requestId });
      return;
    }
    const subject = {
      action: 'auth.reject',
      actor: known ?? stranger(rejection),
      workspaceUuid: null,
      tokenId: null,
      tokenName: null,
      detail: {},
    } as const;
    await recorder.record(context, subject, failureOutcome(rejection), []);
  };

  return { record: (context, rejection, known) => runtime.background(record(context, rejection, known)) };
}

/** Nothing that an unverified token says is stored, but for an issuer that is configured here. */
const stranger = (rejection: Rejection): Actor => ({
  ...SYSTEM_ACTOR,
  issuer: 'issuer' in rejection ? (rejection.issuer ?? null) : null,
});

/**
 * The addresses that one party has: a single IPv4 address, or the /64 that an IPv6 subscriber is given (RFC 6177).
 * Anything that is no address is one group of its own.
 */
export function addressGroup(ip: string | null): string {
  if (ip === null) return 'unknown';
  if (!ip.includes(':')) return ip;
  const [head = '', tail] = ip.toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  // `::` stands for as many zero groups as are missing to eight.
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

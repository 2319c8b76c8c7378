import type { RateLimits } from '../config/env.ts';
import type { AuthFailure, CallerBar, PolicyFailure, SignatureFailure, SignInFailure } from '../failures.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { RequestContext } from '../kit/trace.ts';
import { type Actor, eventSubject, SYSTEM_ACTOR } from './event.ts';
import type { Recorder } from './recorder.ts';

/** Why somebody is no caller: the JWT, session, sign-in or signature is not acceptable, or no binding knows the JWT. */
export type Rejection =
  | AuthFailure
  | CallerBar
  | SignInFailure
  | SignatureFailure
  | Extract<PolicyFailure, { kind: 'no_role' }>;

export interface Rejections {
  /**
   * Records a rejected login in the background: strangers do not wait for D1, and an outage of D1 changes nothing for them. Rows
   * are limited for each address and in all, so strangers cannot fill the database. Logins are not limited here.
   *
   * @param known the actor, as far as it is certain. Null: a stranger.
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
    // The address is asked first, so that one which is over its limit uses up nothing of the limit for all.
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
    await recorder.refuse(context, eventSubject('auth.reject', known ?? stranger(rejection)), rejection);
  };

  return { record: (context, rejection, known) => runtime.background(record(context, rejection, known)) };
}

/** Nothing that an unverified JWT says is stored, except an issuer that is configured here. */
const stranger = (rejection: Rejection): Actor => ({
  ...SYSTEM_ACTOR,
  issuer: 'issuer' in rejection ? (rejection.issuer ?? null) : null,
});

/**
 * The group of addresses that one party has: a single IPv4 address, or the /64 that an IPv6 subscriber is given (RFC 6177).
 * All requests without an address are one group.
 */
export function addressGroup(ip: string | null): string {
  if (ip === null) return 'unknown';
  if (!ip.includes(':')) return ip;
  const [head = '', tail] = ip.toLowerCase().split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined ? [] : tail.split(':');
  // `::` stands for the zero groups that are missing to eight.
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

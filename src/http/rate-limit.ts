import { createMiddleware } from 'hono/factory';
import type { RateLimiter } from '../config/env.ts';
import { CALLER_LIMIT_PERIOD_SECONDS, CALLER_LIMIT_REQUESTS, RATE_LIMIT_TIMEOUT_MS } from '../config/limits.ts';
import { waitFor } from '../kit/deadline.ts';
import type { Runtime } from '../kit/runtime.ts';
import { ratePolicy } from './wire-messages.ts';
import type { AppEnv } from './context.ts';
import { failure } from './answer.ts';

/**
 * Limits the requests of each caller, known by issuer and subject: an address is shared, a label can be chosen. A limiter
 * that fails, or does not answer, lets the request pass, since it protects PipeOps' quota and not its tokens.
 *
 * @example app.use('/api/*', rateLimit(rateLimits.caller, runtime))
 */
export const rateLimit = (limiter: RateLimiter, runtime: Runtime) =>
  createMiddleware<AppEnv>(async function rateLimitMiddleware(c, next) {
    const { issuer, subject } = c.get('caller');
    const key = JSON.stringify([issuer, subject]);
    const ask = async () => await limiter.limit({ key });
    const asked = await waitFor(runtime, RATE_LIMIT_TIMEOUT_MS, ask());
    if (asked.ok && !asked.value.success) {
      // When the window ends is not known either: at the latest a whole one from now.
      const window = { ...CALLER_LIMIT, untilMs: runtime.now() + CALLER_LIMIT_PERIOD_SECONDS * 1000 };
      return failure(c, { kind: 'rate_limited', retryAfterSeconds: CALLER_LIMIT_PERIOD_SECONDS, window });
    }
    if (!asked.ok)
      runtime.log({ level: 'error', event: 'rate_limiter_failed', request_id: c.get('context').requestId });
    await next();
    // Added to what a 429 may say of PipeOps' limits.
    c.res.headers.append('RateLimit-Policy', ratePolicy(CALLER_LIMIT));
    return undefined;
  });

/** The binding says yes or no and no more, so that what remains is not known before it is nothing. */
const CALLER_LIMIT = {
  policy: 'caller',
  limit: CALLER_LIMIT_REQUESTS,
  windowSeconds: CALLER_LIMIT_PERIOD_SECONDS,
} as const;

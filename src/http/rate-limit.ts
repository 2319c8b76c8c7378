import { createMiddleware } from 'hono/factory';
import type { RateLimiter } from '../config/env.ts';
import { CALLER_LIMIT_PERIOD_SECONDS, CALLER_LIMIT_REQUESTS, RATE_LIMIT_TIMEOUT_MS } from '../config/limits.ts';
import { underDeadline, untilAborted } from '../deadline.ts';
import type { Runtime } from '../runtime.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './envelope.ts';

/**
 * Limits the requests of each caller, known by issuer and subject: an address is shared, a label can be chosen. A limiter
 * that fails, or does not answer, lets the request pass, since it protects PipeOps' quota and not its tokens.
 *
 * @example app.use('/api/*', rateLimit(rateLimits.caller, runtime))
 */
export const rateLimit = (limiter: RateLimiter, runtime: Runtime) =>
  createMiddleware<AppEnv>(async function rateLimitMiddleware(c, next) {
    const { issuer, subject } = c.get('caller');
    // The IETF's RateLimit fields; `remaining` is not known: the binding says yes or no and no more.
    c.header('RateLimit-Policy', `"caller";q=${CALLER_LIMIT_REQUESTS};w=${CALLER_LIMIT_PERIOD_SECONDS}`);
    const key = JSON.stringify([issuer, subject]);
    try {
      const { success } = await underDeadline(
        runtime,
        RATE_LIMIT_TIMEOUT_MS,
        async (deadline) => await untilAborted(limiter.limit({ key }), deadline),
      );
      if (!success) return failure(c, { kind: 'rate_limited', retryAfterSeconds: CALLER_LIMIT_PERIOD_SECONDS });
    } catch {
      runtime.log({ level: 'error', event: 'rate_limiter_failed', request_id: c.get('context').requestId });
    }
    return await next();
  });

import { createMiddleware } from 'hono/factory';
import type { RateLimiter } from '../config/env.ts';
import { CALLER_LIMIT_PERIOD_SECONDS, CALLER_LIMIT_REQUESTS, RATE_LIMIT_TIMEOUT_MS } from '../config/limits.ts';
import { waitFor } from '../deadline.ts';
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
    const key = JSON.stringify([issuer, subject]);
    const ask = async () => await limiter.limit({ key });
    const asked = await waitFor(runtime, RATE_LIMIT_TIMEOUT_MS, ask());
    if (asked.ok && !asked.value.success)
      return withPolicy(failure(c, { kind: 'rate_limited', retryAfterSeconds: CALLER_LIMIT_PERIOD_SECONDS }));
    if (!asked.ok)
      runtime.log({ level: 'error', event: 'rate_limiter_failed', request_id: c.get('context').requestId });
    await next();
    return void withPolicy(c.res);
  });

/** The IETF's RateLimit fields; `remaining` is not known: the binding says yes or no and no more. */
function withPolicy(answer: Response): Response {
  answer.headers.set('RateLimit-Policy', `"caller";q=${CALLER_LIMIT_REQUESTS};w=${CALLER_LIMIT_PERIOD_SECONDS}`);
  return answer;
}

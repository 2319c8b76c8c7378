import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';
import { createProblems } from '../kit/problems.ts';
import { refuseUnknown } from './unknown-names.ts';

/**
 * For routes that take no parameters: one that is given is misunderstood, not ignored.
 *
 * @example app.get('/api/v1/whoami', noParameters, handler)
 */
export const noParameters = createMiddleware<AppEnv>(async function noParametersMiddleware(c, next) {
  const problems = createProblems();
  refuseUnknown('parameter', [...new URL(c.req.url).searchParams.keys()], [], problems);
  return problems.any() ? failure(c, problems.failure()) : await next();
});

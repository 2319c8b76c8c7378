import type { Context } from 'hono';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';

/**
 * Answers every other method of a path with 405 and what it does take.
 *
 * @example app.all('/healthz', methodNotAllowed('GET'))
 */
export const methodNotAllowed =
  (...allowed: readonly string[]) =>
  (c: Context<AppEnv>): Response =>
    failure(c, { kind: 'method_not_allowed', allowed });

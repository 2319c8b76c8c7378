import type { ErrorHandler } from 'hono';
import type { Runtime } from '../kit/runtime.ts';
import type { AppEnv } from './app-env.ts';
import { failure } from './answer.ts';

/** A bug: the caller gets a fixed answer, and the log the error's name and stack, never its message, which may quote. */
export const unexpected =
  (runtime: Runtime): ErrorHandler<AppEnv> =>
  (error, c) => {
    const frames = (error.stack ?? '').split('\n').filter((line) => line.trimStart().startsWith('at '));
    runtime.log({
      level: 'error',
      event: 'unexpected_error',
      request_id: c.get('context').requestId,
      name: error.name,
      stack: frames.slice(0, 8),
    });
    return failure(c, { kind: 'internal_error' });
  };

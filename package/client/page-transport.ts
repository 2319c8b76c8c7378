import { CountersignError, failureOf } from './failure.ts';
import {
  ANSWER_TIMEOUT_MS,
  answerOf,
  bytesOf,
  type CallOptions,
  envelopeOf,
  errorOf,
  type Fetch,
  initOf,
  jsonOf,
  type Read,
  type Request,
  stopAfter,
  type Transport,
  urlOf,
} from './transport.ts';

/**
 * Sends the requests of a page that the service itself serves, each once: whoever looks at the page decides whether to try again. It
 * sends no JWT, since the browser's cookie, or a proxy in front, says who calls.
 */
export function createPageTransport(origin: string, send: Fetch): Transport {
  const call = async <T>(request: Request, given: CallOptions, read: Read<T>): Promise<T> => {
    const timer = stopAfter(given.deadlineMs ?? ANSWER_TIMEOUT_MS, given.signal);
    try {
      const response = await send(urlOf(origin, request), initOf(request, timer.signal));
      if (!response.ok) throw new CountersignError(failureOf(origin, response, await jsonOf(response)));
      const value = await read(response);
      given.onAnswer?.(answerOf(response));
      return value;
    } catch (error) {
      const ending = { origin, isAborted: given.signal?.aborted === true, isLate: timer.isLate() };
      throw errorOf(error, ending, request.idempotencyKey ?? null);
    } finally {
      timer.stop();
    }
  };
  return {
    origin,
    json: async (request, given = {}) =>
      await call(request, given, async (response) => await envelopeOf(origin, response)),
    bytes: async (request, given = {}) => await call(request, given, bytesOf),
    stream: async (request, given = {}) =>
      await call(request, given, async (response) => await Promise.resolve(response)),
  };
}

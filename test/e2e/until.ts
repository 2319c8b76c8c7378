import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks again until there is an answer: a value that is neither null, undefined nor false.
 *
 * @param what names what is waited for, for the error.
 * @throws if there is none within `timeoutMs` milliseconds; errors of the question count as no answer.
 */
export async function until<T>(
  what: string,
  question: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  { timeoutMs = 20_000, intervalMs = 50 } = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let reason = '';
  while (Date.now() < deadline) {
    try {
      const answer = await question();
      if (answer !== null && answer !== undefined && answer !== false) return answer;
    } catch (error) {
      reason = `: ${String(error)}`;
    }
    await delay(intervalMs);
  }
  throw new Error(`Waited ${timeoutMs} ms for ${what}, in vain${reason}`);
}

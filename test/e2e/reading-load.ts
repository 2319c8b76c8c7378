import { setTimeout as delay } from 'node:timers/promises';
import { createClient, TOKENS } from './client.ts';
import type { Service } from './service.ts';

/** Between two reads of one reader: well under the rate limit of a caller. */
const READ_INTERVAL_MS = 150;

/**
 * Two callers who read all the time: a dashboard that lists tokens, and somebody who follows the trail. While the service
 * is down their reads fail, as they would.
 */
export function startReading(service: Service): { readonly stop: () => Promise<number> } {
  const stopping = new AbortController();
  let answered = 0;
  const readers = [
    { jwt: service.ciJwt, path: TOKENS },
    { jwt: service.adminJwt, path: '/api/v1/audit/events?limit=20&status=success' },
  ].map(async ({ jwt, path }) => {
    const client = createClient(service, jwt);
    while (!stopping.signal.aborted) {
      try {
        if ((await client.send('GET', path)).status === 200) answered += 1;
      } catch {
        // Killed on the way, or not back yet.
      }
      await delay(READ_INTERVAL_MS);
    }
  });
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(readers);
      return answered;
    },
  };
}

import { UserError } from '../../local/errors.ts';
import type { Client } from '../../package/client/client.ts';
import { CountersignError } from '../../package/client/failure.ts';
import { tilePath } from '../../src/tlog/tiles.ts';
import { LogList, type Source } from './source.ts';

/** Requests at a time. A service admits so many callers a minute, and answers 429 beyond that. */
const AT_ONCE = 4;

/** A trail as a service gives it. Its methods throw what the client throws. */
export function deploymentSource({ audit, origin }: Pick<Client, 'audit' | 'origin'>): Source {
  const orNull = async <T>(asked: Promise<T>): Promise<T | null> => {
    try {
      return await asked;
    } catch (error) {
      if (error instanceof CountersignError && 'status' in error.failure && error.failure.status === 404) return null;
      throw error;
    }
  };
  return {
    name: origin,
    atOnce: AT_ONCE,
    logs: async () => {
      const list = LogList.safeParse(await audit.logs());
      if (list.success) return list.data;
      throw new UserError(`${origin} does not answer as Countersign does: it has no list of logs. Check --url.`);
    },
    checkpoint: async (log) => await orNull(audit.checkpoint({ log })),
    tile: async (log, tile) => await orNull(audit.tile(tilePath(tile), { log })),
    events: () => exported(audit),
  };
}

/** All rows, also those that may still change, and a last line as the service writes it. */
async function* exported(audit: Client['audit']): AsyncGenerator<string, void, undefined> {
  let count = 0;
  for await (const line of audit.exportLines({ latest: true })) {
    count += 1;
    yield line;
  }
  yield JSON.stringify({ complete: true, count, next: null });
}

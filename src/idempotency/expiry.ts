import type { Database } from '../db/database.ts';
import type { RequestContext } from '../kit/trace.ts';
import type { Runtime } from '../kit/runtime.ts';
import { deleteExpired } from './keys.ts';

export interface KeyExpiry {
  /** Erases keys whose time is over, at most a batch of them. What D1 does not take now is left for the next run. */
  run(context: RequestContext): Promise<{ readonly erased: number }>;
}

export const createKeyExpiry = ({
  database,
  runtime,
}: {
  readonly database: Database;
  readonly runtime: Runtime;
}): KeyExpiry => ({
  run: async (context) => {
    const query = deleteExpired(database, runtime.now());
    const deleted = await database.batch(context, [query]);
    return { erased: deleted.ok ? deleted.value[0].length : 0 };
  },
});

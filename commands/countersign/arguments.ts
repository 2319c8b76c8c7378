import type { InWorkspace } from '../../package/client/requests.ts';
import { text, UsageError } from '../usage.ts';
import type { Output } from './result.ts';

// What several commands read in the same way.

export const WORKSPACE = { workspace: text } as const;
export const inWorkspace = (workspace: string | undefined): InWorkspace =>
  workspace === undefined ? {} : { workspace_uuid: workspace };

const DEFAULT = 50;
const MOST = 10_000;
/** The largest page of events. */
const PAGE_MAX = 200;

/**
 * As much of a list as `--limit` asks for.
 *
 * @param pageMax the largest page of that list.
 * @throws UsageError
 */
export function limited(limit: string | undefined, pageMax: number = PAGE_MAX) {
  const most = limit === undefined ? DEFAULT : /^\d{1,5}$/.test(limit) ? Number(limit) : 0;
  if (most < 1 || most > MOST) throw new UsageError(`--limit takes a whole number from 1 to ${MOST}.`);
  return {
    pageSize: Math.min(most, pageMax),
    /** Takes the first items, and says where there are none or more. */
    take: async <Item>(items: AsyncIterable<Item>, output: Output): Promise<readonly Item[]> => {
      const taken: Item[] = [];
      for await (const item of items) {
        if (taken.length === most) {
          output.notice('There are more: see them with a larger --limit.');
          break;
        }
        taken.push(item);
      }
      if (taken.length === 0) output.notice('There are none.');
      return taken;
    },
  };
}

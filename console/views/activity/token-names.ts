import { useEffect, useState } from 'preact/hooks';
import type { AuditEvent } from '../../../package/client/types.ts';
import { failureFrom, polling, tellSignedOut } from '../../api.ts';

// A revocation records the id of its token, and people know its name. The inventory has it.

const PAGE_ROWS = 200;
/** Names of more tokens than these are not looked up: whatever is missing is shown by its id. */
const MAX_PAGES = 5;
/** The inventory is not asked again sooner. Each question is in the trail. */
const AGAIN_AFTER_MS = 60_000;

const known = new Map<string, string>();
let askedAtMs = 0;

/**
 * The names of the tokens that events are about, as far as the events or the inventory tell them.
 *
 * @param mayAsk whether the viewer may read the inventory.
 */
export function useTokenNames(events: readonly AuditEvent[], mayAsk: boolean): ReadonlyMap<string, string> {
  const [names, setNames] = useState<ReadonlyMap<string, string>>(known);
  const named = events.reduce((count, event) => count + (remember(event) ? 1 : 0), 0);
  const isMissing = mayAsk && events.some(({ token_id: id }) => id !== null && !known.has(id));
  useEffect(() => {
    if (named > 0) setNames(new Map(known));
  }, [named]);
  useEffect(() => {
    const nowMs = Date.now();
    if (!isMissing || nowMs - askedAtMs < AGAIN_AFTER_MS) return;
    askedAtMs = nowMs;
    const ask = async (): Promise<void> => {
      let pages = 0;
      for await (const { items } of polling.inventory.pages({ limit: PAGE_ROWS })) {
        for (const { id, name } of items) if (name !== null) known.set(id, name);
        pages += 1;
        if (pages === MAX_PAGES) break;
      }
      setNames(new Map(known));
    };
    ask().catch((error: unknown) => tellSignedOut(failureFrom(error)));
  }, [isMissing, events]);
  return names;
}

/** Remembers the name that an event gives its token. The newest name that is seen first stays. */
function remember({ token_id: id, token_name: name, status }: AuditEvent): boolean {
  if (id === null || name === null || status !== 'success' || known.has(id)) return false;
  known.set(id, name);
  return true;
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Control } from '../pipeops-simulator/control.ts';
import type { Behaviour } from '../pipeops-simulator/faults-wire.ts';
import { any } from './random-faults.ts';

const LIE_MAX_MS = 8_000;
const TRUTH_MAX_MS = 4_000;
/** Shorter than the pause before anybody looks again. */
const LATE_MS = 3_000;

/**
 * What PipeOps pretends for a while. None of it keeps a create from being recognised by its marker, nor a workspace from being
 * reached at all: what comes of those is settled after a day or three, and no soak lasts so long.
 */
export const LIES: readonly (() => Behaviour)[] = [
  () => ({ list: { empty: true } }),
  () => ({ list: { lag_ms: 1_000 + Math.round(Math.random() * 4_000) } }),
  () => ({ list: { frozen: true }, get: { frozen: true } }),
  () => ({ list: { young_ms: 3_000 }, get: { young_ms: 3_000 } }),
  () => ({ list: { cut: Math.floor(Math.random() * 10) } }),
  () => ({
    list: { page_size: 1 + Math.floor(Math.random() * 10), pages: any(['honoured', 'clamped', 'ignored', 400]) },
  }),
  () => ({ list: { page_size: 5, total: 'none' } }),
  () => ({ list: { page_size: 5, lacks_revoked: true, total: 'with_revoked' } }),
  () => ({ list: { total: 1 } }),
  () => ({ revoke: 'ignored' }),
  () => ({ update: 'ignored' }),
  () => ({ no_rate_headers: true }),
  () => ({ answers: { update: { lacks: ['is_active', 'scopes'] }, get: { lacks: ['workspace_id'] } } }),
];

/** Further ones, of a few seconds: what comes of them is settled once PipeOps tells the truth again. */
export const LIES_OF_A_MOMENT: readonly (() => Behaviour)[] = [
  ...LIES,
  () => ({ not_found: true }),
  () => ({ revoke: 'ignored', list: { empty: true } }),
  () => ({ mints: { scopes: ['api:full'] } }),
  () => ({ mints: { expires_at: null } }),
  () => ({ answers: { create: { lacks: ['scopes', 'expires_at'] } } }),
  () => ({ answers: { create: { says: { expires_at: '2001-01-01T00:00:00Z' } } } }),
  () => ({ late: { methods: ['PATCH', 'DELETE'], answer: 504, ms: LATE_MS } }),
];

/**
 * Lets PipeOps lie at random, in one workspace at a time, until it is told to stop.
 *
 * @param workspacesNow those that are in use.
 */
export function startLies(
  control: Control,
  workspacesNow: () => readonly string[],
): { readonly stop: () => Promise<number> } {
  const stopping = new AbortController();
  const lying = lie(control, workspacesNow, stopping.signal);
  return {
    stop: async () => {
      stopping.abort();
      return await lying;
    },
  };
}

async function lie(control: Control, workspacesNow: () => readonly string[], stopping: AbortSignal): Promise<number> {
  const wait = async (mostMs: number): Promise<void> =>
    await delay(Math.random() * mostMs, undefined, { signal: stopping }).catch(() => {});
  for (let count = 0; ; count += 1) {
    await wait(TRUTH_MAX_MS);
    if (stopping.aborted) return count;
    const workspaceUuid = any(workspacesNow());
    await control.behave(workspaceUuid, any(LIES)());
    await wait(LIE_MAX_MS);
    await control.behave(workspaceUuid, null);
  }
}

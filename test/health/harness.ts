import { TOKENS, type Harness } from '../support/harness.ts';

/** A D1 that answers nothing. */
export const DOWN = {
  prepare: () => ({ bind: () => ({}) }),
  batch: async () => await Promise.reject(new Error('down')),
} as never;

/** Leaves an attempt open: PipeOps' answer to it is lost. */
export async function loseCreate(harness: Harness): Promise<void> {
  await harness.control.fault({ match: { workspace_uuid: harness.workspace }, drop: 'after_commit' });
  await harness.send('POST', TOKENS, { body: { name: 'open', scopes: ['api:read'] } });
}

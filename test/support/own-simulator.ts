import { inject } from 'vitest';

/** Where the PipeOps simulator of this worker listens. Vitest numbers its workers from 1. */
export function ownSimulatorUrl(): string {
  const url = inject('pipeopsUrls')[Number(process.env['VITEST_POOL_ID']) - 1];
  if (url === undefined) throw new Error(`There is no simulator for worker ${process.env['VITEST_POOL_ID']}.`);
  return url;
}

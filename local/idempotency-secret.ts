import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { keepFile } from './kept-file.ts';

/**
 * The value of IDEMPOTENCY_SECRET of a state directory. The first call creates it, readable by its owner only; it is kept, so
 * that a create may be repeated across a restart.
 */
export async function openIdempotencySecret(stateDir: string): Promise<string> {
  const make = (): string => `${randomBytes(32).toString('base64')}\n`;
  return (await keepFile(path.join(stateDir, 'idempotency-secret'), make)).trim();
}

import type { AcceptedOf } from './equivalents/accepted.ts';
import { inventory } from './equivalents/inventory.ts';
import { policy } from './equivalents/policy.ts';
import { reads } from './equivalents/reads.ts';
import { revocation } from './equivalents/revocation.ts';
import { tlog } from './equivalents/tlog.ts';
import { trailLog } from './equivalents/trail-log.ts';
import { trail } from './equivalents/trail.ts';

/** A mutant that no test can notice, or that none should, and why. Both texts as `npm run prove` prints them. */
export interface Equivalent {
  readonly file: string;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
}

const ACCEPTED: AcceptedOf = { ...inventory, ...policy, ...reads, ...revocation, ...tlog, ...trailLog, ...trail };

export const equivalents: readonly Equivalent[] = Object.entries(ACCEPTED).flatMap(([file, accepted]) =>
  accepted.map(([before, after, reason]) => ({ file, before, after, reason })),
);

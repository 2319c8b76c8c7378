import { createRowMacs } from '../../src/trail/row-macs.ts';
import { createOwnerMacs } from '../../src/inventory/owner-macs.ts';

/** The MACs of owners where there is no secret: every owner counts. */
export const anyOwner = createOwnerMacs({ secret: null, adoptUntilMs: null, now: () => 0 });

/** The MACs of attempts where there is no secret: every attempt counts. */
export const anyAttempt = createRowMacs({ mac: null, adoptUntilMs: null, now: () => 0 });

import { createOwnerMacs } from '../../src/inventory/owner-macs.ts';

/** The MACs of owners where there is no secret: every owner counts. */
export const anyOwner = createOwnerMacs({ secret: null, adoptUntilMs: null, now: () => 0 });

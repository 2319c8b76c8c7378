import type { Defence } from '../defence.ts';
import { exportDefences } from './export.ts';
import { httpDefences } from './http.ts';
import { identityDefences } from './identity.ts';
import { keyDefences } from './keys.ts';
import { pipeopsDefences } from './pipeops.ts';
import { policyDefences } from './policy.ts';
import { recordDefences } from './records.ts';
import { tokenDefences } from './tokens.ts';
import { triggerDefences } from './triggers.ts';

/** Every line whose removal must be noticed, room by room. */
export const defences: readonly Defence[] = [
  ...identityDefences,
  ...keyDefences,
  ...policyDefences,
  ...tokenDefences,
  ...recordDefences,
  ...exportDefences,
  ...triggerDefences,
  ...pipeopsDefences,
  ...httpDefences,
];

import type { Defence } from '../defence.ts';
import { exportDefences } from './export.ts';
import { httpDefences } from './http.ts';
import { idempotencyDefences } from './idempotency.ts';
import { identityDefences } from './identity.ts';
import { inventoryDefences } from './inventory.ts';
import { keyDefences } from './keys.ts';
import { pipeopsDefences } from './pipeops.ts';
import { queryDefences } from './queries.ts';
import { quotaDefences } from './quota.ts';
import { policyDefences } from './policy.ts';
import { recordDefences } from './records.ts';
import { snapshotDefences } from './snapshot.ts';
import { tokenCountDefences } from './token-counts.ts';
import { tokenDefences } from './tokens.ts';
import { triggerDefences } from './triggers.ts';
import { webhookDefences } from './webhooks.ts';

/** Every line whose removal must be noticed, room by room. */
export const defences: readonly Defence[] = [
  ...identityDefences,
  ...keyDefences,
  ...policyDefences,
  ...tokenDefences,
  ...tokenCountDefences,
  ...idempotencyDefences,
  ...snapshotDefences,
  ...recordDefences,
  ...inventoryDefences,
  ...exportDefences,
  ...queryDefences,
  ...triggerDefences,
  ...webhookDefences,
  ...pipeopsDefences,
  ...quotaDefences,
  ...httpDefences,
];

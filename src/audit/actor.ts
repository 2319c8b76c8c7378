import type { Actor } from './events.ts';
import type { Identity } from '../identity/types.ts';

/** A caller as the trail names it. */
export const actorOf = (identity: Identity): Actor => ({
  type: identity.actorType,
  issuer: identity.issuer,
  subject: identity.subject,
  label: identity.label,
});

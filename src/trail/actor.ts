import type { Actor } from './events.ts';
import type { Identity } from '../identity/types.ts';

const issuedAtMs = (iat: unknown): number | null => (typeof iat === 'number' ? iat * 1000 : null);

/** A caller as the trail names it. */
export const actorOf = (identity: Identity): Actor => ({
  type: identity.actorType,
  issuer: identity.issuer,
  subject: identity.subject,
  label: identity.label,
  issuedAtMs: issuedAtMs(identity.claims['iat']),
});

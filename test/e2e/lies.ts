import type { Behaviour } from '../pipeops-simulator/faults-wire.ts';
import { any } from './random-faults.ts';

/** A replica that is this far behind does not show what was just made. */
const LAG_MS = 20_000;
/** Longer than a request to PipeOps is waited for by a test, and shorter than the pause before anybody looks again. */
const LATE_MS = 3_000;

/** What PipeOps does that is not so, or says that it did not do. */
const LIES: readonly Behaviour[] = [
  { revoke: 'ignored' },
  { revoke: 'ignored', list: { empty: true } },
  { update: 'ignored' },
  { not_found: true },
  { list: { empty: true } },
  { list: { lag_ms: LAG_MS } },
  { list: { lag_ms: LAG_MS }, get: { lag_ms: LAG_MS } },
  { list: { page_size: 3, lacks_revoked: true } },
  { list: { page_size: 3, pages: 'ignored', lacks_revoked: true } },
  { list: { page_size: 3, pages: 422, total: 'none', lacks_revoked: true } },
  { list: { cut: 1 } },
  { list: { lacks_revoked: true, total: 'with_revoked' } },
  { mints: { scopes: ['api:full'] } },
  { mints: { expires_at: null } },
  { answers: { create: { lacks: ['scopes', 'expires_at'] } } },
  { answers: { create: { says: { expires_at: '2001-01-01T00:00:00Z' } } } },
  { names_max_chars: 12 },
  { late: { methods: ['PATCH', 'DELETE'], answer: 504, ms: LATE_MS } },
  { no_rate_headers: true },
];

/** One of them, by chance. */
export const anyLie = (): Behaviour => any(LIES);

import type { AuditAction, Permission } from '../../src/vocabulary.ts';
import { TOKENS } from '../support/harness.ts';
import { stopLog } from '../trail/log/stored-logs.ts';

/** A route that only callers may use, as far as tests of access need to know it. */
export interface ProtectedRoute {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** As the router knows it. */
  readonly pattern: string;
  /** Null: any caller may use it. */
  readonly permission: Permission | null;
  /** Another permission that is as good. */
  readonly alsoBy?: Permission;
  /** What a denial on it is in the trail. Null: nobody known is ever denied. */
  readonly action: AuditAction | null;
  /** What it acts on: one token, a workspace as a whole, this service and its trail, or nothing but the caller itself. */
  readonly target: 'token' | 'workspace' | 'service' | 'caller';
  /** What of the service it is about, where that is one thing. */
  readonly about?: 'event' | 'delivery' | 'revocation' | 'sealed event';
  /** Routes about no token leave out `tokenId`; `aboutId` is the id of what it is `about`, by default of none. */
  readonly path: (tokenId: string, aboutId?: string) => string;
  /** Whoever owns the token is the only one to whom the route does anything, and its row names no token before that is done. */
  readonly isOwners?: true;
  /** Headers that it needs. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What must be so before it succeeds. */
  readonly before?: () => Promise<void>;
  /** A body that is accepted. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** The status of a success, and whether that is in the trail too. `follows`: other rows that come with its own. */
  readonly success: {
    readonly status: 200 | 201 | 202;
    readonly recorded: boolean;
    readonly follows?: readonly AuditAction[];
  };
}

/** An id that no event has, and no delivery. */
export const NO_EVENT = '00000000-0000-4000-8000-000000000000';

const DELIVERIES = '/api/v1/webhooks/deliveries';
export const REVOCATIONS = '/api/v1/revocations';
/** A revocation or a reinstatement of somebody whom nobody knows. */
export const ABOUT_NOBODY = { subject: { issuer: 'https://nobody.example', subject: 'nobody' }, reason: 'a test' };
const token = (tokenId: string): string => `${TOKENS}/${tokenId}`;

/** Every route behind a JWT. One that is registered and not listed here fails `completeness.test.ts`. */
export const PROTECTED_ROUTES: readonly ProtectedRoute[] = [
  {
    method: 'POST',
    pattern: TOKENS,
    permission: 'tokens:create',
    action: 'service_account_token.create',
    target: 'workspace',
    path: () => TOKENS,
    body: { name: 'deploy', scopes: ['api:read'] },
    success: { status: 201, recorded: true },
  },
  {
    method: 'GET',
    pattern: TOKENS,
    permission: 'tokens:read',
    action: 'service_account_token.list',
    target: 'workspace',
    path: () => TOKENS,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: `${TOKENS}/:id`,
    permission: 'tokens:read',
    action: 'service_account_token.get',
    target: 'token',
    path: token,
    success: { status: 200, recorded: true },
  },
  {
    method: 'POST',
    pattern: `${TOKENS}/:id/rotate`,
    permission: 'tokens:rotate',
    action: 'service_account_token.create',
    target: 'token',
    path: (tokenId) => `${token(tokenId)}/rotate`,
    isOwners: true,
    headers: { 'Idempotency-Key': 'one' },
    body: {},
    success: { status: 201, recorded: true },
  },
  {
    method: 'PATCH',
    pattern: `${TOKENS}/:id`,
    permission: 'tokens:update',
    action: 'service_account_token.update',
    target: 'token',
    path: token,
    body: { name: 'renamed' },
    success: { status: 200, recorded: true },
  },
  {
    method: 'DELETE',
    pattern: `${TOKENS}/:id`,
    permission: 'tokens:revoke',
    action: 'service_account_token.revoke',
    target: 'token',
    path: token,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: `${TOKENS}/:id/events`,
    permission: 'tokens:read',
    action: 'audit.query',
    target: 'token',
    path: (tokenId) => `${token(tokenId)}/events`,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/inventory',
    permission: 'tokens:read',
    action: 'inventory.query',
    target: 'service',
    path: () => '/api/v1/inventory',
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/audit/events',
    permission: 'audit:read',
    action: 'audit.query',
    target: 'service',
    path: () => '/api/v1/audit/events',
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/audit/events/:event_id',
    permission: 'audit:read',
    action: 'audit.query',
    target: 'service',
    about: 'event',
    path: (_tokenId, eventId = NO_EVENT) => `/api/v1/audit/events/${eventId}`,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/audit/export',
    permission: 'audit:read',
    action: 'audit.export',
    target: 'service',
    path: () => '/api/v1/audit/export',
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/audit/counts',
    permission: 'audit:read',
    action: 'audit.count',
    target: 'service',
    path: () => '/api/v1/audit/counts?by=action',
    success: { status: 200, recorded: true },
  },
  ...['/log', '/checkpoint', '/logs/:number/checkpoint', '/tile/:tile{.+}', '/logs/:number/tile/:tile{.+}'].map(
    (rest): ProtectedRoute => ({
      method: 'GET',
      pattern: `/api/v1/audit${rest}`,
      permission: 'audit:read',
      action: 'audit.query',
      target: 'service',
      about: 'sealed event',
      path: () => `/api/v1/audit${rest.replace(':number', '1').replace(':tile{.+}', 'entries/000.p/1')}`,
      success: { status: 200, recorded: true },
    }),
  ),
  {
    method: 'GET',
    pattern: '/api/v1/audit/events/:event_id/receipt',
    permission: 'audit:read',
    action: 'audit.query',
    target: 'service',
    about: 'sealed event',
    path: (_tokenId, eventId = NO_EVENT) => `/api/v1/audit/events/${eventId}/receipt`,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: DELIVERIES,
    permission: 'audit:read',
    action: 'webhook.query',
    target: 'service',
    path: () => DELIVERIES,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: `${DELIVERIES}/:delivery_id`,
    permission: 'audit:read',
    action: 'webhook.query',
    target: 'service',
    about: 'delivery',
    path: (_tokenId, deliveryId = NO_EVENT) => `${DELIVERIES}/${deliveryId}`,
    success: { status: 200, recorded: true },
  },
  {
    method: 'POST',
    pattern: `${DELIVERIES}/:delivery_id/retry`,
    permission: 'tokens:revoke',
    action: 'webhook.retry',
    target: 'service',
    about: 'delivery',
    path: (_tokenId, deliveryId = NO_EVENT) => `${DELIVERIES}/${deliveryId}/retry`,
    success: { status: 202, recorded: true },
  },
  {
    method: 'POST',
    pattern: REVOCATIONS,
    permission: 'tokens:revoke',
    action: 'revocation.order',
    target: 'service',
    path: () => REVOCATIONS,
    body: ABOUT_NOBODY,
    success: { status: 202, recorded: true, follows: ['subject.block'] },
  },
  {
    method: 'GET',
    pattern: `${REVOCATIONS}/:revocation_id`,
    permission: 'tokens:revoke',
    alsoBy: 'audit:read',
    action: 'webhook.query',
    target: 'service',
    about: 'revocation',
    path: (_tokenId, revocationId = NO_EVENT) => `${REVOCATIONS}/${revocationId}`,
    success: { status: 200, recorded: true },
  },
  {
    method: 'POST',
    pattern: '/api/v1/reinstatements',
    permission: 'tokens:revoke',
    action: 'subject.reinstate',
    target: 'service',
    path: () => '/api/v1/reinstatements',
    body: ABOUT_NOBODY,
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/subjects',
    permission: 'audit:read',
    action: 'subject.query',
    target: 'service',
    path: () => '/api/v1/subjects',
    success: { status: 200, recorded: true },
  },
  {
    method: 'GET',
    pattern: '/api/v1/status',
    permission: 'audit:read',
    action: 'status.read',
    target: 'service',
    path: () => '/api/v1/status',
    success: { status: 200, recorded: false },
  },
  {
    method: 'GET',
    pattern: '/api/v1/whoami',
    permission: null,
    action: null,
    target: 'caller',
    path: () => '/api/v1/whoami',
    success: { status: 200, recorded: false },
  },
  {
    method: 'GET',
    pattern: '/workspace',
    permission: null,
    action: null,
    target: 'caller',
    path: () => '/workspace',
    success: { status: 200, recorded: false },
  },
  {
    method: 'POST',
    pattern: '/api/v1/audit/log',
    permission: 'trail:resume',
    action: 'trail.resume',
    target: 'service',
    path: () => '/api/v1/audit/log',
    // The log that it begins has no checkpoint, so the routes that read the log come before.
    before: async () => await stopLog(),
    body: { reason: 'a test' },
    success: { status: 201, recorded: true },
  },
];

/**
 * The routes that need no JWT, on purpose. `test/sessions` shows who signs in and out. Probes tell nothing about anybody; a webhook is let in by the signature of its
 * source and by nothing else (`test/revocation/deliveries/intake.test.ts`).
 */
export const PUBLIC_ROUTES: readonly string[] = [
  'GET /healthz',
  'GET /readyz',
  'POST /webhooks/:source',
  'GET /auth/login',
  'GET /auth/callback',
  'POST /auth/logout',
];

/** A path that may have parameters already, with further ones. */
export const withQuery = (path: string, query: string): string =>
  path + (path.includes('?') ? query.replace('?', '&') : query);

export const nameOf = ({ method, pattern }: Pick<ProtectedRoute, 'method' | 'pattern'>): string =>
  `${method} ${pattern}`;

/** The operations on one token. */
export const TOKEN_ROUTES = PROTECTED_ROUTES.filter(({ target, isOwners }) => target === 'token' && isOwners !== true);

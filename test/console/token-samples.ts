import type { AuditEvent, InventoryToken, Role, Whoami, WholeDelivery } from '../../package/client/types.ts';
import { viewerOf } from '../../console/caller.tsx';

// Tokens, events and viewers that the tests of the console's views of tokens share.

export const WORKSPACE = '5877a4ae-0000-4000-8000-000000000001';
export const OTHER_WORKSPACE = '5877a4ae-0000-4000-8000-000000000002';
export const ADA = { issuer: 'https://issuer.example', subject: 'ada', label: 'ada@example.test' };
export const LINUS = { issuer: 'https://issuer.example', subject: 'linus', label: 'linus@example.test' };

export const tokenOf = (fields: Partial<InventoryToken> = {}): InventoryToken => ({
  id: 'token-1',
  uuid: 'token-1',
  workspace_uuid: WORKSPACE,
  name: 'deploy',
  token_prefix: 'sat_mh4J3Fj',
  scopes: ['api:read'],
  owner: LINUS,
  role: 'developer',
  policy_version: '3f0c7b1d92e84a56',
  created_at: '2026-11-28T10:00:00.000Z',
  expires_at: null,
  last_used_at: null,
  state: 'active',
  usage: 'unknown',
  suspended_by: [],
  replaces: null,
  replaced_by: null,
  retires_at: null,
  create_event_id: 'create-1',
  ...fields,
});

export const eventOf = (fields: Partial<AuditEvent> = {}): AuditEvent => ({
  id: 'event-1',
  seq: 1,
  occurred_at: '2026-11-28T10:00:00.000Z',
  settled_at: '2026-11-28T10:00:00.030Z',
  action: 'service_account_token.create',
  status: 'success',
  count: 1,
  last_at: '2026-11-28T10:00:00.000Z',
  actor: { type: 'user', ...LINUS },
  workspace_uuid: WORKSPACE,
  token_id: 'token-1',
  token_name: 'deploy',
  request_id: null,
  ip: null,
  user_agent: null,
  upstream_status: 200,
  error_code: null,
  detail: {},
  ...fields,
});

export const receiptOf = (fields: Partial<WholeDelivery> = {}): WholeDelivery => ({
  id: 'delivery-1',
  source: 'scanner',
  event: 'token.leaked',
  sender_id: null,
  received_at: '2026-11-28T11:00:00.000Z',
  event_id: 'received-1',
  ignored: null,
  refused: null,
  tokens: { matched: 1, unmatched: 0, out_of_scope: 0 },
  orders: { open: 0, acknowledged: 0, confirmed: 1, failed: 0 },
  items: [],
  revocations: [],
  ...fields,
});

export const roleOf = (fields: Partial<Role> = {}): Role => ({
  name: 'developer',
  permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate'],
  tokens: 'own',
  workspaces: [WORKSPACE],
  scopes: ['api:read', 'deploy:write'],
  max_ttl_seconds: 30 * 86_400,
  presets: {},
  max_tokens: 10,
  max_overlap_seconds: 7 * 86_400,
  ...fields,
});
export const ADMIN = roleOf({ name: 'admin', tokens: 'any', workspaces: ['*'], scopes: ['*'], max_ttl_seconds: null });
export const AUDITOR = roleOf({
  name: 'auditor',
  permissions: ['audit:read', 'tokens:read'],
  tokens: 'any',
  workspaces: ['*'],
});

export const viewerWith = (person: typeof ADA, ...roles: readonly Role[]) => {
  const whoami: Whoami = { ...person, actor_type: 'user', roles, live_tokens: { count: 0, limit: 10 }, session: null };
  return viewerOf(whoami, false);
};

import { describe, expect, it } from 'vitest';
import { pathsOf } from '../../contract/document.ts';
import { OPERATIONS } from '../../contract/operations.ts';
import type { Operation } from '../../contract/operation.ts';
import { componentSchemas } from '../../contract/schema.ts';
import {
  type AuditEvent,
  type Client,
  createClient,
  type CreatedToken,
  type InventoryToken,
  type Role,
  type RotatedToken,
  type Subject,
  type Token,
  type WholeDelivery,
} from '../../package/client/index.ts';

// The typed client against the contract: no operation is forgotten, and no parameter.

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A client whose service gives one answer, and remembers what it was asked. */
function clientWith(status: number, body: string) {
  const sent: Sent[] = [];
  const client = createClient({
    url: 'https://countersign.example',
    jwt: 'aaaa.bbbb.cccc',
    fetch: async (url, init) => {
      const { pathname, searchParams } = new URL(url);
      const query = Object.fromEntries(searchParams);
      const json: unknown = init.body === undefined ? undefined : JSON.parse(init.body);
      sent.push({ method: init.method, path: pathname, query, headers: new Headers(init.headers), body: json });
      return await Promise.resolve(new Response(body, { status }));
    },
  });
  return { client, sent };
}

const FILTER = {
  action: ['service_account_token.*', '!service_account_token.list'],
  status: 'failure',
  code: 'forbidden',
  actor: 'me',
  actor_type: 'user',
  token_id: 'tok-1',
  token_name: 'deploy',
  token_prefix: 'sat_a1B2c3D',
  scope: 'api:full',
  role: 'ci',
  policy_version: '3f0c7b1d92e84a56',
  workspace_uuid: 'w-1',
  request_id: 'request-1',
  ip: '192.0.2.1',
  from: '2026-11-01T00:00:00Z',
  to: '2026-12-01T00:00:00Z',
} as const;
const PAGE = { limit: 50, cursor: 'c2VxOjQx' } as const;
const TOKENS = {
  workspace_uuid: 'w-1',
  owner: 'me',
  label: 'kim@acme.example',
  role: 'ci',
  policy_version: '3f0c7b1d92e84a56',
  scope: 'api:read',
  token_name: 'deploy',
  token_id: 'tok-1',
  token_prefix: 'sat_a1B2c3D',
  token_sha256: '0'.repeat(64),
  state: ['active', 'retiring'],
  usage: 'unused',
  created_from: '2026-11-01T00:00:00Z',
  created_to: '2026-12-01T00:00:00Z',
  expires_from: '2026-11-01T00:00:00Z',
  expires_to: '2026-12-01T00:00:00Z',
  last_used_from: '2026-11-01T00:00:00Z',
  last_used_to: '2026-12-01T00:00:00Z',
  replaces: 'tok-0',
  replaced_by: 'tok-2',
} as const;
const W = { workspace_uuid: 'w-1' } as const;
const SUBJECT = { issuer: 'https://issuer.example', subject: 'kim' } as const;

/** A call of each operation, with every parameter that it takes. The compiler refuses one that the client does not know. */
const CALLS: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
  createToken: async ({ tokens }) => await tokens.create({ name: 'deploy', scopes: ['api:read'] }),
  listTokens: async ({ tokens }) => await tokens.list({ ...W, fresh: true }),
  getToken: async ({ tokens }) => await tokens.get('a b', { ...W, fresh: true }),
  updateToken: async ({ tokens }) => await tokens.update('tok-1', { name: 'x', ...W }),
  rotateToken: async ({ tokens }) =>
    await tokens.rotate('tok-1', { overlap: '0s', expires_in: '30d', ...W }, { idempotencyKey: 'k' }),
  queryInventory: async ({ inventory }) => await inventory.list({ ...TOKENS, ...PAGE }),
  revokeToken: async ({ tokens }) => await tokens.revoke('tok-1', W),
  listTokenEvents: async ({ tokens }) => await tokens.events('tok-1', { ...W, ...PAGE, order: 'asc' }),
  queryAuditEvents: async ({ audit }) => await audit.events({ ...FILTER, ...PAGE, order: 'asc', latest: true }),
  getAuditEvent: async ({ audit }) => await audit.event('event-1'),
  countAuditEvents: async ({ audit }) => await audit.counts({ ...FILTER, by: 'actor' }),
  exportAuditEvents: async ({ audit }) =>
    await audit.exportResponse({ ...FILTER, cursor: 'c2VxOjQx', latest: true, format: 'csv' }),
  listTrailLogs: async ({ audit }) => await audit.logs(),
  getCheckpoint: async ({ audit }) => await audit.checkpoint(),
  getTile: async ({ audit }) => await audit.tile('tile/entries/x001/067.p/3'),
  getLogCheckpoint: async ({ audit }) => await audit.checkpoint({ log: 2 }),
  getLogTile: async ({ audit }) => await audit.tile('tile/0/000', { log: 2 }),
  getReceipt: async ({ audit }) => await audit.receipt('event-1', { fact: 'recorded' }),
  resumeLog: async ({ audit }) => await audit.resumeLog({ reason: 'restored' }),
  listSubjects: async ({ subjects }) => await subjects.list({ blocked: true, q: 'kim', ...PAGE }),
  createRevocation: async ({ revocations }) => await revocations.create({ subject: SUBJECT, reason: 'left' }),
  getRevocation: async ({ revocations }) => await revocations.get('revocation-1'),
  createReinstatement: async ({ reinstatements }) => await reinstatements.create({ subject: SUBJECT, reason: 'back' }),
  listDeliveries: async ({ deliveries }) => await deliveries.list(PAGE),
  getDelivery: async ({ deliveries }) => await deliveries.get('delivery-1'),
  retryDelivery: async ({ deliveries }) => await deliveries.retry('delivery-1'),
  whoami: async (client) => await client.whoami(),
  listWorkspaces: async (client) => await client.workspaces(),
  getStatus: async (client) => await client.status(),
  getHealth: async (client) => await client.health(),
  getReadiness: async (client) => await client.readiness(),
};

/** What the client leaves to others, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  receiveWebhook: 'A sender signs with a secret and has no JWT: that is a library of Standard Webhooks.',
  login: 'A browser goes there. Whoever has this client has a JWT.',
  callback: 'A browser comes back there from its identity provider.',
  logout: 'It ends the session of a browser.',
};
/** Names that PipeOps' own clients use beside others, which this client does not need. */
const SYNONYMS: readonly string[] = ['workspace'];

const described = OPERATIONS.filter(({ id }) => LEFT_OUT[id] === undefined);

it('the client has a call for every operation of the contract', () => {
  expect(described.map(({ id }) => id).filter((id) => CALLS[id] === undefined)).toEqual([]);
});

/** The example of the first success of an operation. */
function exampleOf({ successes: [{ content }] }: Operation): string {
  if (content === null) return '';
  if ('schema' in content) return JSON.stringify(Object.values(content.examples)[0]);
  const [text] = Object.values(content.texts);
  return text === undefined || 'isBinary' in text ? 'bytes' : text.example;
}

/** What the client gave, as text. */
async function textOf(result: unknown): Promise<string> {
  if (result instanceof Response) return await result.text();
  if (result instanceof Uint8Array) return new TextDecoder().decode(result);
  return typeof result === 'string' ? result : JSON.stringify(result);
}

/** Whether an operation answers with something else than an envelope, which the client gives as it came. */
const isOpaque = ({ successes: [{ content }] }: Operation): boolean => content !== null && 'texts' in content;

describe.each(described.map((operation) => [operation.id, operation] as const))('%s', (id, operation) => {
  const [success] = operation.successes;

  it('asks as the contract says, with each of its parameters', async () => {
    const { client, sent } = clientWith(success.status, exampleOf(operation));
    await CALLS[id]?.(client);
    const [{ method, path, query, headers, body } = {} as Sent, ...more] = sent;
    expect(more).toEqual([]);
    expect(method).toBe(operation.method);
    expect(path).toMatch(pathsOf(operation.pattern));
    const named = (place: string) => operation.parameters.filter((one) => one.in === place).map(({ name }) => name);
    // A body names the workspace itself.
    const inBody = typeof body === 'object' && body !== null ? ['workspace_uuid'] : [];
    const wanted = named('query').filter((name) => !SYNONYMS.includes(name) && !inBody.includes(name));
    expect(Object.keys(query).toSorted()).toEqual(wanted.toSorted());
    for (const name of named('header')) expect(headers.get(name)).toBeTruthy();
    expect(headers.has('Authorization')).toBe(operation.access !== 'anyone');
    expect(body !== undefined).toBe(operation.body !== undefined);
  });

  it('gives what the contract shows', async () => {
    const { client } = clientWith(success.status, exampleOf(operation));
    const result: unknown = await CALLS[id]?.(client);
    const shown = exampleOf(operation) || '{}';
    // Pages, lists and envelopes of one thing are unpacked; what is inside is as it came, and so are texts and bytes. An export is not read.
    const wanted = isOpaque(operation)
      ? shown
      : JSON.stringify(innermost((JSON.parse(shown) as { data?: unknown }).data ?? {}));
    expect(await textOf(result)).toContain(wanted);
  });
});

/** The first thing in an envelope that is not an envelope itself. */
function innermost(data: unknown): unknown {
  if (Array.isArray(data)) return data[0];
  const values = typeof data === 'object' && data !== null ? Object.values(data) : [];
  const [only] = values;
  return values.length <= 2 && (Array.isArray(only) || typeof only === 'object') && only !== null
    ? innermost(only)
    : data;
}

it('each method of the client is one of these calls, or goes over the pages of one', () => {
  const { client } = clientWith(200, '');
  const methods = Object.entries(client).flatMap(([name, part]) =>
    typeof part === 'function'
      ? [name]
      : typeof part === 'object'
        ? Object.keys(part).map((one) => `${name}.${one}`)
        : [],
  );
  const source = Object.values(CALLS).map(String).join('\n');
  const uncalled = methods.filter((method) => !source.includes(`${method.replace(/^.*\./, '')}(`));
  expect(uncalled).toEqual([
    'tokens.eachEvent',
    'inventory.pages',
    'inventory.each',
    'audit.eachEvent',
    'audit.export',
    'audit.exportLines',
    'subjects.each',
    'deliveries.each',
  ]);
});

/** The fields of a type of the client, all of them: the compiler refuses one that is missing, and one that there is not. */
const fieldsOf =
  <T>() =>
  (fields: Readonly<Record<keyof T, true>>): readonly string[] =>
    Object.keys(fields);

const TOKEN = {
  id: true,
  uuid: true,
  name: true,
  description: true,
  scopes: true,
  permissions: true,
  token_prefix: true,
  workspace_id: true,
  is_revoked: true,
  is_expired: true,
  is_active: true,
  expires_at: true,
  created_at: true,
  updated_at: true,
  last_used_at: true,
} as const;

describe('the types of the client', () => {
  it.each([
    ['Token', fieldsOf<Token>()(TOKEN)],
    ['CreatedToken', fieldsOf<CreatedToken>()({ ...TOKEN, token: true })],
    ['RotatedToken', fieldsOf<RotatedToken>()({ ...TOKEN, token: true, replaces: true, old_token_revoked_at: true })],
    [
      'AuditEvent',
      fieldsOf<AuditEvent>()({
        id: true,
        seq: true,
        occurred_at: true,
        settled_at: true,
        action: true,
        status: true,
        count: true,
        last_at: true,
        actor: true,
        workspace_uuid: true,
        token_id: true,
        token_name: true,
        request_id: true,
        ip: true,
        user_agent: true,
        upstream_status: true,
        error_code: true,
        detail: true,
      }),
    ],
    [
      'Role',
      fieldsOf<Role>()({
        name: true,
        permissions: true,
        tokens: true,
        workspaces: true,
        scopes: true,
        max_ttl_seconds: true,
        presets: true,
        max_tokens: true,
        max_overlap_seconds: true,
      }),
    ],
    [
      'WholeDelivery',
      fieldsOf<WholeDelivery>()({
        id: true,
        source: true,
        actor: true,
        reason: true,
        blocks_lifted: true,
        still_blocked: true,
        event: true,
        sender_id: true,
        received_at: true,
        event_id: true,
        ignored: true,
        refused: true,
        refused_field: true,
        id_reused: true,
        rejected_items: true,
        mode: true,
        former: true,
        subject: true,
        issuer_configured: true,
        owners: true,
        also_carried: true,
        owners_not_shown: true,
        tokens: true,
        orders: true,
        orders_left: true,
        items: true,
        revocations: true,
      }),
    ],
    [
      'InventoryToken',
      fieldsOf<InventoryToken>()({
        id: true,
        uuid: true,
        workspace_uuid: true,
        name: true,
        token_prefix: true,
        scopes: true,
        owner: true,
        role: true,
        policy_version: true,
        created_at: true,
        expires_at: true,
        last_used_at: true,
        state: true,
        usage: true,
        suspended_by: true,
        replaces: true,
        replaced_by: true,
        retires_at: true,
        create_event_id: true,
      }),
    ],
    ['Subject', fieldsOf<Subject>()({ issuer: true, subject: true, label: true, tokens: true, blocks: true })],
  ])('name each field of %s', (component, fields) => {
    const { properties = {} } = (componentSchemas()[component] ?? {}) as { properties?: object };
    expect(fields).toEqual(expect.arrayContaining(Object.keys(properties)));
  });
});

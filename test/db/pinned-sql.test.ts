import { expect, it } from 'vitest';
import { encodePlace } from '../../src/inventory/query/params.ts';
import { type Answer, type HarnessOptions, ISSUER, type SentRequest, TOKENS } from '../support/harness.ts';
import { createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';
import { expectUnauthenticRows, NO_STATE } from '../support/state-secret.ts';
import { createBatchRecorder, describeOperations } from './recorded-batches.ts';

// Every statement that reaches D1, by operation: its text, the batch that it goes with, the types of what is bound. Code that is
// moved changes none of it. A statement that is meant to change is written anew by `vitest -u`.

// What is bound is the same with MACs and without, but for their types.
expectUnauthenticRows();

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
    maxTokens: 5,
  },
  reader: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'], scopes: ['*'] },
  auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
};
const EVENTS = '/api/v1/audit/events';
const INVENTORY = '/api/v1/inventory';
const PLACE = encodePlace({ workspaceUuid: 'w', tokenId: 't', dueMs: 1 });
const EXPORT = '/api/v1/audit/export';
const DELIVERIES = '/api/v1/webhooks/deliveries';

it('sends the statements that are written down, and no others', async () => {
  const recorder = createBatchRecorder();
  const played: { name: string; sent: ReturnType<typeof recorder.take> }[] = [];
  // The clock stands in the middle of a minute, so that no minute, pace or lease ends by itself while this runs.
  let nowMs = Math.floor(Date.now() / 60_000) * 60_000 + 30_000;
  const age = (seconds: number): void => {
    nowMs += seconds * 1000;
  };
  const isolate = async (options: HarnessOptions = {}): Promise<WebhookHarness> =>
    await createWebhookHarness({
      roles,
      db: recorder.db,
      ...options,
      env: { ...NO_STATE, SNAPSHOT_MAX_AGE_SECONDS: '15', ...options.env },
      runtime: { now: () => nowMs },
    });
  const first = await isolate();
  const another = async (env: Readonly<Record<string, unknown>> = {}): Promise<WebhookHarness> =>
    await isolate({ like: first, env });
  const second = await another();
  const unshared = await another({ SNAPSHOT_MAX_AGE_SECONDS: '0' });

  const plays = async (name: string, status: number | null, work: () => Promise<Answer | void>): Promise<Answer> => {
    recorder.take();
    const answer = await work();
    played.push({ name, sent: recorder.take() });
    expect.soft([name, answer?.status ?? null]).toEqual([name, status]);
    return answer as Answer;
  };
  const as = async (h: WebhookHarness, role: string, method: string, path: string, request: SentRequest = {}) => {
    const iat = Math.floor(nowMs / 1000);
    const jwt = await h.jwtFor(role, { iat, exp: iat + 300 });
    return await h.send(method, path, { ...request, jwt });
  };
  const create = async (h: WebhookHarness, role: string, request: SentRequest = {}) =>
    await as(h, role, 'POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] }, ...request });
  const patch = async (h: WebhookHarness, role: string, id: string, body: object) =>
    await as(h, role, 'PATCH', `${TOKENS}/${id}`, { body });
  const keyed = { headers: { 'Idempotency-Key': 'one-create' } };
  const list = async (h: WebhookHarness, role: string, headers = {}) => await as(h, role, 'GET', TOKENS, { headers });
  const get = async (h: WebhookHarness, role: string, id: string) => await as(h, role, 'GET', `${TOKENS}/${id}`);
  const minted = (answer: Answer): { id: string; token: string } => answer.body.data;

  const admins = minted(await plays('create', 201, async () => await create(first, 'admin')));
  await plays('create, by an owner who has a limit', 201, async () => await create(first, 'owner', keyed));
  const owned = minted(
    await plays('create, repeated with its key', 201, async () => await create(first, 'owner', keyed)),
  );
  await plays(
    'create, with a key that another create has',
    422,
    async () => await create(first, 'owner', { ...keyed, body: { name: 'other', scopes: ['api:read'] } }),
  );
  await plays('create, without the permission', 403, async () => await create(first, 'auditor'));
  await plays('create, not understood', 400, async () => await create(first, 'admin', { rawBody: '{' }));
  await plays('create, refused by PipeOps', 422, async () => {
    await first.control.fault({ match: { workspace_uuid: first.workspace, method: 'POST' }, status: 422 });
    return await create(first, 'admin');
  });

  await plays('list, which no isolate holds', 200, async () => await list(first, 'admin'));
  await plays('list, which this isolate holds', 200, async () => await list(first, 'admin'));
  await plays('list, which this isolate holds, by an owner', 200, async () => await list(first, 'owner'));
  await plays('list, which another isolate left in D1', 200, async () => await list(second, 'admin'));
  await plays('list, the newest', 200, async () => await list(first, 'admin', { 'Cache-Control': 'no-cache' }));
  await plays('list, without the permission', 403, async () => await list(first, 'auditor'));
  await plays('list, with snapshots off', 200, async () => await list(unshared, 'owner'));
  await plays('get, from the list of this isolate', 200, async () => await get(first, 'admin', admins.id));
  await plays('get, by the owner', 200, async () => await get(first, 'owner', owned.id));
  await plays("get, of somebody else's", 404, async () => await get(first, 'owner', admins.id));
  await plays('get, of what the list lacks', 404, async () => await get(first, 'admin', crypto.randomUUID()));
  await plays(
    'get, of what nobody minted, by an owner',
    404,
    async () => await get(first, 'owner', crypto.randomUUID()),
  );
  await plays('get, in an isolate that holds nothing', 200, async () => await get(await another(), 'owner', owned.id));
  await plays('get, with snapshots off', 200, async () => await get(unshared, 'owner', owned.id));
  await plays(
    'get, with snapshots off, of what is not there',
    404,
    async () => await get(unshared, 'admin', crypto.randomUUID()),
  );

  const rotate = async (key: string, body: object = {}) =>
    await as(first, 'owner', 'POST', `${TOKENS}/${rotatable.id}/rotate`, { body, headers: { 'Idempotency-Key': key } });
  const rotatable = minted(await create(first, 'owner'));
  await plays('rotate, with a wish for what no role allows', 403, async () => await rotate('a', { overlap: '30d' }));
  await plays('rotate', 201, async () => await rotate('c'));
  await plays('rotate, repeated with its key', 201, async () => await rotate('c'));
  await plays('rotate, of what was rotated', 409, async () => await rotate('d'));

  await plays('update', 200, async () => await patch(first, 'owner', owned.id, { name: 'renamed' }));
  await plays('list, after a change by another isolate', 200, async () => await list(second, 'owner'));
  await plays(
    'update, without the permission',
    403,
    async () => await patch(first, 'reader', owned.id, { name: 'no' }),
  );
  await plays("update, of somebody else's", 404, async () => await patch(first, 'owner', admins.id, { name: 'no' }));
  await plays('suspend', 200, async () => await patch(first, 'owner', owned.id, { is_active: false }));
  await plays('resume', 200, async () => await patch(first, 'owner', owned.id, { is_active: true }));
  await plays('revoke', 200, async () => await as(first, 'owner', 'DELETE', `${TOKENS}/${owned.id}`));
  await plays('revoke, of what is gone', 200, async () => await as(first, 'owner', 'DELETE', `${TOKENS}/${owned.id}`));
  await plays(
    'revoke, of what PipeOps does not find',
    404,
    async () => await as(first, 'admin', 'DELETE', `${TOKENS}/${crypto.randomUUID()}`),
  );
  await plays('revoke, whose first answer was lost', 409, async () => {
    await first.control.fault({ match: { workspace_uuid: first.workspace, method: 'DELETE' }, drop: 'after_commit' });
    return await as(first, 'admin', 'DELETE', `${TOKENS}/${admins.id}`);
  });
  await plays('create, whose answer was lost', 504, async () => {
    await first.control.fault({ match: { workspace_uuid: first.workspace, method: 'POST' }, drop: 'after_commit' });
    return await create(first, 'owner');
  });
  await plays('create, that gives more than was granted', 502, async () => {
    await first.control.behave(first.workspace, { mints: { scopes: ['api:read', 'api:write'] } });
    const answer = await create(first, 'owner');
    await first.control.behave(first.workspace, null);
    return answer;
  });

  const leaked = minted(await create(first, 'owner'));
  const left = minted(await create(first, 'owner'));
  await create(first, 'owner');
  const signing = { id: 'msg_of_a_leak' };
  const delivery = await plays('leak', 202, async () => await first.leak(leaked.token, signing));
  await plays('leak, delivered again', 202, async () => await first.leak(leaked.token, signing));
  await plays('leak, of nothing that is known', 202, async () => await first.leak(`sat_${'x'.repeat(40)}`));
  await plays('leak, of what PipeOps does not take now', 202, async () => {
    await first.control.fault({ match: { workspace_uuid: first.workspace, method: 'DELETE' }, status: 500 });
    return await first.leak(left.token);
  });
  await plays(
    'webhook, with a bad signature',
    401,
    async () => await first.sendRaw('scanner', '{}', { secret: first.secrets.WEBHOOK_HR }),
  );
  await plays(
    'webhook, of an event that its source may not send',
    200,
    async () => await first.sendEvent('scanner', 'subject.offboarded', { label: 'nobody@acme.example' }),
  );
  await plays('leaver', 202, async () => await first.offboard({ issuer: ISSUER, subject: 'owner-1' }));
  await plays('list, by a leaver', 403, async () => await list(first, 'owner'));
  await plays('create, by a leaver', 403, async () => await create(first, 'owner'));
  await plays('whoami, by a leaver', 200, async () => await as(first, 'owner', 'GET', '/api/v1/whoami'));
  await plays('leaver, reinstated', 202, async () => await first.reinstate({ issuer: ISSUER, subject: 'owner-1' }));

  await plays('cron, a minute later', null, async () => {
    age(61);
    await first.cron();
  });
  await plays('cron, when attempts are old enough to be looked into', null, async () => {
    age(301);
    await first.cron();
  });
  await plays('cron, with proofs a minute apart', null, async () => {
    age(61);
    await first.cron();
  });
  await plays('cron, with nothing left to do', null, async () => {
    age(86_400);
    await first.cron();
    recorder.take();
    age(61);
    await first.cron();
  });
  await plays('list, of which a token is gone', 200, async () => {
    const { id } = minted(await create(first, 'admin'));
    await first.control.revokeByHand(id);
    age(61);
    recorder.take();
    return await list(first, 'admin');
  });

  await plays('audit query', 200, async () => await as(first, 'auditor', 'GET', EVENTS));
  const filters: readonly (readonly [string, string])[] = [
    ['of an actor, oldest first', `actor=owner-1&order=asc`],
    ['of a token', `token_id=${owned.id}&limit=2`],
    ['of a workspace and a status', `workspace_uuid=${first.workspace}&status=failure`],
    ['of actions', 'action=service_account_token.create,service_account_token.revoke'],
    ['of a span of time', `from=${new Date(nowMs - 3_600_000).toISOString()}&to=${new Date(nowMs).toISOString()}`],
    ['of an address', 'ip=192.0.2.1'],
    ['of a request', 'request_id=request-of-somebody'],
    ['of a type of actor', 'actor_type=system'],
    ['of an actor that is named exactly', `actor=${encodeURIComponent(`${ISSUER}|owner-1`)}`],
    ['of the service itself', 'actor=%7C'],
    ['of all actions but some', 'action=!service_account_token.*,!audit.*'],
    ['of a code', 'code=forbidden'],
    ['of a scope', 'scope=api:read'],
    ['of a role', 'role=owner'],
    ['of a version of the policy', `policy_version=${first.policyVersion}`],
    ['of the name of a token', 'token_name=deploy'],
    ['of the beginning of a secret', 'token_prefix=sat_a1B2c3D'],
  ];
  for (const [name, query] of filters) {
    await plays(`audit query, ${name}`, 200, async () => await as(first, 'auditor', 'GET', `${EVENTS}?${query}`));
  }
  await plays('audit query, the next page', 200, async () => {
    const page = await as(first, 'auditor', 'GET', `${EVENTS}?limit=2`);
    recorder.take();
    return await as(first, 'auditor', 'GET', `${EVENTS}?limit=2&cursor=${page.body.pagination.next_cursor}`);
  });
  await plays(
    'audit query, of what the caller did itself',
    200,
    async () => await as(first, 'reader', 'GET', `${EVENTS}?actor=me`),
  );
  await plays('audit query, without the permission', 403, async () => await as(first, 'reader', 'GET', EVENTS));
  const event = delivery.headers.get('X-Audit-Event-Id') ?? '';
  await plays('audit event', 200, async () => await as(first, 'auditor', 'GET', `${EVENTS}/${event}`));
  await plays('audit event, of somebody else', 403, async () => await as(first, 'reader', 'GET', `${EVENTS}/${event}`));
  const life = (id: string): string => `${TOKENS}/${id}/events`;
  await plays("a token's life", 200, async () => await as(first, 'owner', 'GET', life(owned.id)));
  await plays("a token's life, of somebody else's", 404, async () => await as(first, 'owner', 'GET', life(admins.id)));
  const COUNTS = '/api/v1/audit/counts';
  await plays('counts', 200, async () => await as(first, 'auditor', 'GET', `${COUNTS}?by=actor`));
  await plays(
    'counts, of a code and an action',
    200,
    async () =>
      await as(first, 'auditor', 'GET', `${COUNTS}?by=day&code=forbidden&action=service_account_token.create`),
  );
  await plays('export', 200, async () => await as(first, 'auditor', 'GET', `${EXPORT}?latest=true`));
  await plays(
    'export, filtered, as CSV',
    200,
    async () => await as(first, 'auditor', 'GET', `${EXPORT}?format=csv&status=failure`),
  );

  await plays('status', 200, async () => await as(first, 'auditor', 'GET', '/api/v1/status'));
  await plays('readyz', 200, async () => await first.send('GET', '/readyz', { jwt: null }));
  await plays('healthz', 200, async () => await first.send('GET', '/healthz', { jwt: null }));
  await plays('whoami', 200, async () => await as(first, 'owner', 'GET', '/api/v1/whoami'));
  await plays('workspace', 200, async () => await as(first, 'owner', 'GET', '/workspace'));
  await plays('deliveries', 200, async () => await as(first, 'auditor', 'GET', DELIVERIES));
  const one = `${DELIVERIES}/${delivery.body.data.delivery_id}`;
  await plays('delivery', 200, async () => await as(first, 'auditor', 'GET', one));
  const reason = 'pinned';
  const subject = { issuer: ISSUER, subject: 'nobody' };
  const revoked = await plays(
    'revocation by a caller',
    202,
    async () =>
      await as(first, 'admin', 'POST', '/api/v1/revocations', {
        body: { workspace_uuid: first.workspace, token_ids: ['made-up'], reason },
        headers: { 'Idempotency-Key': 'pinned' },
      }),
  );
  const revocation = `/api/v1/revocations/${revoked.body.data.id}`;
  await plays('revocation', 200, async () => await as(first, 'auditor', 'GET', revocation));
  await plays(
    'offboarding by a caller',
    202,
    async () =>
      await as(first, 'admin', 'POST', '/api/v1/revocations', { body: { subject: { label: 'nobody' }, reason } }),
  );
  await plays(
    'reinstatement by a caller',
    200,
    async () => await as(first, 'admin', 'POST', '/api/v1/reinstatements', { body: { subject, reason } }),
  );
  await plays('inventory', 200, async () => await as(first, 'reader', 'GET', INVENTORY));
  for (const [name, role, query] of [
    ['by an index', 'reader', 'token_prefix=sat_a1B2c3D&state=active'],
    ['by expiry, behind a place', 'reader', `expires_to=2030-01-01T00:00:00Z&cursor=${PLACE}`],
    ['by an id', 'reader', 'token_id=t-1'],
    ['of its own, in a workspace', 'owner', `workspace_uuid=${first.workspace}&usage=unused`],
  ] as const) {
    await plays(`inventory, ${name}`, 200, async () => await as(first, role, 'GET', `${INVENTORY}?${query}`));
  }
  await plays('subjects', 200, async () => await as(first, 'auditor', 'GET', '/api/v1/subjects?q=no&blocked=false'));
  await plays('delivery, tried again', 202, async () => await as(first, 'admin', 'POST', `${one}/retry`));
  await plays('a forged JWT', 401, async () => await first.send('GET', TOKENS, { jwt: 'a.b.c' }));

  const { operations, statements } = await describeOperations(played);
  await expect(operations).toMatchFileSnapshot('pinned-sql/operations.txt');
  await expect(statements).toMatchFileSnapshot('pinned-sql/statements.sql');
}, 30_000);

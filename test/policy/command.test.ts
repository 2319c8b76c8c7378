import { env } from 'cloudflare:workers';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Asked } from '../../commands/policy/asked.ts';
import { askerOf } from '../../commands/policy/caller.ts';
import { denialOf, explain, type Explanation } from '../../commands/policy/explain.ts';
import { parsePolicy, type Policy } from '../../src/config/policy.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { toWireError } from '../../src/http/wire-errors.ts';
import { type Answer, createHarness, type Harness, ISSUER, TOKENS } from '../support/harness.ts';

// What `npm run policy -- explain` says, beside what the Worker does: the same role, the same reason in the trail, the same answer.

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const DAY_MS = 24 * 60 * 60 * 1000;

const rolesIn = (workspace: string) => ({
  ci: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    workspaces: [workspace],
    scopes: ['api:read'],
    maxTtl: '30d',
    maxTokens: 2,
  },
  wide: { permissions: ['tokens:create', 'tokens:read'], workspaces: ['*'], scopes: ['api:read', 'api:write'] },
  reader: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'] },
  changer: { permissions: ['tokens:update'], tokens: 'any', workspaces: ['*'], scopes: ['*'] },
  revoker: { permissions: ['tokens:revoke'], workspaces: [workspace] },
});

let harness: Harness;
let policy: Policy;
let WORKSPACE = '';
let skewMs = 0;
const now = (): number => Date.now() + skewMs;
const tokens: Record<'caller' | 'other' | 'nobody', string> = { caller: '', other: '', nobody: '' };

/** A company of its own, so that no other caller uses up its calls. */
async function begin(): Promise<void> {
  WORKSPACE = crypto.randomUUID();
  harness = await createHarness({
    roles: rolesIn(WORKSPACE),
    policy: { presets: { sdk: ['api:read'], all: ['api:read', 'api:full'] } },
    runtime: { now },
  });
  const parsed = parsePolicy(harness.policy);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  policy = parsed.value;
}

const jwtOf = async (role: unknown, claims: Readonly<Record<string, unknown>> = {}): Promise<string> => {
  const iat = Math.floor(now() / 1000);
  return await harness.jwtFor('', { role, iat, exp: iat + 300, ...claims });
};

/** Makes the tokens that a caller finds: one of its own, one of another and one of nobody. */
async function prepare(sub: string): Promise<void> {
  const mint = async (subject: string): Promise<string> => {
    const jwt = await jwtOf('admin', { sub: subject });
    const body = { name: 'deploy', scopes: ['api:read'], expires_in: '10d', workspace_uuid: WORKSPACE };
    const answer = await harness.send('POST', TOKENS, { jwt, body });
    if (answer.status !== 201) throw new Error(answer.text);
    return answer.body.data.id;
  };
  tokens.caller = await mint(sub);
  tokens.other = await mint(`${sub}-other`);
  const made = await harness.control.insertToken({ workspace_uuid: WORKSPACE, name: 'by hand' });
  tokens.nobody = (made as { id: string }).id;
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

/** The request over HTTP that asks for the same. */
function sentFor(asked: Asked): Sent {
  const query = 'workspace' in asked ? `?workspace_uuid=${asked.workspace}` : '';
  const owner = ('owner' in asked ? asked.owner : undefined) ?? 'caller';
  const one = `${TOKENS}/${tokens[owner]}${query}`;
  switch (asked.operation) {
    case 'create': {
      const { scopes, preset, expiresIn } = asked;
      return { method: 'POST', path: TOKENS + query, body: { name: 'deploy', scopes, preset, expires_in: expiresIn } };
    }
    case 'list':
      return { method: 'GET', path: TOKENS + query };
    case 'get':
      return { method: 'GET', path: one };
    case 'revoke':
      return { method: 'DELETE', path: one };
    case 'update': {
      const body = { scopes: asked.scopes, is_active: asked.active };
      const isRename = asked.scopes === undefined && asked.active === undefined;
      return { method: 'PATCH', path: one, body: isRename ? { name: 'renamed' } : body };
    }
    case 'rotate': {
      const body = { overlap: asked.overlap, expires_in: asked.expiresIn };
      return { method: 'POST', path: `${TOKENS}/${tokens[owner]}/rotate${query}`, body };
    }
    case 'audit':
      return { method: 'GET', path: '/api/v1/audit/export?latest=true' };
    case 'order': {
      const path = '/api/v1/revocations';
      const reason = 'asked of the policy';
      return asked.workspace === '*'
        ? { method: 'POST', path, body: { subject: { issuer: ISSUER, subject: 'nobody' }, reason } }
        : { method: 'POST', path, body: { workspace_uuid: asked.workspace, token_ids: ['tok-1'], reason } };
    }
    case 'retry':
    case 'resume-log':
      throw new Error('A retry needs a delivery, and a resume a log that is stopped.');
  }
}

const rowOf = async (answer: Answer): Promise<AuditEventRow | null> =>
  await env.DB.prepare('select * from audit_events where id = ?')
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first<AuditEventRow>();

async function explained(jwt: string, asked: Asked): Promise<Explanation> {
  const nowMs = now();
  return explain(policy, await askerOf(policy.issuers, { kind: 'jwt', jwt }, null, null, nowMs), asked, nowMs);
}

/** What the command says, as far as the Worker's answer and row say it too. */
function toldBy(explanation: Explanation): object {
  if (explanation.kind === 'rejected') {
    const { reason } = explanation.asker;
    return { ...answerTo({ kind: 'token_rejected', reason }), because: reason };
  }
  const { decision, request } = explanation;
  if (!decision.allowed) return { ...answerTo(decision.failure), because: denialOf(explanation) };
  const { role, scopes, expiresAtMs } = decision.grant;
  if (request.operation === 'create') return { status: 201, role, scopes, days: daysUntil(expiresAtMs) };
  if (request.operation === 'order') return { status: 202 };
  return request.operation === 'update' ? { status: 200, role } : { status: 200 };
}

function answerTo(failure: Parameters<typeof toWireError>[0]) {
  const { status, code, message } = toWireError(failure);
  return { status, code, message };
}

const daysUntil = (ms: number | null): number | null => (ms === null ? null : Math.round((ms - now()) / DAY_MS));

/** What the Worker did, in the same words. */
async function doneIn(answer: Answer, { operation }: Asked): Promise<object> {
  const { status, body } = answer;
  const outcome = JSON.parse((await rowOf(answer))?.outcome ?? '{}');
  if (status >= 400) {
    return { status, code: body.code, message: body.message, because: causeIn(body.code, outcome.reason) };
  }
  if (operation === 'create') {
    const { scopes, expires_at: expiresAt } = body.data;
    return { status, role: outcome.role, scopes, days: daysUntil(expiresAt === null ? null : Date.parse(expiresAt)) };
  }
  return operation === 'update' ? { status, role: outcome.role } : { status };
}

/** The reason in a row. Of a token out of sight it also says whether there is one, which the command is not asked. */
function causeIn(code: string, reason: unknown): unknown {
  if (code === 'forbidden') return reason;
  return code === 'not_found' && ['unknown', 'not_readable'].includes(String(reason)) ? 'token_not_found' : code;
}

const create =
  (changes: Partial<Extract<Asked, { operation: 'create' }>> = {}): (() => Asked) =>
  () => ({
    operation: 'create',
    workspace: WORKSPACE,
    scopes: ['api:read'],
    ...changes,
  });
const list = (workspace?: string) => (): Asked => ({ operation: 'list', workspace: workspace ?? WORKSPACE });
const one = (operation: 'get' | 'revoke', owner?: 'caller' | 'other' | 'nobody') => (): Asked => ({
  operation,
  workspace: WORKSPACE,
  owner,
});
const update =
  (changes: Partial<Extract<Asked, { operation: 'update' }>> = {}) =>
  (): Asked => ({
    operation: 'update',
    workspace: WORKSPACE,
    tokenScopes: ['api:read'],
    tokenExpiresIn: '10d',
    ...changes,
  });
const order = (workspace?: string) => (): Asked => ({ operation: 'order', workspace: workspace ?? WORKSPACE });
const audit = (): Asked => ({ operation: 'audit' });

const REQUESTS: readonly (readonly [string, () => Asked])[] = [
  ['create', create()],
  ['create, beyond a ceiling', create({ scopes: ['api:read', 'api:write'] })],
  ['create, of everything', create({ scopes: ['api:full'] })],
  ['create, for longer', create({ expiresIn: '31d' })],
  ['create, for as long as may be', create({ expiresIn: '30d' })],
  ['create, elsewhere', create({ workspace: ELSEWHERE })],
  ['create, with a preset', create({ scopes: undefined, preset: 'sdk' })],
  ['create, with a preset that is wider', create({ scopes: undefined, preset: 'all' })],
  ['create, with an unknown preset', create({ scopes: undefined, preset: 'none' })],
  ['list', list()],
  ['list, elsewhere', list(ELSEWHERE)],
  ['get, of its own', one('get')],
  ['get, of another', one('get', 'other')],
  ['get, of nobody', one('get', 'nobody')],
  ['update, of its own', update()],
  ['update, of another', update({ owner: 'other' })],
  ['update, to other scopes', update({ scopes: ['api:write'] })],
  ['update, that suspends', update({ active: false })],
  ['update, that resumes', update({ active: true })],
  ['audit', audit],
  ['order, of tokens', order()],
  ['order, about a subject', order('*')],
  ['revoke, of another', one('revoke', 'other')],
  ['revoke, of its own', one('revoke')],
];
const CALLERS: readonly (readonly string[])[] = [
  ['ci'],
  ['wide'],
  ['revoker'],
  ['ci', 'reader'],
  ['changer', 'reader'],
  ['stranger'],
];

describe.each(CALLERS.map((roles) => [roles.join(' and '), roles] as const))(
  'a caller with the role %s',
  (_names, role) => {
    const sub = `caller-${role.join('-')}`;
    beforeAll(async () => {
      await begin();
      await prepare(sub);
    });
    // A minute has ten denials in full.
    beforeEach(() => {
      skewMs += 61_000;
    });

    it.each(REQUESTS)('%s: the Worker does what the command says', async (_what, asking) => {
      const asked = asking();
      const jwt = await jwtOf(role, { sub });
      const live = await env.DB.prepare('select live from token_counts where owner_subject = ?')
        .bind(sub)
        .first<{ live: number }>();
      const explanation = await explained(
        jwt,
        asked.operation === 'create' ? { ...asked, held: live?.live ?? 0 } : asked,
      );
      const { body, method, path } = sentFor(asked);
      const answer = await harness.send(method, path, { jwt, ...(body !== undefined && { body }) });
      expect(await doneIn(answer, asked)).toEqual(toldBy(explanation));
    });
  },
);

describe('a JWT', () => {
  beforeAll(async () => {
    skewMs = 0;
    await begin();
  });
  const nowSeconds = Math.floor(Date.now() / 1000);
  const JWTS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['for another audience', { aud: 'elsewhere' }],
    ['without a subject', { sub: undefined }],
    ['with an empty subject', { sub: '' }],
    ['without an audience', { aud: undefined }],
    ['that has expired', { iat: nowSeconds - 7_200, exp: nowSeconds - 3_600 }],
    ['that is too old', { iat: nowSeconds - 100_000, exp: nowSeconds + 3_600 }],
    ['from the future', { iat: nowSeconds + 3_600, exp: nowSeconds + 7_200 }],
    ['that is not valid yet', { nbf: nowSeconds + 3_600 }],
    ['of another issuer', { iss: 'https://other.example' }],
    ['whose subject is no text', { sub: { name: 'x' } }],
  ];

  const reasonOf = async (answer: Answer): Promise<unknown> => {
    const query = env.DB.prepare('select outcome from audit_events where request_id = ?');
    const row = await query.bind(answer.headers.get('X-Request-Id')).first<{ outcome: string }>();
    return JSON.parse(row?.outcome ?? '{}').reason;
  };

  it.each(JWTS)('%s is refused for the reason that the command names', async (_what, claims) => {
    const jwt = await harness.jwtFor('admin', claims);
    const answer = await harness.send('GET', TOKENS, { jwt });
    const explanation = await explained(jwt, { operation: 'list', workspace: WORKSPACE });
    const named = explanation.kind === 'rejected' ? explanation.asker.reason : explanation.asker.untimely;
    expect([answer.status, await reasonOf(answer)]).toEqual([401, named]);
  });

  it('whose signature is not of the issuer is refused', async () => {
    const [head, claims] = (await harness.jwtFor('admin')).split('.');
    const [, , signature] = (await harness.jwtFor('ci')).split('.');
    const jwt = `${head}.${claims}.${signature}`;
    const answer = await harness.send('GET', TOKENS, { jwt });
    const explanation = await explained(jwt, { operation: 'list', workspace: WORKSPACE });
    expect(denialOf(explanation)).toBe('signature_invalid');
    expect([answer.status, await reasonOf(answer)]).toEqual([401, 'signature_invalid']);
  });
});

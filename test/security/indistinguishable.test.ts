import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../../src/vocabulary.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';
import { expectRefusal, rowsOf, withoutUpstream } from './expectations.ts';
import { BOTH, SNAPSHOTS_OFF, SNAPSHOTS_ON, type Snapshots } from './snapshots.ts';
import { createRecordingD1 } from './statements.ts';

// To a caller who reaches nothing but its own tokens, a token of another and an id that never was are the same: the same
// bytes, the same D1 statements, no call to PipeOps.

const OTHER_ISSUER = 'https://other.example';
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const TOKEN_PERMISSIONS = PERMISSIONS.filter((permission) => permission.startsWith('tokens:'));
const own = { permissions: TOKEN_PERMISSIONS, tokens: 'own', workspaces: ['*'], scopes: ['*'] };
const anyToken = { ...own, tokens: 'any' };

let minutes = 0;
const nowMs = (): number => Date.now() + minutes * 60_000;
// Of what one caller is denied in a minute only the first is recorded in full.
beforeEach(() => {
  minutes += 1;
});

const recording = createRecordingD1();
const issuer = await createTestIssuer({ issuer: ISSUER });
const jwtFor = async (role: string, claims: Record<string, unknown> = {}): Promise<string> => {
  const jwt = await issuer.sign({ sub: `${role}-1`, role, ...claims }, { nowMs: nowMs() });
  noteSecret(jwt);
  return jwt;
};
const otherIssuer = await createTestIssuer({ issuer: OTHER_ISSUER });
/** The isolate that is asked. */
let harness: Harness;
let harnesses: Readonly<Record<Snapshots['snapshots'], Harness>>;
/** Ids that exist and are not the caller's, by what they are. */
const existing = new Map<string, string>();

const idOf = (what: string): string => existing.get(what)!;
const EXISTING = [
  'of another subject',
  'of the same subject of another issuer',
  'of another subject, revoked',
  "made at PipeOps' own console",
  'of the caller, in another workspace',
];

beforeAll(async () => {
  const roles = {
    own,
    'own-too': { ...own, permissions: ['tokens:read'] },
    'any-elsewhere': { ...anyToken, workspaces: [ELSEWHERE] },
    any: anyToken,
    'revokes-own': { ...own, permissions: ['tokens:create', 'tokens:revoke'] },
    'revokes-any': { ...anyToken, permissions: ['tokens:create', 'tokens:revoke'] },
  };
  const issuers = [issuer, otherIssuer].map(({ issuer: name, jwks }) => ({
    issuer: name,
    audience: 'countersign',
    jwks,
  }));
  const bindings = issuers.flatMap((entry) =>
    Object.keys(roles).map((role) => ({ issuer: entry.issuer, claims: { role }, role })),
  );
  const POLICY = JSON.stringify({ issuers, roles, bindings });
  const isolate = { issuer, db: recording.db, runtime: { now: nowMs } };
  harness = await createHarness({ ...isolate, env: { POLICY, ...SNAPSHOTS_OFF.env } });

  const mint = async (jwt: string, workspace = harness.workspace): Promise<string> => {
    const body = { name: 'of-somebody', scopes: ['api:read'] };
    const answer = await harness.send('POST', `${TOKENS}?workspace_uuid=${workspace}`, { jwt, body });
    expect(answer.status).toBe(201);
    return String(answer.body.data.id);
  };
  const claims = { sub: 'me', aud: 'countersign', role: 'own' };
  const mine = await jwtFor('own', claims);
  const another = await jwtFor('own', { sub: 'another' });
  existing.set('of another subject', await mint(another));
  existing.set('of the same subject of another issuer', await mint(await otherIssuer.sign(claims)));
  const revoked = await mint(another);
  await harness.send('DELETE', `${TOKENS}/${revoked}`, { jwt: another });
  existing.set('of another subject, revoked', revoked);
  const inserted = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
  existing.set("made at PipeOps' own console", inserted.id);
  existing.set('of the caller, in another workspace', await mint(mine, ELSEWHERE));
  harnesses = {
    off: harness,
    on: await createHarness({ ...isolate, like: harness, env: { POLICY, ...SNAPSHOTS_ON.env } }),
  };
  // What an isolate has to tell of the calls above goes with the first batch of the next minute, whoever causes that.
  minutes += 1;
  await harness.send('GET', `${TOKENS}/${crypto.randomUUID()}`, { jwt: mine });
});

/** The tests of this block ask the isolate that has snapshots on or off; with them on, it holds the list. */
const askWithSnapshots = (snapshots: Snapshots['snapshots']): void => {
  beforeAll(() => {
    harness = harnesses[snapshots];
  });
  beforeEach(async () => {
    if (snapshots === 'on') await harness.send('GET', TOKENS, { jwt: await jwtFor('any') });
  });
  afterAll(() => {
    harness = harnesses.off;
  });
};

const OPERATIONS = [
  { name: 'get', method: 'GET' },
  { name: 'events', method: 'GET', under: '/events' },
  { name: 'rename', method: 'PATCH', body: { name: 'mine-now' } },
  { name: 'rescope', method: 'PATCH', body: { scopes: ['api:write'] } },
  { name: 'resume', method: 'PATCH', body: { is_active: true } },
  { name: 'revoke', method: 'DELETE' },
] as const;
type Operation = (typeof OPERATIONS)[number];

const REVOKE = OPERATIONS.filter(({ name }) => name === 'revoke');
/** Those who may revoke and not read: of anybody else's token they hear nothing, even where they may revoke any. */
const BLIND: readonly (readonly [string, readonly string[], readonly Operation[]])[] = [
  ['a role that revokes its own and reads nothing', ['revokes-own'], REVOKE],
  ['a role that revokes any token and reads nothing', ['revokes-any'], REVOKE],
  ['a role over its own, and one that revokes any token', ['own', 'revokes-any'], OPERATIONS],
];
const CALLERS: readonly (readonly [string, readonly string[]])[] = [
  ['one role over its own', ['own']],
  ['two roles over its own', ['own', 'own-too']],
  ['a role over any token of another workspace besides', ['own', 'any-elsewhere']],
];

/** Sends an operation; gives the answer, and all that a caller could tell two of them apart by. */
async function observe(operation: Operation, roles: readonly string[], id: string) {
  const jwt = await jwtFor('own', { sub: 'me', role: roles });
  recording.statements.length = 0;
  const answer = await withoutUpstream(
    harness,
    async () =>
      await harness.send(operation.method, `${TOKENS}/${id}${'under' in operation ? operation.under : ''}`, {
        jwt,
        ...('body' in operation && { body: operation.body }),
      }),
  );
  return { answer, statements: [...recording.statements], bytes: bytesOf(answer, id) };
}

/** The answer as it is sent, without the two ids that every answer has anew. */
function bytesOf(answer: Answer, id: string): string {
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
  return [`${answer.status}`, ...headers, '', answer.text]
    .join('\r\n')
    .replaceAll(answer.headers.get('X-Request-Id')!, '<request id>')
    .replaceAll(answer.headers.get('X-Audit-Event-Id')!, '<event id>')
    .replaceAll(id, '<id>');
}

// Of the operations a get alone is answered from a list.
const GET = OPERATIONS.filter(({ name }) => name === 'get');
describe.each([
  ...CALLERS.map(([name, roles]) => [name, 'off', roles, OPERATIONS] as const),
  ...BLIND.map(([name, roles, operations]) => [name, 'off', roles, operations] as const),
  ...CALLERS.map(([name, roles]) => [name, 'on', roles, GET] as const),
])('to a caller with %s, snapshots %s', (_name, snapshots, roles, operations) => {
  askWithSnapshots(snapshots);
  describe.each(operations)('$name', (operation) => {
    it.each(EXISTING)('of a token %s is as of an id that never was', async (what) => {
      const theirs = await observe(operation, roles, idOf(what));
      const unknown = await observe(operation, roles, crypto.randomUUID());

      expect(theirs.bytes).toBe(unknown.bytes);
      expect(theirs.bytes).not.toContain('<id>');
      expect(theirs.statements).toEqual(unknown.statements);
      expect(theirs.statements).not.toEqual([]);
      for (const { answer } of [theirs, unknown]) {
        await expectRefusal(answer, { status: 404, code: 'not_found', row: { actor_subject: 'me' } });
      }
    });
  });
});

describe('the trail', () => {
  it.each(OPERATIONS)('tells what the caller was not told: $name', async (operation) => {
    const reasonFor = async (id: string): Promise<unknown> => {
      const { answer } = await observe(operation, ['own'], id);
      const [row] = await rowsOf(answer);
      expect(row).toMatchObject({ token_id: id, workspace_uuid: harness.workspace });
      return JSON.parse(row?.outcome ?? '').reason;
    };
    expect(await reasonFor(idOf('of another subject'))).toBe('not_readable');
    expect(await reasonFor(crypto.randomUUID())).toBe('unknown');
  });
});

it.each(['revokes-own', 'revokes-any'])(
  'in the role %s, an owner revokes its token, and is not shown it',
  async (role) => {
    const jwt = await jwtFor(role, { sub: 'blind' });
    const body = { name: 'of-the-blind', scopes: ['api:read'] };
    const created = await harness.send('POST', TOKENS, { jwt, body });
    const path = `${TOKENS}/${created.body.data.id}`;

    expect((await harness.send('GET', path, { jwt })).body.code).toBe('forbidden');
    const another = await jwtFor(role, { sub: 'another' });
    expect((await harness.send('DELETE', path, { jwt: another })).status).toBe(404);
    const revoked = await harness.send('DELETE', path, { jwt });
    expect([revoked.status, revoked.body.data]).toEqual([
      200,
      { id: created.body.data.id, uuid: created.body.data.id },
    ]);
    expect(await rowsOf(revoked)).toMatchObject([{ status: 'success', actor_subject: 'blind' }]);
    expect(await harness.upstreamTokens()).toContainEqual(
      expect.objectContaining({ id: created.body.data.id, is_revoked: true }),
    );
  },
);

describe.each(BOTH)('snapshots $snapshots', ({ snapshots }) => {
  askWithSnapshots(snapshots);

  it('a list shows such a caller its own tokens and counts no others', async () => {
    const jwt = await jwtFor('own', { sub: 'nobody-yet' });
    const answer = await harness.send('GET', TOKENS, { jwt });
    expect([answer.status, answer.body.data]).toEqual([200, { tokens: [], total: 0 }]);
  });

  it('the owner itself, of the right issuer, reaches its token', async () => {
    const jwt = await otherIssuer.sign({ sub: 'me', aud: 'countersign', role: 'own' }, { nowMs: nowMs() });
    const path = `${TOKENS}/${idOf('of the same subject of another issuer')}`;
    expect((await harness.send('GET', path, { jwt })).status).toBe(200);
    const role = ['own', 'any-elsewhere'];
    const another = await jwtFor('own', { sub: 'another', role });
    expect((await harness.send('GET', path, { jwt: another })).status).toBe(404);
    const elsewhere = `${TOKENS}/${idOf('of the caller, in another workspace')}?workspace_uuid=${ELSEWHERE}`;
    expect((await harness.send('GET', elsewhere, { jwt: another })).status).toBe(200);
  });
});

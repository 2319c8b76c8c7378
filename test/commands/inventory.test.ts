import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { INSTALLED } from '../../commands/countersign/host.ts';
import { filterOf } from '../../commands/countersign/inventory.ts';
import { run } from '../../commands/countersign/run.ts';
import { UsageError } from '../../commands/usage.ts';
import type { InventoryToken } from '../../package/client/types.ts';
import { refusal, type Reply, startTrailServer } from './audit/trail-server.ts';

// `countersign tokens`, which reads the inventory, and `tokens rotate`.

const NOW = new Date('2026-11-28T12:00:00.000Z');
const LIVE = 'active,suspended,retiring';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-inventory-'));
const fileIn = (name: string): string => path.join(root, name);
beforeAll(() => {
  vi.stubEnv('COUNTERSIGN_JWT', 'a.b.c');
  vi.stubEnv('COUNTERSIGN_JWT_FILE', '');
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

/** Runs a command against a service that gives these answers. @returns what it said, what it asked and what it threw. */
async function told(replies: readonly Reply[], args: readonly string[]) {
  const notices: string[] = [];
  vi.spyOn(console, 'error').mockImplementation((line: string) => void notices.push(line));
  const server = await startTrailServer(replies);
  const error: unknown = await run([...args, '--url', server.url], INSTALLED, '1.0.0').catch(
    (reason: unknown) => reason,
  );
  return { notices, asked: server.asked.map(({ query }) => query), error };
}

const token = (fields: Partial<InventoryToken> = {}): InventoryToken => ({
  id: 'tok-1',
  uuid: 'tok-1',
  workspace_uuid: 'w-1',
  name: 'deploy',
  token_prefix: 'sat_a1B2c3D',
  scopes: ['api:read', 'api:write'],
  owner: { issuer: 'https://i.example', subject: 'kim', label: 'kim@acme.example' },
  role: 'ci',
  policy_version: '3f0c7b1d92e84a56',
  created_at: '2026-11-01T00:00:00.000Z',
  expires_at: null,
  last_used_at: null,
  state: 'active',
  usage: 'unknown',
  suspended_by: [],
  replaces: null,
  replaced_by: null,
  retires_at: null,
  create_event_id: 'event-1',
  ...fields,
});

const KNOWN = [{ workspace_uuid: 'w-1', listed_at: '2026-11-28T11:59:00.000Z', list_state: 'complete' }];
const page =
  (items: readonly InventoryToken[], next: string | null, more: object = {}): Reply =>
  (response) =>
    void response
      .writeHead(200)
      .end(
        JSON.stringify({ success: true, data: items, pagination: { next_cursor: next }, knowledge: KNOWN, ...more }),
      );

describe('the filters of countersign tokens', () => {
  const values = { unused: false, live: false };

  it.each<[string, Parameters<typeof filterOf>[0], object]>([
    ['none', values, {}],
    [
      'names of the API',
      { ...values, owner: 'me', name: 'deploy', id: 'tok-1', prefix: 'sat_a', workspace: 'w-1' },
      { owner: 'me', token_name: 'deploy', token_id: 'tok-1', token_prefix: 'sat_a', workspace_uuid: 'w-1' },
    ],
    [
      'a list as it is typed',
      { ...values, state: 'expired,revoked', usage: 'unknown' },
      { state: 'expired,revoked', usage: 'unknown' },
    ],
    ['live tokens', { ...values, live: true }, { state: LIVE }],
    ['unused tokens, which are live ones', { ...values, unused: true }, { state: LIVE, usage: 'unused,never_used' }],
    [
      'unused tokens of another state',
      { ...values, unused: true, state: 'suspended' },
      { state: 'suspended', usage: 'unused,never_used' },
    ],
    [
      'what expires soon, which is live',
      { ...values, 'expires-within': '30d' },
      { state: LIVE, expires_from: NOW.toISOString(), expires_to: '2026-12-28T12:00:00.000Z' },
    ],
    [
      'days, which end where a bound ends',
      { ...values, 'created-from': '2026-11-01', 'created-to': '2026-11-01' },
      { created_from: '2026-11-01T00:00:00.000Z', created_to: '2026-11-02T00:00:00.000Z' },
    ],
    ['how long ago', { ...values, 'last-used-to': '90d' }, { last_used_to: '2026-08-30T12:00:00.000Z' }],
    [
      'a time, as it is typed',
      { ...values, 'expires-to': '2027-01-01T00:00:00Z' },
      { expires_to: '2027-01-01T00:00:00Z' },
    ],
  ])('%s', (_name, given, query) => {
    expect(filterOf(given, NOW, null)).toEqual(query);
  });

  it.each<[string[], RegExp]>([
    [['--unused', '--usage', 'recent'], /^--unused and --usage: choose one\.$/],
    [['--owner', 'auth0|kim'], /^--owner needs --issuer URL/],
    [['--issuer', 'https://i.example'], /^--issuer goes with --owner\.$/],
    [['--live', '--state', 'revoked'], /^--live and --state: choose one\.$/],
    [['--expires-within', '30d', '--expires-to', '7d'], /choose one/],
    [['--expires-within', 'soon'], /^--expires-within takes a duration such as 30d/],
    [['--expires-within', '999999999w'], /^--expires-within takes a duration/],
    [['--export', 'xlsx'], /^--export takes csv or ndjson\.$/],
    [['--export', 'csv', '--limit', '9'], /^--export and --limit: choose one\.$/],
    [['--limit', '0'], /^--limit takes a whole number/],
    [['list-all'], /^Say what to do with tokens: tokens, tokens list, /],
    [['whose', '--token', 'sat_0123456789abcdefghij'], /^--token takes - alone/],
    [['whose', '--sha256', 'abc'], /^--sha256 takes the 64 hex digits/],
    [['rotate'], /^tokens rotate needs ID/],
    [['rotate', 'tok-1', '--expires-in', '1d', '--expires-at', 't'], /choose one/],
  ])('%j is no command', async (args, line) => {
    const { error, asked } = await told([page([], null)], ['tokens', ...args]);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toMatch(line);
    expect((error as UsageError).message).not.toMatch(/\n|sat_/);
    expect(asked).toEqual([]);
  });
});

describe('an export of the inventory', () => {
  it('is one CSV of all pages, no cell of which is a formula', async () => {
    const first = token({ name: '=cmd()', owner: { issuer: 'https://i.example', subject: '-1+1', label: '\t@x' } });
    const second = token({
      id: 'tok-2',
      name: 'a,"b"',
      scopes: null,
      owner: null,
      suspended_by: ['owner', 'leak'],
    });
    const replies = [page([first], 'c-1', { partial: true }), page([], 'c-2', { partial: true }), page([second], null)];
    const file = fileIn('all.csv');
    const { notices, asked, error } = await told(replies, ['tokens', '--live', '--export', 'csv', '--out', file]);
    expect(error).toBeUndefined();
    expect(readFileSync(file, 'utf8')).toBe(
      [
        'id,workspace_uuid,name,token_prefix,scopes,owner_issuer,owner_subject,owner_label,role,policy_version,created_at,expires_at,last_used_at,state,usage,suspended_by,replaces,replaced_by,retires_at,create_event_id',
        `tok-1,w-1,"'=cmd()",sat_a1B2c3D,"api:read api:write",https://i.example,"'-1+1","'\\u0009'@x",ci,3f0c7b1d92e84a56,2026-11-01T00:00:00.000Z,,,active,unknown,,,,,event-1`,
        `tok-2,w-1,"a,""b""",sat_a1B2c3D,,,,,ci,3f0c7b1d92e84a56,2026-11-01T00:00:00.000Z,,,active,unknown,"owner leak",,,,event-1`,
        '',
      ].join('\r\n'),
    );
    const filter = { state: LIVE, limit: '200' };
    expect(asked).toEqual([filter, { ...filter, cursor: 'c-1' }, { ...filter, cursor: 'c-2' }]);
    expect(notices).toEqual([expect.stringMatching(/^PipeOps was last looked at \d+\w ago: 2026-11-28 11:59:00Z\.$/)]);
  });

  it('says where PipeOps told of a part alone, or of nothing', async () => {
    const knowledge = [
      { workspace_uuid: 'w-1', listed_at: '2026-11-28T11:59:00.000Z', list_state: 'partial' },
      { workspace_uuid: 'w-2', listed_at: null, list_state: null },
      { workspace_uuid: 'w-3', listed_at: '2026-11-28T11:59:00.000Z', list_state: 'unavailable' },
    ];
    const args = ['tokens', '--export', 'ndjson', '--out', fileIn('part.ndjson')];
    const { notices } = await told([page([token()], null, { knowledge, partial: true })], args);
    expect(notices.filter((line) => !line.startsWith('PipeOps was last looked at'))).toEqual([
      'More may match than this shows: run it again.',
      'PipeOps told of a part of workspace w-1 alone: a token that was made past this service may be missing.',
      'PipeOps was never asked for a list of workspace w-2.',
      'PipeOps does not know workspace w-3 any more.',
    ]);
    expect(JSON.parse(readFileSync(fileIn('part.ndjson'), 'utf8'))).toEqual(token());
  });

  it('that breaks off leaves no file, and says so', async () => {
    const replies = [page([token()], 'c-1'), refusal(502, 'No.', { code: 'upstream_error' })];
    const { notices, error } = await told(replies, ['tokens', '--export', 'csv', '--out', fileIn('half.csv')]);
    expect(String(error)).toContain('502: No.');
    expect(notices).toEqual(['The export broke off after 1 token. What was written is not whole: run it again.']);
    expect(existsSync(fileIn('half.csv'))).toBe(false);
  });
});

describe('tokens rotate', () => {
  const SECRET = 'sat_0123456789abcdefghij';
  const rotated = { ...token({ id: 'tok-2' }), scopes: ['api:read'], token: SECRET, replaces: 'tok-1' };

  it.each([
    [
      'says until when the old token works',
      '2999-01-01T00:00:00.000Z',
      /^Token tok-1 works until 2999-01-01 00:00:00Z, and is then revoked\.$/,
    ],
    ['says that a leaked one is being revoked', '2026-11-28T12:00:00.000Z', /^Token tok-1 is being revoked now\.$/],
  ])('%s, and keeps the secret in its file', async (name, endsAt, line) => {
    const sent: unknown[] = [];
    const reply: Reply = (response, request) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        sent.push([request.method, request.url, request.headers['idempotency-key'], JSON.parse(text)]);
        response
          .writeHead(201)
          .end(JSON.stringify({ success: true, data: { ...rotated, old_token_revoked_at: endsAt } }));
      });
    };
    const file = fileIn(`secret ${name}`);
    const overlap = endsAt.startsWith('2999') ? '24h' : '0s';
    const options = ['--overlap', overlap, '--expires-in', '30d', '--workspace', 'w-1', '--idempotency-key', 'k1'];
    const printed: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
    const { notices, error } = await told([reply], ['tokens', 'rotate', 'tok-1', ...options, '--out', file]);
    expect(error).toBeUndefined();
    const body = { overlap, expires_in: '30d', workspace_uuid: 'w-1' };
    expect(sent).toEqual([['POST', '/api/v1/service-account-tokens/tok-1/rotate', 'k1', body]]);
    expect(readFileSync(file, 'utf8')).toBe(`${SECRET}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(notices).toEqual([`The secret is in ${file}.`, expect.stringMatching(line)]);
    expect(printed.join('')).toContain('"replaces":"tok-1"');
    expect(printed.join('')).not.toContain(SECRET);
  });

  it('says how to ask again where its answer was lost', async () => {
    const lost = refusal(504, 'It is not known.', { code: 'outcome_unknown' });
    const { error } = await told([lost], ['tokens', 'rotate', 'tok-1', '--idempotency-key', 'k1']);
    expect(String(error)).toMatch(
      /504: It is not known\. The same command with --idempotency-key k1 asks again, and mints no second token\./,
    );
  });
});

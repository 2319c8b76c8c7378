import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text as textIn } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';
import { pack } from '../../package/pack.ts';
import {
  cutAfter,
  event,
  pageOf,
  refusal,
  startTrailServer,
  textOf,
  type Reply,
} from '../commands/audit/trail-server.ts';
import { type Installed, installPackage, OLD_NODE } from './packed.ts';

// The package as a stranger has it: packed, and installed offline in an empty folder, on an old Node where there is one.

let installed: Installed;
beforeAll(async () => {
  installed = await installPackage();
}, 120_000);
afterAll(() => installed.remove());

const JWT = 'aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl';
const SECRET = 'sat_0123456789abcdefghij';
const json =
  (status: number, data: unknown, more: object = {}): Reply =>
  (response) =>
    void response
      .writeHead(status, { 'Content-Type': 'application/json' })
      .end(JSON.stringify({ success: true, message: 'x', data, ...more }));
const TOKEN = {
  id: 'tok-1',
  uuid: 'tok-1',
  name: 'deploy',
  description: null,
  scopes: ['api:read'],
  permissions: ['api:read'],
  token_prefix: 'sat_0123456',
  workspace_id: 'w-1',
  is_revoked: false,
  is_expired: false,
  is_active: true,
  expires_at: '2026-12-28T00:44:15.941Z',
  created_at: '2026-11-28T00:44:15.961Z',
  updated_at: null,
  last_used_at: null,
};

async function ask(
  replies: readonly Reply[],
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  input = '',
) {
  const server = await startTrailServer(replies);
  const ended = await installed.run(args, {
    input,
    environment: { COUNTERSIGN_URL: server.url, COUNTERSIGN_JWT: JWT, ...environment },
  });
  return { ...ended, asked: server.asked };
}
const fileIn = (name: string): string => path.join(installed.folder, name);

describe('the tarball', () => {
  it('has the same bytes whenever it is packed', async () => {
    const again = path.join(installed.folder, '..', 'again');
    mkdirSync(again);
    const other = await pack(path.join(again, 'assembled'), again);
    const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
    expect(digestOf(other)).toBe(digestOf(installed.tarball));
  });

  it('needs no other package, and holds what it names', () => {
    const home = fileIn('node_modules/countersign');
    const manifest = JSON.parse(readFileSync(path.join(home, 'package.json'), 'utf8'));
    expect(Object.keys(manifest)).not.toContain('dependencies');
    for (const file of [manifest.bin.countersign, ...Object.values(manifest.exports['./client'])] as string[]) {
      expect(statSync(path.join(home, file)).isFile()).toBe(true);
    }
    const root = JSON.parse(readFileSync(path.join(CHECKOUT, 'package.json'), 'utf8'));
    expect(manifest.version).toBe(root.version);
  });

  it('has declarations that a consumer without zod, jose or Node’s types compiles against, and no any', () => {
    const source = `import { createClient, CountersignError, type AuditEvent, type Failure } from 'countersign/client';
      const client = createClient({ url: 'https://c.example', jwt: async (need) => (need === 'refused' ? 'a.b.c' : 'd.e.f') });
      const secret: string = (await client.tokens.create({ name: 'x', scopes: ['api:read'], expires_in: '30d' })).token;
      for await (const event of client.audit.eachEvent({ action: '!audit.*' })) { const one: AuditEvent = event; void one.actor.label; }
      export const told = (error: unknown): Failure['code'] | null => (error instanceof CountersignError ? error.code : null);
      // @ts-expect-error a create needs scopes or a preset
      await client.tokens.create({ name: secret });
      // @ts-expect-error there is no such filter
      await client.audit.events({ acter: 'x' });
      // @ts-expect-error a status is no number
      const wrong: number = (await client.audit.event('x')).status;
    `;
    writeFileSync(fileIn('consumer.mts'), source);
    const options = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--lib',
      'es2022,dom',
      '--types',
      '',
      '--noEmit',
    ];
    const tsc = path.join(CHECKOUT, 'node_modules', 'typescript', 'bin', 'tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, ...options, '--skipLibCheck', 'false', 'consumer.mts'], {
      cwd: installed.folder,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  });
});

describe(`the command, on Node ${OLD_NODE.version}`, () => {
  it('shows its help, that of a command, and its version', async () => {
    const { stdout } = await installed.run(['--help']);
    const words = [...stdout.matchAll(/^ {2}(\w+(?: \w+)?) {2,}\S/gm)].map(([, name = '']) => name.trim());
    expect(words).toEqual(
      expect.arrayContaining(['tokens create', 'revoke', 'reinstate', 'audit', 'webhook', 'whoami']),
    );
    for (const name of ['tokens create', 'revoke', 'audit', 'webhook']) {
      const help = await installed.run([...name.split(' '), '--help']);
      expect(help).toMatchObject({ status: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`^usage: countersign ${name} `));
    }
    expect((await installed.run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  }, 120_000);

  it('writes JSON where there is no terminal, and a table where one is asked for', async () => {
    const tokens = { tokens: [{ ...TOKEN, name: 'n'.repeat(90) }], total: 1 };
    const first = await ask([json(200, tokens)], ['tokens', 'list']);
    expect(first).toMatchObject({ status: 0, stderr: '', stdout: `${JSON.stringify(tokens.tokens[0])}\n` });
    expect(first.asked).toEqual([
      { path: '/api/v1/service-account-tokens', query: {}, authorization: `Bearer ${JWT}` },
    ]);
    const table = await ask([json(200, tokens)], ['tokens', 'list', '--table']);
    expect(table.stdout).toMatch(/^ID {2,}NAME {2,}STATE/);
    expect(table.stdout).toContain('n'.repeat(90));
  });

  it('prints the secret of a new token once', async () => {
    const created = json(201, { ...TOKEN, token: SECRET });
    const { status, stdout, stderr } = await ask(
      [created],
      ['tokens', 'create', '--name', 'deploy', '--scope', 'api:read'],
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split(SECRET)).toHaveLength(2);
  });

  it('puts the secret into a file of its owner alone, and shows it nowhere else', async () => {
    const created = json(201, { ...TOKEN, token: SECRET });
    const create = ['tokens', 'create', '--name', 'deploy', '--scope', 'api:read', '--out', 'secret'];
    const { status, stdout, stderr } = await ask([created], create);
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'The secret is in secret.\n' });
    expect(stdout).not.toContain(SECRET);
    expect(readFileSync(fileIn('secret'), 'utf8')).toBe(`${SECRET}\n`);
    expect(statSync(fileIn('secret')).mode & 0o777).toBe(0o600);
    // A second one is not minted, since its secret would have no place.
    const second = await ask([created], create);
    expect(second).toMatchObject({ status: 1, stdout: '', asked: [] });
    expect(second.stderr).toMatch(/^secret is there already: .*--force\.\n$|^\S+\/secret is there already/);
  });

  it('says how to ask again where an answer was lost', async () => {
    const lost = refusal(504, 'It is not known.', { code: 'outcome_unknown' });
    const { status, stderr } = await ask(
      [lost],
      ['tokens', 'create', '--name', 'a', '--preset', 'p', '--idempotency-key', 'k1'],
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/^504: It is not known\. The same command with --idempotency-key k1 asks again .*\n$/);
  });

  describe('the inventory', () => {
    const { description: _none, permissions: _same, workspace_id, ...common } = TOKEN;
    const owner = { issuer: 'https://i.example', subject: 'kim', label: 'kim@acme.example' };
    const usage = { usage: 'never_used', state: 'active', suspended_by: [], role: 'ci', replaced_by: null };
    const entry = { ...common, workspace_uuid: workspace_id, owner, ...usage, replaces: null, retires_at: null };
    const answer = (items: readonly object[]) => json(200, items, { pagination: { next_cursor: null }, knowledge: [] });

    it('is a table of what a person wants to know', async () => {
      const { stdout, asked } = await ask([answer([entry])], ['tokens', '--owner', 'me', '--table']);
      expect(asked).toMatchObject([{ path: '/api/v1/inventory', query: { owner: 'me', limit: '50' } }]);
      const [titles = '', line = ''] = stdout.split('\n');
      expect(titles.split(/ {2,}/).slice(0, 7)).toEqual(['ID', 'NAME', 'OWNER', 'STATE', 'AGE', 'EXPIRES', 'LAST USE']);
      expect(line).toMatch(/^tok-1 +deploy +kim@acme\.example +active +\d+[smhd] +(?:in )?\d+[smhd](?: ago)? +never /);
    });

    it('is counted in the status, where the service is new enough to say so', async () => {
      const quota = { reserved: 0, limit: 100 };
      const older = {
        ready: true,
        not_ready: [],
        degraded: [],
        policy: { version: 'v' },
        open_attempts: { count: 0 },
        orders: { open: 0, acknowledged: 0, failed: 0 },
        quota: { minute: quota, hour: quota },
      };
      const expiring = { within_1_day: 1, within_7_days: 2, within_30_days: 10_000, more: true };
      const used = { workspaces: 4, unknown: { workspaces: 1, workspace_uuids: [] }, unused: 5, never_used: 6 };
      const { stdout } = await ask([json(200, { ...older, expiring, usage: used })], ['status', '--table']);
      expect(stdout).toMatch(/^EXPIRING +1 within a day, 2 within 7, 10000 or more within 30$/m);
      expect(stdout).toMatch(/^UNUSED +5 unused, 6 never used; unknown in 1 of 4 workspaces$/m);
      expect((await ask([json(200, older)], ['status', '--table'])).stdout).not.toMatch(/EXPIRING|UNUSED/);
    });

    it('says whose a secret is, and neither sends nor shows the secret', async () => {
      const whose = ['tokens', 'whose', '--token', '-'];
      const found = await ask([answer([entry])], whose, {}, `${SECRET}\n`);
      expect(found.status).toBe(0);
      expect(JSON.parse(found.stdout)).toEqual(entry);
      expect(found.stderr).toMatch(/^It is active\. .* countersign tokens revoke tok-1 --workspace w-1\n$/);
      const sha256 = createHash('sha256').update(SECRET).digest('hex');
      expect(found.asked).toEqual([
        { path: '/api/v1/inventory', query: { token_sha256: sha256 }, authorization: `Bearer ${JWT}` },
      ]);
      const nobody = await ask([answer([])], whose, {}, SECRET);
      expect([nobody.status, nobody.stdout]).toEqual([3, '']);
      // Of anything else than a secret the answer would be that it is nobody's.
      const quoted = await ask([answer([])], whose, {}, `"${SECRET}"`);
      expect([quoted.status, quoted.asked]).toEqual([2, []]);
      expect(found.stdout + found.stderr + nobody.stderr + quoted.stderr).not.toContain(SECRET);
    });
  });

  it('reads the trail and counts it', async () => {
    const { stdout } = await ask([pageOf([event(1)])], ['audit', '--since', '7d', '--scope', 'api:full']);
    expect(JSON.parse(stdout)).toEqual(event(1));
    const counted = await ask(
      [json(200, [{ key: 'https://i|kim', count: 3 }], { partial: true })],
      ['audit', '--count-by', 'actor', '--code', 'forbidden'],
    );
    expect(counted.asked).toMatchObject([{ path: '/api/v1/audit/counts', query: { by: 'actor', code: 'forbidden' } }]);
    expect(counted.stdout).toBe('{"key":"https://i|kim","count":3}\n');
    expect(counted.stderr).toMatch(/^These are the newest events that match, and not all/);
  });

  it('fails where an export is cut', async () => {
    const { status, stderr } = await ask([cutAfter(`${JSON.stringify(event(1))}\n`)], ['audit', '--export', 'ndjson']);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^The export was cut off/)]);
    const whole = await ask([textOf('{"complete":true,"count":0,"next":null}\n')], ['audit', '--export', 'csv']);
    expect([whole.status, whole.stdout]).toEqual([0, expect.stringMatching(/^seq,id,/)]);
  });

  it.each<[string, string[], RegExp]>([
    ['no such command', [SECRET], /^There is no such command\. There are: /],
    ['a JWT in clear', ['whoami', '--url', 'http://countersign.example'], /is not encrypted/],
  ])('ends with 2 and sends nothing for %s', async (_name, args, line) => {
    const { status, stdout, stderr, asked } = await ask([json(200, {})], args);
    expect({ status, stdout, asked }).toEqual({ status: 2, stdout: '', asked: [] });
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toContain('sat_');
  });

  it('ends with 1 where the service refuses', async () => {
    const { status, stdout, stderr } = await ask([refusal(403, 'No role.', { code: 'no_role' })], ['tokens', 'list']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe('403: No role. This needs a role with the permission tokens:read.\n');
  });
});

describe('a JWT from a command', () => {
  const none = { COUNTERSIGN_JWT: '' };

  it('is what the shell prints', async () => {
    const { asked } = await ask(
      [json(200, {})],
      ['status', '--json', '--jwt-command', `printf '%s\\n' "$PART.b.c" | cat`],
      { ...none, PART: 'a' },
    );
    expect(asked).toMatchObject([{ authorization: 'Bearer a.b.c' }]);
  });

  it('is asked for again where the service refuses it', async () => {
    const command = `if test -e again; then echo fresh.b.c; else touch again; echo stale.b.c; fi`;
    const { asked, status } = await ask(
      [refusal(401, 'x', { code: 'invalid_token' }), json(200, {})],
      ['status', '--json'],
      { ...none, COUNTERSIGN_JWT_COMMAND: command },
    );
    expect(status).toBe(0);
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer stale.b.c', 'Bearer fresh.b.c']);
  });

  it.each([
    [
      'echo "Log in first: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln" >&2; echo more >&2; exit 3',
      /^--jwt-command failed \(3\): Log in first: \[redacted\]\n$/,
    ],
    ['exit 1', /^--jwt-command failed \(1\)\.\n$/],
    ['echo sat_0123456789abcdefghij', /^--jwt-command does not hold a JWT and nothing else/],
  ])('says why there is none, without a secret: %s', async (command, line) => {
    const { stderr, stdout, asked } = await ask([json(200, {})], ['status', '--jwt-command', command], none);
    expect({ stdout, asked }).toEqual({ stdout: '', asked: [] });
    expect(stderr).toMatch(line);
    expect(stderr).not.toMatch(/sat_|eyJ/);
  });
});

it(`the client runs on Node ${OLD_NODE.version}`, async () => {
  const server = await startTrailServer([json(200, { subject: 'ci' })]);
  const source = `import { createClient } from 'countersign/client';
    console.log((await createClient({ url: process.argv[2], jwt: 'a.b.c' }).whoami()).subject);`;
  writeFileSync(fileIn('app.mjs'), source);
  const child = spawn(OLD_NODE.path, ['app.mjs', server.url], { cwd: installed.folder });
  expect(await textIn(child.stdout)).toBe('ci\n');
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { openIssuer } from '../../../local/issuer.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { cutAfter, event, pageOf, refusal, startTrailServer, textOf, type Reply } from './trail-server.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-audit-'));
afterAll(() => rmSync(root, { recursive: true }));
const JWT = 'aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl';

function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'audit', 'main.ts'), ...args], {
    env: { PATH: process.env['PATH'], STATE_DIR: path.join(root, 'none'), COUNTERSIGN_JWT: JWT, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then(([status]: unknown[]) => ({ status, stdout, stderr }));
  return { child, ended };
}

const audit = async (args: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
  await start(args, environment).ended;

describe('npm run audit', () => {
  it('shows who revoked a token, in a table', async () => {
    const server = await startTrailServer([pageOf([event(7, { actor: { type: 'user', label: 'ada@acme.example' } })])]);
    const args = ['--table', '--action', 'service_account_token.revoke', '--token-id', 'tok-7'];
    const { status, stdout, stderr } = await audit(['--url', server.url, ...args]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n').map((line) => line.replace(/ {2,}/g, '|'))).toEqual([
      'TIME|ACTION|STATUS|ACTOR|TOKEN|CODE',
      '2026-11-24 03:34:09Z|service_account_token.revoke|success|ada@acme.example|tok-7',
      '',
    ]);
    expect(server.asked).toEqual([
      {
        path: '/api/v1/audit/events',
        query: { action: 'service_account_token.revoke', token_id: 'tok-7', order: 'desc', limit: '50' },
        authorization: `Bearer ${JWT}`,
      },
    ]);
  });

  it('shows events as they came where there is no terminal, and none of their control characters', async () => {
    const hostile = event(1, { user_agent: 'a\u009b2J\u001b]0;b' });
    const server = await startTrailServer([pageOf([hostile])]);
    const { stdout } = await audit([], { COUNTERSIGN_URL: server.url });
    expect(JSON.parse(stdout)).toEqual(hostile);
    expect(stdout.trimEnd()).not.toMatch(/\p{Cc}/u);
  });

  it('follows until it is interrupted, and that is no failure', async () => {
    const server = await startTrailServer([pageOf([]), pageOf([event(1)], 'c1', false), pageOf([], 'c1', false)]);
    const { child, ended } = start(['--follow', '--json', '--url', server.url]);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ status: 0, stdout: `${JSON.stringify(event(1))}\n`, stderr: '' });
  });

  it('goes on without a gap or a double where it was killed, in a file that it keeps together with its place', async () => {
    const [out, place] = [path.join(root, 'followed'), path.join(root, 'place')];
    const replies = [pageOf([event(1)], 'c1', false), pageOf([event(2)], 'c2', false), pageOf([], 'c2', false)];
    const server = await startTrailServer(replies);
    const args = ['--follow', '--since', '2026-01-01', '--url', server.url, '--cursor-file', place, '--out', out];
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const { child, ended } = start(args);
      await expect
        .poll(() => existsSync(place) && readFileSync(place, 'utf8'))
        .toContain(signal === 'SIGKILL' ? 'c1' : 'c2');
      child.kill(signal);
      expect(await ended).toMatchObject({ status: signal === 'SIGKILL' ? null : 0, stderr: '' });
    }
    expect(readFileSync(out, 'utf8')).toBe([1, 2].map((seq) => `${JSON.stringify(event(seq))}\n`).join(''));
  });

  it('writes an export to a file of its owner alone, which is there once it is whole', async () => {
    const whole = `${JSON.stringify(event(1))}\n{"complete":true,"count":1,"next":null}\n`;
    const server = await startTrailServer([textOf(whole)]);
    const file = path.join(root, 'whole.ndjson');
    const { status, stdout, stderr } = await audit(['--url', server.url, '--export', 'ndjson', '--out', file]);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: `1 events in ${file}.\n` });
    expect(readFileSync(file, 'utf8')).toBe(whole);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('fails where an export is cut, and leaves no file of that name', async () => {
    const server = await startTrailServer([cutAfter(`${JSON.stringify(event(1))}\n`)]);
    const file = path.join(root, 'cut.ndjson');
    const { status, stderr } = await audit(['--url', server.url, '--export', 'ndjson', '--out', file]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^The export was cut off after \d events\. .*\n$/);
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(root).filter((name) => name.startsWith('cut'))).toEqual([]);
  });

  it.each(['ndjson', 'csv'])('fails where an export to a pipe is cut: %s', async (format) => {
    const server = await startTrailServer([cutAfter('')]);
    const { status, stderr } = await audit(['--url', server.url, '--export', format]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^The export was cut off after 0 events\. .*\n$/)]);
  });
});

describe('the JWT', () => {
  const answer = [pageOf([])];

  it('is read from a file', async () => {
    const server = await startTrailServer(answer);
    const file = path.join(root, 'jwt');
    writeFileSync(file, `${JWT}\n`);
    await audit(['--url', server.url, '--jwt-file', file], { COUNTERSIGN_JWT: '' });
    expect(server.asked[0]?.authorization).toBe(`Bearer ${JWT}`);
  });

  it('is read once from a pipe, which has no more, and serves each request', async () => {
    const server = await startTrailServer([pageOf([event(1)], 'c1'), pageOf([event(2)])]);
    const main = path.join(CHECKOUT, 'commands', 'audit', 'main.ts');
    const pipe = path.join(root, 'pipe');
    const script = 'mkfifo "$0" && { printf %s "$1" > "$0" & } && exec "$2" "$3" --url "$4" --jwt-file "$0"';
    const child = spawn('/bin/sh', ['-c', script, pipe, JWT, process.execPath, main, server.url], {
      env: { PATH: process.env['PATH'] },
      stdio: 'ignore',
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(server.asked.map(({ authorization }) => authorization)).toEqual([`Bearer ${JWT}`, `Bearer ${JWT}`]);
  });

  it('is made by the local issuer where a local service has one', async () => {
    const server = await startTrailServer(answer);
    const stateDir = path.join(root, 'state');
    const { publicJwk } = await openIssuer(stateDir);
    await audit(['--url', server.url], { COUNTERSIGN_JWT: '', STATE_DIR: stateDir });
    const jwt = server.asked[0]?.authorization?.replace('Bearer ', '') ?? '';
    const { payload } = await jwtVerify(jwt, createLocalJWKSet({ keys: [publicJwk] }));
    expect(payload).toMatchObject({ sub: 'local-auditor', role: 'auditor' });
  });

  it('of the local issuer goes to no other machine', async () => {
    const stateDir = path.join(root, 'state-of-another');
    await openIssuer(stateDir);
    const { status, stderr } = await audit(['--url', 'https://192.0.2.1'], {
      COUNTERSIGN_JWT: '',
      STATE_DIR: stateDir,
    });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^No JWT: /) });
  });

  it.each([
    [
      'is missing',
      [],
      { COUNTERSIGN_JWT: '' },
      /^No JWT: Set COUNTERSIGN_JWT, or name a file with --jwt-file, or what prints one with --jwt-command\./,
    ],
    ['is none', [], { COUNTERSIGN_JWT: 'sat_0123456789abcdef' }, /^COUNTERSIGN_JWT does not hold a JWT/],
    ['is in no file', ['--jwt-file', '/nowhere'], {}, /^\/nowhere cannot be read \(ENOENT\)/],
    [
      'would go unencrypted',
      ['--url', 'http://countersign.example'],
      {},
      /^http:\/\/countersign\.example is not encrypted/,
    ],
    ['would go nowhere', ['--url', 'countersign'], {}, /^"countersign" is no URL of a service/],
  ])('%s: one line, and nothing is sent', async (_name, args, environment: Record<string, string>, line) => {
    const server = await startTrailServer(answer);
    const { status, stdout, stderr } = await audit(args, { COUNTERSIGN_URL: server.url, ...environment });
    expect({ status, stdout, asked: server.asked.length }).toEqual({ status: 2, stdout: '', asked: 0 });
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toContain('sat_');
  });
});

describe('what is refused is said in one line that says what to do', () => {
  const html: Reply = (response) => void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>');
  const away: Reply = (response) => void response.writeHead(302, { Location: 'https://elsewhere.example' }).end();

  it.each<[string, Reply, RegExp]>([
    [
      '401',
      refusal(401, 'No.'),
      /^401: the JWT is not accepted\. No\. Name a fresh one.*COUNTERSIGN_JWT.*npm run -s token/,
    ],
    [
      '403 of somebody without a role',
      refusal(403, 'No role.', { code: 'no_role' }),
      /^403: No role\. This needs a role with the permission audit:read\.\n$/,
    ],
    [
      '403 that says what is missing',
      refusal(403, 'At most api:read.', { code: 'forbidden' }),
      /^403: At most api:read\.\n$/,
    ],
    [
      '400',
      refusal(400, 'x', { errors: { token_id: ['Use the id of a token.'], ip: ['Use one IP address.'] } }),
      /^400: token_id: Use the id of a token\.; ip: Use one IP address\./,
    ],
    [
      '409, with the page that explains it',
      refusal(409, 'No.', { help: '/docs/errors#revocation_pending' }),
      /^409: No\. See http:\/\/127\.0\.0\.1:\d+\/docs\/errors#revocation_pending\n$/,
    ],
    ['409, with a page elsewhere', refusal(409, 'No.', { help: '//elsewhere.example/docs/errors#x' }), /^409: No\.\n$/],
    ['500', refusal(500, 'Broken.\u001b[2J\nx'), /^500: Broken\.\ufffd\[2J\ufffdx\n$/],
    ['another service', html, /does not answer as Countersign does \(200, text\/html\)/],
    ['a redirect', away, /does not answer as Countersign does \(302/],
    [
      'a connection that breaks',
      (response) => void response.destroy(),
      /^Nothing answers at .* \([A-Z_]+\)\. Is it running/,
    ],
  ])('%s', async (_name, reply, line) => {
    const server = await startTrailServer([reply]);
    const { status, stdout, stderr } = await audit(['--url', server.url]);
    expect({ status, stdout, asked: server.asked.length }).toEqual({ status: 1, stdout: '', asked: 1 });
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^[^\n]+\n$/);
  });

  it('a service that is not running', async () => {
    const server = await startTrailServer([]);
    await server.stop();
    const { status, stderr } = await audit(['--url', server.url]);
    expect(status).toBe(1);
    expect(stderr).toBe(
      `Nothing answers at ${server.url} (ECONNREFUSED). Is it running? Another one is named by --url or COUNTERSIGN_URL.\n`,
    );
  });
});

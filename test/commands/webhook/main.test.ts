import { spawn } from 'node:child_process';
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../../local/settings.ts';
import { removeRunFile, writeRunFile } from '../../../local/state-dir.ts';
import { openWebhooks } from '../../../local/webhook-keys.ts';
import { startWebhookServer, type Received } from './webhook-server.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-webhook-'));
afterAll(() => rmSync(stateDir, { recursive: true }));
const webhooks = await openWebhooks(stateDir);
const SECRET = 'sat_0123456789abcdefghij';
const RECEIPT = { success: true, message: 'Accepted.', data: { delivery_id: 'd1' } };

async function webhook(args: readonly string[], { input = '', state = stateDir } = {}) {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'webhook', 'main.ts'), ...args], {
    env: { PATH: process.env['PATH'], STATE_DIR: state },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status]: unknown[] = await once(child, 'close');
  return { status, stdout, stderr };
}

/** What a standard delivery says, if it is signed as it must be. */
const contentOf = (name: keyof typeof webhooks.secrets, delivery: Received | undefined): unknown =>
  new Webhook(webhooks.secrets[name]).verify(delivery?.body ?? '', (delivery?.headers ?? {}) as Record<string, string>);

describe('npm run webhook', () => {
  it('sends a leak, with the secret from standard input, and shows the receipt', async () => {
    const server = await startWebhookServer(202, RECEIPT);
    const args = ['leak', '--token', '-', '--url', server.url, '--id', 'msg_1'];
    const { status, stdout, stderr } = await webhook(args, { input: `${SECRET}\n` });
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'HTTP 202 Accepted, webhook-id msg_1\n' });
    expect(JSON.parse(stdout)).toEqual(RECEIPT);
    expect(server.received.map((delivery) => delivery.path)).toEqual(['POST /webhooks/scanner']);
    expect(contentOf('WEBHOOK_SCANNER', server.received[0])).toMatchObject({
      type: 'token.leaked',
      data: { token: SECRET },
    });
  });

  it('sends GitHub’s message', async () => {
    const server = await startWebhookServer(200, [{ label: 'true_positive' }]);
    const { status, stdout, stderr } = await webhook([
      'leak',
      '--kind',
      'github',
      '--token',
      SECRET,
      '--url',
      server.url,
    ]);
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: '[{"label":"true_positive"}]\n',
      stderr: 'HTTP 200 OK\n',
    });
    const [{ headers, body, path: target }] = server.received as [Received];
    expect(target).toBe('POST /webhooks/github');
    const signature = Buffer.from(String(headers['github-public-key-signature']), 'base64');
    expect(verify('sha256', body, webhooks.github.publicKey.key, signature)).toBe(true);
  });

  it('finds the service of the state directory, and gives each delivery an id', async () => {
    const server = await startWebhookServer(202, RECEIPT);
    writeRunFile(stateDir, { pid: 1, workerdPid: 1, url: server.url, simulatorUrl: null });
    const { status, stderr } = await webhook(['offboard', '--subject', 'ada', '--mode', 'suspend']);
    removeRunFile(stateDir);
    expect(status).toBe(0);
    const id = String(server.received[0]?.headers['webhook-id']);
    expect(stderr).toBe(`HTTP 202 Accepted, webhook-id ${id}\n`);
    expect(id).toMatch(/^msg_[0-9a-f-]{36}$/);
    expect(contentOf('WEBHOOK_HR', server.received[0])).toMatchObject({ data: { subject: 'ada', mode: 'suspend' } });
  });

  it.each([
    [
      422,
      { success: false, message: 'No.', errors: { 'data.token_id': ['Use the id of a token.'] } },
      /^422: No\. data\.token_id: Use the id of a token\.$/,
    ],
    [
      401,
      { success: false, message: 'Not signed.' },
      /^401: Not signed\. The sender signs with another secret\. If .* another STATE_DIR, name that/,
    ],
    [500, { success: false, message: 'Broken.\u001b[2J\nx' }, /^500: Broken\.\ufffd\[2J\ufffdx$/],
    [
      409,
      { success: false, message: 'Known.', help: '/docs/errors#id_reused' },
      /^409: Known\. See http:\/\/127\.0\.0\.1:\d+\/docs\/errors#id_reused$/,
    ],
    [404, '<html>', /does not answer as Countersign does \(404\): check --url\.$/],
    [302, { success: true, message: 'x' }, /^302: x$/],
  ])('fails where the answer is %i, with one line that says why', async (code, answer, line) => {
    const server = await startWebhookServer(code, answer, { Location: 'https://elsewhere.example' });
    const { status, stdout, stderr } = await webhook(['revoke', '--token-id', 'tok-1', '--url', server.url]);
    expect(status).toBe(1);
    const [statusLine, problem, ...rest] = stderr.split('\n');
    expect(statusLine).toMatch(new RegExp(`^HTTP ${code} `));
    expect(problem).toMatch(line);
    expect(rest).toEqual(['']);
    expect(stdout.trimEnd()).not.toMatch(/\p{Cc}/u);
    expect(server.received).toHaveLength(1);
  });

  it('says that nothing runs there', async () => {
    const server = await startWebhookServer(202, RECEIPT);
    await server.stop();
    const { status, stderr } = await webhook(['revoke', '--token-id', 'tok-1', '--url', server.url]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `Nothing answers at ${server.url}. Is it running? Another one is named by --url or COUNTERSIGN_URL.\n`,
    });
  });

  it.each([
    [
      'a service elsewhere',
      ['--url', 'https://192.0.2.1'],
      stateDir,
      2,
      /^https:\/\/192\.0\.2\.1 takes what its own senders sign: .*--secret-file/,
    ],
    ['one without encryption', ['--url', 'http://192.0.2.1'], stateDir, 2, /^http:\/\/192\.0\.2\.1 is not encrypted/],
    ['no URL', ['--url', 'countersign'], stateDir, 2, /^"countersign" is no URL of a service/],
    ['no keys', [], path.join(stateDir, 'none'), 1, /^There are no webhook keys in /],
    ['a secret that is none', ['--secret-file', '/dev/null/x'], stateDir, 2, /--secret-file/],
  ])('sends nothing to %s, and makes no keys', async (_name, more, state, code, line) => {
    const { status, stdout, stderr } = await webhook(['leak', '--token', SECRET, ...more], { state });
    expect({ status, stdout }).toEqual({ status: code, stdout: '' });
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toMatch(/sat_|whsec_/);
  });

  it('signs as another sender, with the secret in a file', async () => {
    const server = await startWebhookServer(202, RECEIPT);
    const file = path.join(stateDir, 'their-secret');
    writeFileSync(file, `${webhooks.secrets.WEBHOOK_HR}\n`);
    const args = ['leak', '--token', '-', '--url', server.url, '--source', 'vault-scanner', '--secret-file', file];
    expect(await webhook(args, { input: SECRET, state: '/proc/none' })).toMatchObject({ status: 0 });
    expect(server.received.map((delivery) => delivery.path)).toEqual(['POST /webhooks/vault-scanner']);
    expect(contentOf('WEBHOOK_HR', server.received[0])).toMatchObject({
      type: 'token.leaked',
      data: { token: SECRET },
    });
  });

  it('shows its help', async () => {
    const { status, stdout } = await webhook(['--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^usage: npm run -s webhook -- leak --token SECRET\|-/);
  });
});

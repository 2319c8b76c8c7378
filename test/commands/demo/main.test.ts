import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it } from 'vitest';
import type { Asker } from '../../../commands/demo/steps.ts';
import { LOCAL_ISSUER, openIssuer } from '../../../local/issuer.ts';
import { openPeople } from '../../../local/people/keys.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { removeRunFile, writeRunFile } from '../../../local/state-dir.ts';
import { openWebhooks } from '../../../local/webhook-keys.ts';
import { startLoopbackServer, type LoopbackServer } from '../loopback-server.ts';
import { createDemoService, type DemoService } from './demo-service.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-demo-'));
afterAll(() => rmSync(stateDir, { recursive: true }));
const { publicJwk } = await openIssuer(stateDir);
const { secrets } = await openWebhooks(stateDir);
const people = await openPeople(stateDir, 'http://localhost:8789');

async function demo() {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'demo', 'main.ts')], {
    env: { PATH: process.env['PATH'], STATE_DIR: stateDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { status: status as unknown, stdout, stderr };
}

const TOKENS = '/api/v1/service-account-tokens';
/** What the members of a company that is there since an earlier run are answered. */
const COMPANY: Readonly<Record<string, readonly [status: number, body: object]>> = {
  'ada GET /api/v1/inventory': [200, { data: [{ name: 'nightly-backup' }], pagination: { next_cursor: null } }],
  [`linus GET ${TOKENS}`]: [200, { data: { tokens: [], total: 0 } }],
  [`shop-ci GET ${TOKENS}`]: [200, { data: { tokens: [], total: 0 } }],
  'grace GET /api/v1/audit/events': [200, { data: [], pagination: { next_cursor: null } }],
  'grace GET /api/v1/audit/counts': [200, { data: [] }],
  [`shop-ci POST ${TOKENS}`]: [403, { code: 'forbidden', message: 'No role allows it.' }],
  [`grace POST ${TOKENS}`]: [403, { code: 'forbidden', message: 'No role allows it.' }],
  [`linus GET ${TOKENS}/1f0c7f2e-0000-4000-8000-00000000dead`]: [404, { code: 'not_found', message: 'No such.' }],
  [`margaret GET ${TOKENS}`]: [403, { code: 'subject_blocked', message: 'Offboarded.' }],
  [`contractor GET ${TOKENS}`]: [403, { code: 'no_role', message: 'No role.' }],
  'scanner POST subject.offboarded': [200, { data: {} }],
  'somebody POST token.leaked': [401, { code: 'invalid_signature', message: 'Signed by somebody else.' }],
};

/**
 * The service over HTTP, which takes nothing but JWTs of the issuers and deliveries that are rightly signed.
 *
 * @param atWork takes what the company asks.
 */
async function serve(service: DemoService, atWork: string[] = []): Promise<LoopbackServer> {
  return await startLoopbackServer((request, response) => {
    void (async () => {
      const body = await text(request);
      const { method = '', url = '' } = request;
      const isSigned = url.startsWith('/webhooks/');
      const member = await memberOf(request, body);
      if (member !== null) {
        atWork.push(member);
        const [status, answered] = COMPANY[member] ?? [500, {}];
        const envelope = { success: status === 200, message: 'Done', ...answered };
        response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(envelope));
        return;
      }
      const asker = isSigned
        ? 'scanner'
        : await askerOf(request.headers.authorization?.replace('Bearer ', '') ?? '').catch(() => null);
      if (isSigned) new Webhook(secrets.WEBHOOK_SCANNER).verify(body, request.headers as Record<string, string>);
      const parsed: unknown = body === '' ? undefined : JSON.parse(body);
      if (asker === null) response.writeHead(401).end('{}');
      else {
        const answer = service.answer({ asker, method, path: url, body: parsed });
        response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(answer.text);
      }
    })().catch((error: unknown) => response.writeHead(500).end(JSON.stringify(String(error))));
  });
}

/** What a member of the company asks, or null for what the first look itself does. */
async function memberOf({ headers, method, url = '' }: IncomingMessage, body: string): Promise<string | null> {
  if (url.startsWith('/webhooks/')) {
    const { type, data }: { readonly type: string; readonly data: object } = JSON.parse(body);
    const isForged = JSON.stringify(data).includes('sat_0000');
    return isForged ? `somebody ${method} ${type}` : type === 'subject.offboarded' ? `scanner ${method} ${type}` : null;
  }
  if (headers['user-agent'] === 'countersign-demo') return null;
  const jwt = headers.authorization?.replace('Bearer ', '') ?? '';
  const keys = createLocalJWKSet({ keys: [publicJwk, people.publicJwk] });
  const { payload } = await jwtVerify<{ readonly email?: string }>(jwt, keys);
  // People are of the issuer that they sign in at, and programs are not.
  expect(payload.iss).toBe(payload.email === undefined ? LOCAL_ISSUER : people.issuer);
  return `${payload.sub} ${method} ${url.split('?', 1)[0]}`;
}

async function askerOf(jwt: string): Promise<Asker> {
  await jwtVerify(jwt, createLocalJWKSet({ keys: [publicJwk] }));
  return decodeJwt<{ role: Asker }>(jwt).role;
}

const announce = (url: string, simulatorUrl: string | null = 'http://127.0.0.1:1'): void =>
  writeRunFile(stateDir, { pid: 1, workerdPid: 1, url, simulatorUrl, peopleIssuer: people.issuer });

describe('npm run demo', () => {
  it('plays on the service of the state directory, as its issuer and its scanner', async () => {
    const service = createDemoService();
    const atWork: string[] = [];
    const { url } = await serve(service, atWork);
    announce(url);
    const { status, stdout, stderr } = await demo();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^ {3}< 403 {2}forbidden: /m);
    expect(stdout).toMatch(/^ {3}< 200 {2}Confirmed: PipeOps revoked token demo-000… 12 ms after /m);
    expect(stdout).not.toContain('SECRET');
    expect(stdout).toContain(
      `   It is there since an earlier run, and has worked on.\n   See it in the console: ${url}/console\n`,
    );
    expect(atWork).toEqual(Object.keys(COMPANY));
    expect(service.asked.map(({ asker, method }) => `${asker} ${method}`)).toEqual([
      'ci GET',
      'ci POST',
      'ci POST',
      'scanner POST',
      'auditor GET',
      'ci POST',
      'ci DELETE',
      'auditor GET',
    ]);
  });

  it('leaves no token alive where its reader has seen enough', async () => {
    const service = createDemoService();
    announce((await serve(service)).url);
    const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'demo', 'main.ts')], {
      env: { PATH: process.env['PATH'], STATE_DIR: stateDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    expect({ status: status as unknown, stderr }).toEqual({ status: 0, stderr: '' });
    expect(service.asked.map(({ asker, method }) => `${asker} ${method}`)).toContain('ci DELETE');
  });

  it('fails with one line where a step does not come out as expected', async () => {
    const service = createDemoService(({ path: target }) =>
      target === '/api/v1/whoami' ? { status: 500, headers: new Headers(), text: '', json: undefined } : undefined,
    );
    announce((await serve(service)).url);
    expect(await demo()).toMatchObject({
      status: 1,
      stderr: 'Step 1 did not come out as expected: 200 was expected, and the answer is 500.\n',
    });
  });

  it('says what to do where nothing runs', async () => {
    removeRunFile(stateDir);
    expect(await demo()).toEqual({
      status: 1,
      stdout: '',
      stderr: `Nothing runs on ${stateDir}. Start the service first: npm start (with the same STATE_DIR, if you set one).\n`,
    });
  });

  it('says what to do where what ran was killed', async () => {
    const server = await startLoopbackServer(() => {});
    await server.stop();
    announce(server.url);
    const { status, stderr } = await demo();
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `Nothing answers at ${server.url}. Start the service first: npm start\n`,
    });
  });

  it('mints nothing at a PipeOps that is not the simulator', async () => {
    const service = createDemoService();
    announce((await serve(service)).url, null);
    const { status, stderr } = await demo();
    expect({ status, asked: service.asked.length }).toEqual({ status: 1, asked: 0 });
    expect(stderr).toMatch(/^The service at \S+ works on a PipeOps that is not the simulator, [^\n]+\n$/);
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it } from 'vitest';
import type { Asker } from '../../../commands/demo/steps.ts';
import { openIssuer } from '../../../local/issuer.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { removeRunFile, writeRunFile } from '../../../local/state-dir.ts';
import { openWebhooks } from '../../../local/webhook-keys.ts';
import { startLoopbackServer, type LoopbackServer } from '../loopback-server.ts';
import { createDemoService, type DemoService } from './demo-service.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-demo-'));
afterAll(() => rmSync(stateDir, { recursive: true }));
const { publicJwk } = await openIssuer(stateDir);
const { secrets } = await openWebhooks(stateDir);

async function demo() {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'commands', 'demo', 'main.ts')], {
    env: { PATH: process.env['PATH'], STATE_DIR: stateDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { status: status as unknown, stdout, stderr };
}

/** The service over HTTP, which takes nothing but JWTs of the issuer and deliveries that are rightly signed. */
async function serve(service: DemoService): Promise<LoopbackServer> {
  return await startLoopbackServer((request, response) => {
    void (async () => {
      const body = await text(request);
      const { method = '', url = '' } = request;
      const isSigned = url.startsWith('/webhooks/');
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

async function askerOf(jwt: string): Promise<Asker> {
  await jwtVerify(jwt, createLocalJWKSet({ keys: [publicJwk] }));
  return decodeJwt<{ role: Asker }>(jwt).role;
}

const announce = (url: string, simulatorUrl: string | null = 'http://127.0.0.1:1'): void =>
  writeRunFile(stateDir, { pid: 1, workerdPid: 1, url, simulatorUrl });

describe('npm run demo', () => {
  it('plays on the service of the state directory, as its issuer and its scanner', async () => {
    const service = createDemoService();
    announce((await serve(service)).url);
    const { status, stdout, stderr } = await demo();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^ {3}< 403 {2}forbidden: /m);
    expect(stdout).toMatch(/^ {3}< 200 {2}Confirmed: PipeOps revoked token demo-000… 12 ms after /m);
    expect(stdout).not.toContain('SECRET');
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

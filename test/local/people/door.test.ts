import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, it } from 'vitest';
import { openDoor } from '../../../local/people/door.ts';
import { startProvider } from '../../../local/people/process.ts';
import { openSignIn } from '../../../local/people/sign-in.ts';
import { CHECKOUT } from '../../../local/settings.ts';
import { freePorts } from '../../e2e/service.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-door-'));
afterAll(() => rmSync(folder, { recursive: true }));

const upstream = { kind: 'simulator', port: 1, workspaceUuid: 'w' } as const;

const all = Object.values(networkInterfaces()).flatMap((of = []) => of.map(({ address }) => address));
const addresses = ['127.0.0.1', '::1'].filter((address) => all.includes(address));

describe('the door of the OpenID provider', () => {
  it.each(addresses)('that somebody else has at %s is one line, and no error', async (host) => {
    const other = createServer();
    await once(other.listen(0, host), 'listening');
    const address = other.address();
    const oidcPort = typeof address === 'object' && address !== null ? address.port : 0;
    const signIn = await openSignIn({
      settings: { port: 8_787, oidcPort, stateDir: folder, upstream },
      log: () => {},
      onStop: () => {},
    });
    expect(signIn).toEqual({
      people: null,
      problem: expect.stringMatching(
        new RegExp(
          `^Nobody can sign in at the console, because port ${oidcPort} is already taken\\. Choose another, e\\.g\\. OIDC_PORT=\\d+\\. JWTs work all the same\\.$`,
        ),
      ),
    });
    other.close();
  });

  it.each([
    [
      'that says why',
      "process.stderr.write('a warning\\nThe key is damaged.\\n'); process.exit(1);",
      'The key is damaged.',
    ],
    ['that says nothing', 'process.exit(1);', 'it said no reason.'],
  ])('tells of a provider %s in one line, and tries again', async (_name, program, reason) => {
    const script = path.join(folder, 'broken.mjs');
    writeFileSync(script, program);
    const { people: port } = await freePorts();
    const told: string[] = [];
    const facts = {
      stateDir: folder,
      issuer: 'http://localhost:1',
      consoleOrigins: [],
      code: null,
      log: () => {},
      script,
    };
    const door = await openDoor({
      port,
      start: async () => await startProvider(facts),
      tell: (line) => told.push(line),
    });
    const line = `Nobody can sign in at the console, because its OpenID provider did not start: ${reason} JWTs work all the same. The next sign-in tries again.`;
    for (const lines of [[line], [line, line]]) {
      const answer = await fetch(`http://localhost:${port}/`, { headers: { Connection: 'close' } });
      expect([answer.status, await answer.text()]).toEqual([
        503,
        'The OpenID provider of this local run did not start. The terminal of npm start says why.\n',
      ]);
      expect(told).toEqual(lines);
    }
    await door.close();
  });

  it('asks for a code beside a PipeOps that is not the simulator, and says so', async () => {
    const { people: oidcPort } = await freePorts();
    const steps: (() => Promise<void>)[] = [];
    const signIn = await openSignIn({
      settings: {
        port: 8_787,
        oidcPort,
        stateDir: folder,
        upstream: { kind: 'configured', apiUrl: 'https://api.example', adminToken: 'x', workspaceUuid: null },
      },
      log: () => {},
      onStop: (step) => void steps.push(step),
    });
    expect(signIn).toMatchObject({
      people: { issuer: `http://localhost:${oidcPort}` },
      code: expect.stringMatching(/^[\w-]{12}$/),
    });
    for (const step of steps) await step();
  });
});

it('the provider ends when its standard input does, so that a SIGKILL of npm start leaves none behind', async () => {
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'local', 'people', 'main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      STATE_DIR: folder,
      OIDC_ISSUER: 'http://localhost:1',
      CONSOLE_ORIGINS: 'http://127.0.0.1:8787',
      SIGN_IN_CODE: '',
    },
  });
  await once(child.stdout, 'data');
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([0, null]);
});

it('the provider says in a line what is damaged', async () => {
  const stateDir = mkdtempSync(path.join(folder, 'damaged-'));
  writeFileSync(path.join(stateDir, 'people.jwk.json'), '{}');
  const child = spawn(process.execPath, [path.join(CHECKOUT, 'local', 'people', 'main.ts')], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: {
      ...process.env,
      STATE_DIR: stateDir,
      OIDC_ISSUER: 'http://localhost:1',
      CONSOLE_ORIGINS: 'http://127.0.0.1:8787',
      SIGN_IN_CODE: '',
    },
  });
  const [said, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect(exitCode).toBe(1);
  expect(said).toMatch(/^\S+people\.jwk\.json is not the key of a local issuer\. Delete it: [^\n]+\n$/);
});

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Cloudflare } from '../../../commands/cloudflare/account.ts';
import { checkConfiguration } from '../../../commands/cloudflare/configuration.ts';
import { pendingMigrations } from '../../../commands/cloudflare/database.ts';
import { lockSetup } from '../../../commands/cloudflare/kept-secrets.ts';
import { waitUntilReady } from '../../../commands/cloudflare/readiness.ts';
import { readSection } from '../../../commands/cloudflare/section.ts';
import { WRANGLER_TOML } from '../../../local/wrangler.ts';

// What setup and deploy look at before they change something, and after.

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-checks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sectionWith(variable: string) {
  const file = path.join(folder, 'wrangler.toml');
  const config = readFileSync(WRANGLER_TOML, 'utf8');
  writeFileSync(file, config.replace('[env.staging.vars]', `[env.staging.vars]\n${variable}`));
  return readSection(file, 'staging');
}

describe('the configuration', () => {
  it('of the checkout starts, with the secrets that setup sets', async () => {
    const { policy } = await checkConfiguration(readSection(WRANGLER_TOML, 'production'));
    expect(policy.roles.length).toBeGreaterThan(0);
  });

  it.each([
    ['a secret in [vars]', 'PIPEOPS_ADMIN_TOKEN = "x"', /PIPEOPS_ADMIN_TOKEN is in \[env\.staging\.vars\]/],
    [
      'a setting that the Worker refuses',
      'RECONCILE_AFTER_SECONDS = "1"',
      /RECONCILE_AFTER_SECONDS is below 45.*\n {4}correct: /,
    ],
    ['a policy that the Worker refuses', 'POLICY = "{}"', /would not start[\s\S]*POLICY: issuers/],
  ])('with %s is refused', async (_case, variable, message) => {
    await expect(checkConfiguration(sectionWith(variable))).rejects.toThrow(message);
  });
});

it('a second setup of a section at once is refused: it would generate other secrets', () => {
  lockSetup(sectionWith(''));
  expect(() => lockSetup(sectionWith(''))).toThrow(/Another setup of \[env\.staging\] runs/);
});

describe('the migrations', () => {
  const migrationsDir = path.join(folder, 'migrations');
  mkdirSync(path.join(migrationsDir, 'meta'), { recursive: true });
  for (const name of ['0001_b.sql', '0000_a.sql', '0002_c.sql', 'notes.txt'])
    writeFileSync(path.join(migrationsDir, name), '');
  const cloudflare = { section: { ...readSection(WRANGLER_TOML, 'staging'), migrationsDir } } as Cloudflare;

  it.each([
    [[], ['0000_a.sql', '0001_b.sql', '0002_c.sql']],
    [['0000_a.sql'], ['0001_b.sql', '0002_c.sql']],
    [['0000_a.sql', '0001_b.sql', '0002_c.sql'], []],
  ])('that %j lacks are %j', (applied, pending) => {
    expect(pendingMigrations(cloudflare, applied)).toEqual(pending);
  });

  it('of a database that is newer than the checkout are refused', () => {
    expect(() => pendingMigrations(cloudflare, ['0000_a.sql', '0003_of_tomorrow.sql'])).toThrow(
      /lacks \(0003_of_tomorrow\.sql\)[\s\S]*npx wrangler rollback --config wrangler\.toml --env staging/,
    );
  });
});

describe('readiness', () => {
  async function readinessOf(patienceMs: number, answer: RequestListener) {
    const server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const told: string[] = [];
    const { port } = server.address() as AddressInfo;
    const readiness = await waitUntilReady(`http://127.0.0.1:${port}`, patienceMs, (reason) => told.push(reason));
    server.closeAllConnections();
    server.close();
    return { readiness, told };
  }
  const json =
    (status: number, body: object): RequestListener =>
    (_request, response) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };

  it('is what /readyz says, with what needs somebody to look into it', async () => {
    const { readiness } = await readinessOf(0, (request, response) => {
      expect(request.url).toBe('/readyz');
      json(200, { success: true, data: { degraded: ['d1_size'] } })(request, response);
    });
    expect(readiness).toEqual({ ready: true, degraded: ['d1_size'] });
  });

  it('is waited for', async () => {
    let asked = 0;
    const { readiness, told } = await readinessOf(60_000, (request, response) => {
      asked += 1;
      if (asked === 1) json(503, { success: false, message: 'Not ready: d1.' })(request, response);
      else json(200, { success: true, data: { degraded: [] } })(request, response);
    });
    expect([readiness, told]).toEqual([{ ready: true, degraded: [] }, ['it answers 503: Not ready: d1.']]);
  });

  it.each([
    ['another service', 200, {}, 'it answers 200: which is no answer of Countersign'],
    ['a redirect to a login', 302, {}, 'it answers 302: which is no answer of Countersign'],
    [
      'a service that is not configured',
      500,
      { success: false, message: 'Not configured.', help: '/docs/errors#configuration_invalid' },
      expect.stringMatching(/^it answers 500: Not configured\. See http:\/\/\S+\/docs\/errors#configuration_invalid$/),
    ],
  ])('is not concluded from %s', async (_case, status, body, reason) => {
    expect((await readinessOf(0, json(status, body))).readiness).toEqual({ ready: false, reason });
  });

  it('says why nothing answers', async () => {
    const readiness = await waitUntilReady('http://127.0.0.1:1', 0, () => {});
    expect(readiness).toEqual({
      ready: false,
      reason: expect.stringMatching(/does not answer: (ECONNREFUSED|bad port)/),
    });
  });
});

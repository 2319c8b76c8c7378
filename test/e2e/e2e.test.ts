import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';
import { withToken } from '../../samples/fetch.ts';
import { createClient, jsonOf, TOKENS } from './client.ts';
import { deliveryIdIn, readDelivery } from './deliveries.ts';
import { environmentOf, pipeline, run, runWorkflow } from './samples.ts';
import { until } from './until.ts';
import { createWatchedService, describeEnd } from './watched-service.ts';

// The product as a person runs it: `npm start`, real HTTP, real workerd, real D1 files. The cases build on one another.

/** In a token's name, so that it is stored: what the scan must be able to find. */
const PLANTED = 'planted-3f9c1d77';

/** GitHub's runners have it; a machine that runs the tests may not. */
const hasJq = spawnSync('jq', ['--version']).status === 0;

const watched = await createWatchedService('e2e');
const { service, admin, ci, secrets, outputs, stateDir, deletesOf } = watched;

/** `npm run webhook -- leak --token -` as a person runs it. */
async function leakByCommand(secret: string, id: string): Promise<{ stdout: string; stderr: string }> {
  const args = ['run', '-s', 'webhook', '--', 'leak', '--token', '-', '--id', id];
  const running = promisify(execFile)('npm', args, { cwd: CHECKOUT, env: { ...process.env, STATE_DIR: stateDir } });
  running.child.stdin?.end(secret);
  const output = await running;
  outputs.push(output.stdout, output.stderr);
  return output;
}

/** A transcript of the demo without what differs from one run to another. */
const withoutChance = (transcript: string): string =>
  transcript
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}…/g, '<id>')
    .replaceAll(/sat_[\w-]+…/g, '<secret>')
    .replaceAll(/\d+ ms|(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d/g, '<time>');

beforeAll(watched.start, 120_000);
afterAll(watched.cleanUp, 30_000);

describe('npm start', () => {
  it('serves all five operations, and each is in the trail', async () => {
    const { id, secret } = await ci().create(PLANTED);
    expect(jsonOf(await ci().send('GET', TOKENS))).toMatchObject({
      data: { tokens: [{ id, name: PLANTED }], total: 1 },
    });
    expect(jsonOf(await ci().send('GET', `${TOKENS}/${id}`))).toMatchObject({ data: { token: { id, name: PLANTED } } });
    const renamed = { name: `${PLANTED}-2` };
    expect(jsonOf(await admin().send('PATCH', `${TOKENS}/${id}`, renamed))).toMatchObject({ data: { token: renamed } });
    expect(jsonOf(await ci().send('DELETE', `${TOKENS}/${id}`))).toMatchObject({ success: true });
    expect((await ci().send('GET', `${TOKENS}/${id}`)).status).toBe(404);

    const [token] = await service().control.tokens();
    expect(token).toMatchObject({ id, secret, is_revoked: true });
    expect((await admin().events()).map(({ action, status }) => `${action} ${status}`)).toEqual([
      'service_account_token.get failure',
      'service_account_token.revoke success',
      'service_account_token.update success',
      'service_account_token.get success',
      'service_account_token.list success',
      'service_account_token.create success',
    ]);
  });

  it('prints lines that create, list and revoke a token and show the trail when they are pasted', async () => {
    const lines = service().output().slice(service().output().indexOf('\nURL='));
    const { stdout } = await promisify(execFile)('sh', ['-ec', lines]);
    const [creation, list, revocation, trail, ...rest] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { id, token } = creation.data;
    secrets.add(token);
    expect(list.data.tokens.map((listed: { id: string }) => listed.id)).toContain(id);
    expect(revocation).toMatchObject({ success: true });
    expect((await service().control.tokens()).find((held) => held.id === id)).toMatchObject({ is_revoked: true });
    expect(trail.data[0]).toMatchObject({ action: 'service_account_token.revoke', status: 'success', token_id: id });
    expect(rest).toEqual([]);
  });

  it('is shown at a first look by npm run demo, as README has it, and has a company in it afterwards', async () => {
    const before = new Set((await service().control.tokens()).map(({ id }) => id));
    const demo = ['run', '-s', 'demo'];
    // It fails where its exit code is not 0.
    const { stdout, stderr } = await promisify(execFile)('npm', demo, {
      cwd: CHECKOUT,
      env: { ...process.env, STATE_DIR: stateDir },
    });
    outputs.push(stdout, stderr);
    expect(stdout).toMatch(/^ {3}< 201 {2}Token /m);
    expect(stdout).toMatch(/^ {3}< 403 {2}forbidden: /m);
    expect(stdout).toMatch(/^ {3}< 200 {2}Confirmed: PipeOps revoked token /m);
    const rows = stdout.split('\n').filter((line) => /^ +\d\d:\d\d:\d\d /.test(line));
    expect(rows.map((row) => row.trim().split(/ {2,}/).slice(1, 4).join(' '))).toEqual([
      'service_account_token.create success local-ci',
      'service_account_token.create failure local-ci',
      'webhook.receive success scanner',
      'service_account_token.revoke success scanner',
      'service_account_token.create success local-ci',
      'service_account_token.revoke success local-ci',
    ]);
    const readme = readFileSync(path.join(CHECKOUT, 'README.md'), 'utf8');
    expect(withoutChance(readme)).toContain(`\`\`\`\n${withoutChance(stdout)}\`\`\``);
    const minted = (await service().control.tokens()).filter(({ id }) => !before.has(id));
    const ofTheLook = minted.filter(({ name }) => name.startsWith('demo'));
    expect(ofTheLook).toMatchObject([{ is_revoked: true }, { is_revoked: true }]);

    // What the console shows then: one that was leaked, two of somebody who left, one of a job that is done; two are suspended.
    const company = minted.filter((token) => !ofTheLook.includes(token));
    expect(company).toHaveLength(18);
    const named = (tokens: typeof minted): string[] =>
      tokens.map(({ name }) => name.replace(/-csgn-\w+$/, '')).toSorted();
    expect(named(company.filter((token) => token.is_revoked))).toEqual([
      'deploy-shop-1841',
      'margaret-laptop',
      'migration',
      'release-notes-script',
    ]);
    expect(named(company.filter((token) => !token.is_active && !token.is_revoked))).toEqual([
      'jenkins-deploy',
      'load-test',
    ]);
    expect(named(company.filter((token) => token.expires_at === null))).toEqual(['nightly-backup']);
  });

  it('answers the question that README asks the trail after the demo', async () => {
    const readme = readFileSync(path.join(CHECKOUT, 'README.md'), 'utf8');
    const [, command = '', answer = ''] = /^npm (run -s audit .*)\n```\n\n```\n(.*?)^```$/ms.exec(readme) ?? [];
    const env = { ...process.env, STATE_DIR: stateDir };
    // A terminal shows as many columns as it has room for.
    const { stdout } = await promisify(execFile)('npm', [...command.split(' '), '--table'], { cwd: CHECKOUT, env });
    outputs.push(stdout);
    /** Columns are as wide as what stands in them. */
    const narrow = (table: string): string => withoutChance(table).replaceAll(/ {2,}/g, '  ');
    const lines = narrow(stdout).split('\n');
    for (const [index, line] of narrow(answer).trimEnd().split('\n').entries())
      expect(lines[index]?.slice(0, line.length)).toBe(line);
    expect(answer).toMatch(/success {2,}scanner/);
  });

  describe('in the samples', () => {
    /** The tokens that a sample minted. */
    const mintedBy = async (sample: () => Promise<unknown>) => {
      const before = new Set((await service().control.tokens()).map(({ id }) => id));
      await sample();
      return (await service().control.tokens()).filter(({ id }) => !before.has(id));
    };
    const revoked = { is_revoked: true };

    it('mints and revokes by curl', async () => {
      const env = environmentOf(pipeline(service()));
      const minted = await mintedBy(async () => outputs.push(await run(['sh', 'curl.sh'], { env })));
      expect(minted).toMatchObject([revoked]);
    });

    it('mints and revokes by fetch', async () => {
      const { url, ciJwt } = service();
      const minted = await mintedBy(async () => {
        expect(await withToken(fetch, url, ciJwt, async (secret) => await Promise.resolve(secret.length))).toBe(44);
      });
      expect(minted).toMatchObject([revoked]);
    });

    it.runIf(hasJq)('mints, uses and revokes in the steps of a GitHub Actions job', async () => {
      const minted = await mintedBy(async () => {
        const script = ['deploy.sh', 'printf %s "$PIPEOPS_TOKEN" | cut -c 1-4'] as const;
        const job = { workflow: 'github-actions.yml', script, id: '1795877334' };
        const [, used] = await runWorkflow(pipeline(service()), job);
        expect(used).toBe('sat_\n');
      });
      expect(minted).toMatchObject([{ ...revoked, name: expect.stringMatching(/^deploy-1795877334/) }]);
    });

    it.runIf(hasJq)(
      'rotates a token each month in a GitHub Actions job, and gives a second attempt the same one',
      async () => {
        const store = mkdtempSync(path.join(tmpdir(), 'countersign-store-'));
        const kept = path.join(store, 'token');
        /** The secret that the app reads after a run. */
        const after = async (id: string): Promise<string> => {
          const script = ['store-token.sh', `cat > '${kept}'`] as const;
          const shown = await runWorkflow(pipeline(service()), { workflow: 'github-actions-rotate.yml', script, id });
          // A runner takes these lines out, and whatever they name out of all others.
          outputs.push(...shown.map((text) => text.replaceAll(/^::add-mask::.*$/gm, '')));
          return readFileSync(kept, 'utf8');
        };
        const minted = await mintedBy(async () => {
          const first = await after('1');
          const second = await after('2');
          expect(await after('2')).toBe(second);
          expect(second).not.toBe(first);
          // The old token has its successor already.
          await expect(after('3')).rejects.toMatchObject({ stdout: expect.stringContaining('not_rotatable') });
          expect(readFileSync(kept, 'utf8')).toBe(second);
        });
        rmSync(store, { recursive: true });
        expect(minted).toMatchObject([{ name: expect.stringMatching(/^nightly-sync/) }, { is_revoked: false }]);
      },
    );
  });

  it('gives its least-privileged caller no more than its role grants', async () => {
    const { id } = await admin().create('of-the-administrator');
    expect((await ci().send('DELETE', `${TOKENS}/${id}`)).status).toBe(404);
    expect((await ci().send('PATCH', `${TOKENS}/${id}`, { name: 'mine' })).status).toBe(403);
    expect((await ci().send('GET', '/api/v1/audit/events')).status).toBe(403);
    expect((await createClient(service(), 'nonsense').send('GET', TOKENS)).status).toBe(401);
  });

  it('revokes a leaked token at the word of a webhook, once however often it is sent', async () => {
    const { id, secret } = await admin().create('leaked');
    const webhookId = `msg_${crypto.randomUUID()}`;
    const first = await leakByCommand(secret, webhookId);
    expect(first.stderr).toBe(`HTTP 202 Accepted, webhook-id ${webhookId}\n`);
    const deliveryId = deliveryIdIn(first.stdout);
    const done = await until('the confirmation', async () => {
      const read = await readDelivery(admin(), deliveryId);
      return read.revocations.every((revocation) => revocation.confirmed_at !== null) && read;
    });
    expect(done).toMatchObject({ id: deliveryId, sender_id: webhookId });
    expect(done.revocations).toMatchObject([{ token_id: id, state: 'confirmed', result: 'revoked' }]);
    const token = async () => (await service().control.tokens()).find((held) => held.id === id);
    expect(await token()).toMatchObject({ is_revoked: true });

    const again = await leakByCommand(secret, webhookId);
    expect([again.stderr, deliveryIdIn(again.stdout)]).toEqual([first.stderr, deliveryId]);
    service().triggerCron();
    expect(await readDelivery(admin(), deliveryId)).toEqual(done);
    expect((await token())?.commits.map(({ operation }) => operation)).toEqual(['create', 'revoke']);
    expect(await deletesOf(id)).toHaveLength(1);
  });

  describeEnd(watched, PLANTED);
});

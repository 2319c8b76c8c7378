import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examine } from '../../../commands/doctor/examine.ts';
import { readOptions } from '../../../commands/doctor/options.ts';
import { reportLines } from '../../../commands/doctor/report.ts';
import example from '../../../docs/policy/webhooks.ts';
import { runWrangler } from '../../../local/wrangler.ts';
import { parsePolicy } from '../../../src/config/policy.ts';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const DAY_MS = 24 * 60 * 60 * 1_000;

/** A key of 32 bytes that look random and are known. */
const key = (name: string): string => createHash('sha256').update(name).digest('base64');
const WHSEC = `whsec_${key('s')}`;
const CREDENTIAL = `${encoded({ alg: 'HS256' })}.${encoded({ exp: Math.floor(Date.now() / 1000) + 30 * 86_400 })}.c2ln`;
const SECRETS = {
  PIPEOPS_ADMIN_TOKEN: CREDENTIAL,
  FINGERPRINT_KEYS: `k2:${key('A')},k1:${key('E')}`,
  IDEMPOTENCY_SECRET: key('I'),
  WEBHOOK_SCANNER: WHSEC,
  WEBHOOK_HR: WHSEC,
  WEBHOOK_HR_NEXT: WHSEC,
  WEBHOOK_INCIDENTS: WHSEC,
};

const directory = mkdtempSync(path.join(tmpdir(), 'doctor-webhooks-'));
const config = path.join(directory, 'wrangler.toml');
writeFileSync(
  config,
  withoutPlaceholders(readFileSync(path.join(CHECKOUT, 'wrangler.toml'), 'utf8')).replaceAll(
    'migrations_dir = "drizzle"',
    `migrations_dir = "${path.join(CHECKOUT, 'drizzle')}"`,
  ),
);
const policy = path.join(directory, 'policy.ts');
writeFileSync(policy, `export default ${withoutPlaceholders(JSON.stringify(example))};\n`);
afterAll(() => rmSync(directory, { recursive: true }));

async function doctor(env: Readonly<Record<string, string>>, ...args: string[]) {
  const options = readOptions(['--config', config, '--policy', policy, ...args]);
  if (options === null) throw new Error('These options ask for help.');
  const examination = await examine(options, env, Date.now());
  const output = reportLines(examination).join('\n');
  for (const secret of [key('A'), key('E'), key('s'), CREDENTIAL]) expect(output).not.toContain(secret);
  return { isHealthy: examination.findings.every(({ severity }) => severity === 'warning'), output };
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

describe('the secrets of webhooks', () => {
  test('are those that the policy names, and the example is fine with them', async () => {
    expect(parsePolicy(example)).toMatchObject({ ok: true });
    const { isHealthy, output } = await doctor(SECRETS);
    expect(output).not.toMatch(/^(?:problem|warning)/m);
    expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 2 keys, current k2$/m);
    for (const name of ['WEBHOOK_SCANNER', 'WEBHOOK_HR', 'WEBHOOK_HR_NEXT', 'WEBHOOK_INCIDENTS'])
      expect(output).toMatch(new RegExp(`^ok {7}${name}$`, 'm'));
    expect(isHealthy).toBe(true);
  });

  test('are told where they are missing or none, here from .dev.vars', async () => {
    const { WEBHOOK_HR: _missing, ...rest } = SECRETS;
    writeFileSync(path.join(directory, '.dev.vars'), `WEBHOOK_INCIDENTS="${WHSEC}"\nWEBHOOK_SCANNER="hush-hush"\n`);
    const { WEBHOOK_SCANNER: _none, WEBHOOK_INCIDENTS: _elsewhere, ...env } = rest;
    const { isHealthy, output } = await doctor(env);
    rmSync(path.join(directory, '.dev.vars'));
    expect(output).toMatch(
      /^problem {2}WEBHOOK_HR is missing; webhooks\.hr needs it\n {9}correct: .*secret put WEBHOOK_HR .*`/m,
    );
    expect(output).toMatch(
      /^problem {2}WEBHOOK_SCANNER is no secret of Standard Webhooks.*\n {9}correct: .*secret put WEBHOOK_SCANNER .*`/m,
    );
    expect(output).not.toContain('hush-hush');
    expect(output).toMatch(/^ok {7}WEBHOOK_INCIDENTS$/m);
    expect(isHealthy).toBe(false);
  });
});

describe('--d1 local', () => {
  const persistTo = path.join(directory, 'state');
  const asked = ['--d1', 'local', '--persist-to', persistTo];
  const keep = (keys: string) => ({ ...SECRETS, FINGERPRINT_KEYS: keys });

  beforeAll(async () => {
    const args = ['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', persistTo];
    const run = await runWrangler(args, { configPath: config });
    if (run.exitCode !== 0) throw new Error(`no database: ${run.stdout}${run.stderr}`);
    const insert = databaseIn(persistTo);
    insert('live', 'k1', null, Date.now() + DAY_MS);
    insert('for-ever', 'k1', null, null);
    insert('revoked', 'revoked-key', Date.now(), null);
    insert('expired', 'expired-key', null, Date.now() - DAY_MS);
    insert('unknown', null, null, null);
  });

  test('is fine with every key that live tokens need', async () => {
    const { isHealthy, output } = await doctor(SECRETS, ...asked);
    expect(output).not.toMatch(/^(?:problem|warning)/m);
    expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 2 keys, current k2$/m);
    expect(isHealthy).toBe(true);
  });

  test('names one that is missing, and no other', async () => {
    const { isHealthy, output } = await doctor(keep(`k2:${key('A')}`), ...asked);
    expect(output.match(/^problem.*\n.*/gm)).toEqual([
      'problem  FINGERPRINT_KEYS lacks key "k1", which live tokens were fingerprinted with\n' +
        '         correct: k2:…,k1:…, with the value that it had: `npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production`',
    ]);
    expect(output).not.toMatch(/^ok {7}FINGERPRINT_KEYS/m);
    expect(isHealthy).toBe(false);
  });

  test('without it nothing is said about the database', async () => {
    expect((await doctor(keep(`k2:${key('A')}`))).output).not.toMatch(/^problem/m);
  });

  test('says how to make a database that has no tables yet', async () => {
    const { isHealthy, output } = await doctor(SECRETS, '--d1', 'local');
    expect(output).toMatch(
      /^problem {2}DB \(local\) does not say which keys live tokens need: no such table: tokens.*\n {9}correct: `npx wrangler d1 migrations apply DB --local --config wrangler.toml`/m,
    );
    expect(isHealthy).toBe(false);
  });

  test('a directory that is not there is told', async () => {
    const { isHealthy, output } = await doctor(SECRETS, '--d1', 'local', '--persist-to', '/nowhere');
    expect(output).toMatch(/there is no directory \/nowhere\n {9}correct: --persist-to \.state/);
    expect(isHealthy).toBe(false);
  });
});

/** What an operator does with an example: real values for those that stand for them. */
function withoutPlaceholders(text: string): string {
  return text
    .replaceAll('login.acme.example', 'login.northwind.io')
    .replaceAll('5877a4ae-6a3c-4d0f-9a55-0f2f6a8f3f0e', '1d0c9a7e-52b6-4f83-9e4d-8a6b3c2f7051')
    .replaceAll('00000000-0000-0000-0000-000000000000', '9b2d7c1e-4f3a-4c58-a1d6-73e0b5f48c29');
}

/** Puts tokens into the database that wrangler made. */
function databaseIn(persistTo: string) {
  const folder = path.join(persistTo, 'v3', 'd1', 'miniflare-D1DatabaseObject');
  const file = readdirSync(folder).find((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite') ?? '';
  return (id: string, keyId: string | null, revokedAt: number | null, expiresAt: number | null): void => {
    const database = new DatabaseSync(path.join(folder, file));
    database
      .prepare(
        'INSERT INTO tokens (workspace_uuid, token_id, created_at, fingerprint_key_id, revoked_at, expires_at) VALUES (?, ?, 1, ?, ?, ?)',
      )
      .run('w', id, keyId, revokedAt, expiresAt);
    database.close();
  };
}

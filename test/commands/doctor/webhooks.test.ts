import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import example from '../../../docs/policy/webhooks.ts';
import { parsePolicy } from '../../../src/config/policy.ts';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const NODE = path.join(CHECKOUT, 'node_modules/.bin/node');
const EXAMPLE = path.join(CHECKOUT, 'docs/policy/webhooks.ts');
const DAY_MS = 24 * 60 * 60 * 1_000;

const key = (letter: string): string => `${letter.repeat(43)}=`;
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
copyFileSync(path.join(CHECKOUT, 'wrangler.toml'), config);
afterAll(() => rmSync(directory, { recursive: true }));

function doctor(env: Readonly<Record<string, string>>, ...args: string[]) {
  const run = spawnSync(NODE, ['commands/doctor/main.ts', '--config', config, '--policy', EXAMPLE, ...args], {
    cwd: CHECKOUT,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: directory, ...env },
  });
  expect(run.stderr).toBe('');
  for (const secret of [key('A'), key('E'), key('s'), CREDENTIAL]) expect(run.stdout).not.toContain(secret);
  return { status: run.status, output: run.stdout };
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

describe('the secrets of webhooks', () => {
  test('are those that the policy names, and the example is fine with them', () => {
    expect(parsePolicy(example)).toMatchObject({ ok: true });
    const { status, output } = doctor(SECRETS);
    expect(output).not.toContain('problem');
    expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 2 keys, current k2$/m);
    for (const name of ['WEBHOOK_SCANNER', 'WEBHOOK_HR', 'WEBHOOK_HR_NEXT', 'WEBHOOK_INCIDENTS'])
      expect(output).toMatch(new RegExp(`^ok {7}${name}$`, 'm'));
    expect(status).toBe(0);
  });

  test('are told where they are missing or none, here from .dev.vars', () => {
    const { WEBHOOK_HR: _missing, ...rest } = SECRETS;
    writeFileSync(path.join(directory, '.dev.vars'), `WEBHOOK_INCIDENTS="${WHSEC}"\nWEBHOOK_SCANNER="hush-hush"\n`);
    const { WEBHOOK_SCANNER: _none, WEBHOOK_INCIDENTS: _elsewhere, ...env } = rest;
    const { status, output } = doctor(env);
    rmSync(path.join(directory, '.dev.vars'));
    expect(output).toMatch(
      /^problem {2}WEBHOOK_HR is missing; webhooks\.hr needs it\n {9}correct: .*secret put WEBHOOK_HR .*`/m,
    );
    expect(output).toMatch(
      /^problem {2}WEBHOOK_SCANNER is no secret of Standard Webhooks.*\n {9}correct: .*secret put WEBHOOK_SCANNER .*`/m,
    );
    expect(output).not.toContain('hush-hush');
    expect(output).toMatch(/^ok {7}WEBHOOK_INCIDENTS$/m);
    expect(status).toBe(1);
  });
});

describe('--d1 local', () => {
  const persistTo = path.join(directory, 'state');
  const asked = ['--d1', 'local', '--persist-to', persistTo];
  const keep = (keys: string) => ({ ...SECRETS, FINGERPRINT_KEYS: keys });

  beforeAll(() => {
    const wrangler = path.join(CHECKOUT, 'node_modules/wrangler/bin/wrangler.js');
    const args = [wrangler, 'd1', 'migrations', 'apply', 'DB', '--local', '--persist-to', persistTo];
    const run = spawnSync(NODE, args, { cwd: CHECKOUT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    if (run.status !== 0) throw new Error(`no database: ${run.stdout}${run.stderr}`);
    const insert = databaseIn(persistTo);
    insert('live', 'k1', null, Date.now() + DAY_MS);
    insert('for-ever', 'k1', null, null);
    insert('revoked', 'revoked-key', Date.now(), null);
    insert('expired', 'expired-key', null, Date.now() - DAY_MS);
    insert('unknown', null, null, null);
  });

  test('is fine with every key that live tokens need', () => {
    const { status, output } = doctor(SECRETS, ...asked);
    expect(output).not.toContain('problem');
    expect(output).toMatch(/^ok {7}FINGERPRINT_KEYS 2 keys, current k2$/m);
    expect(status).toBe(0);
  });

  test('names one that is missing, and no other', () => {
    const { status, output } = doctor(keep(`k2:${key('A')}`), ...asked);
    expect(output.match(/^problem.*\n.*/gm)).toEqual([
      'problem  FINGERPRINT_KEYS lacks key "k1", which live tokens were fingerprinted with\n' +
        '         correct: k2:…,k1:…, with the value that it had: `npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production`',
    ]);
    expect(output).not.toMatch(/^ok {7}FINGERPRINT_KEYS/m);
    expect(status).toBe(1);
  });

  test('without it nothing is said about the database', () => {
    expect(doctor(keep(`k2:${key('A')}`)).output).not.toContain('problem');
  });

  test('says how to make a database that has no tables yet', () => {
    const { status, output } = doctor(SECRETS, '--d1', 'local');
    expect(output).toMatch(
      /^problem {2}DB \(local\) does not say which keys live tokens need: no such table: tokens.*\n {9}correct: `npx wrangler d1 migrations apply DB --local --config wrangler.toml`/m,
    );
    expect(status).toBe(1);
  });

  test.each([
    [
      ['--d1', 'local', '--persist-to', '/nowhere'],
      /there is no directory \/nowhere\n {9}correct: --persist-to \.state/,
    ],
    [['--d1', 'here'], /^problem {2}--d1 takes local or remote\.\n {9}usage: /m],
    [['--persist-to', 'x'], /^problem {2}--persist-to goes with --d1 local\.\n {9}usage: /m],
  ])('%j is told what would be right', (args, line) => {
    const { status, output } = doctor(SECRETS, ...args);
    expect(output).toMatch(line);
    expect(status).toBe(1);
  });
});

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

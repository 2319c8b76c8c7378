import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, describe, expect, it } from 'vitest';
import { parseTtlSeconds } from '../../commands/token.ts';
import { openIssuer } from '../../local/issuer.ts';
import { CHECKOUT } from '../../local/settings.ts';

const stateDir = mkdtempSync(path.join(tmpdir(), 'countersign-token-'));
afterAll(() => rmSync(stateDir, { recursive: true }));

const token = (...args: string[]) =>
  spawnSync(process.execPath, [path.join(CHECKOUT, 'commands', 'token.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, STATE_DIR: stateDir },
  });

async function claimsOf(jwt: string) {
  const { publicJwk } = await openIssuer(stateDir);
  return (await jwtVerify(jwt, createLocalJWKSet({ keys: [publicJwk] }))).payload;
}

describe('npm run -s token', () => {
  it.each([
    [[], 3_600],
    [['--ttl', '5m'], 300],
  ])('prints a JWT of the local issuer and nothing else, with %j', async (ttl, lifetimeSeconds) => {
    const { status, stdout, stderr } = token('--sub', 'ada', '--role', 'ci', ...ttl);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { sub, role, iat = 0, exp = 0 } = await claimsOf(stdout.trim());
    expect({ sub, role, lifetimeSeconds: exp - iat }).toEqual({ sub: 'ada', role: 'ci', lifetimeSeconds });
  });

  it('puts an address into it, which a webhook may offboard by', async () => {
    const { stdout } = token('--sub', 'ada', '--role', 'ci', '--email', 'ada@acme.example');
    expect(await claimsOf(stdout.trim())).toMatchObject({ sub: 'ada', email: 'ada@acme.example' });
  });

  it('says aside that a role is not one of the policy, which is how to try a stranger', async () => {
    const { status, stdout, stderr } = token('--sub', 'ada', '--role', 'pirate');
    expect(status).toBe(0);
    expect(stderr).toBe('note: the local policy has no role "pirate"; the service will answer no_role.\n');
    expect(await claimsOf(stdout.trim())).toMatchObject({ role: 'pirate' });
  });

  it.each([
    [['--role', 'ci'], '--sub is missing'],
    [['--sub', 'ada'], '--role is missing'],
    [['--sub', 'ada', '--role', 'ci', '--ttl', 'soon'], '--ttl "soon" is not a lifetime'],
    [['--sub', 'ada', '--roll', 'ci'], "Unknown option '--roll'"],
  ])('answers %j with its usage', (args, problem) => {
    const { status, stdout, stderr } = token(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(problem);
    expect(stderr).toContain('usage: npm run -s token -- --sub NAME --role ROLE [--ttl 1h]');
  });
});

describe('a lifetime', () => {
  it.each([
    ['1s', 1],
    ['90s', 90],
    ['15m', 900],
    ['1h', 3_600],
    ['24h', 86_400],
    ['1d', 86_400],
  ])('%s is %i seconds', (text, seconds) => {
    expect(parseTtlSeconds(text)).toBe(seconds);
  });

  it.each(['', '0s', '10', '1w', '1.5h', '-1h', ' 1h', '25h', '86401s', '1h30m', '9999999s'])('%j is none', (text) => {
    expect(() => parseTtlSeconds(text)).toThrow(`--ttl ${JSON.stringify(text)} is not a lifetime`);
  });
});

import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { askSecret } from '../../../commands/ask-secret.ts';
import type { Cloudflare } from '../../../commands/cloudflare/account.ts';
import { keepSecrets, readSecrets } from '../../../commands/cloudflare/kept-secrets.ts';
import { neededSecrets } from '../../../commands/cloudflare/needed-secrets.ts';
import { newTrailKey, trailKeyProblem, trailName } from '../../../commands/cloudflare/trail-key.ts';
import { parsePolicy } from '../../../src/config/policy.ts';
import examplePolicy from '../../../docs/policy/webhooks.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-secrets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NOW_MS = Date.UTC(2026, 10, 28);

describe('the name of a log', () => {
  const named = async (name: string) => await trailName({} as Cloudflare, { named: name, url: null });

  it('is what the operator says', async () => {
    expect(await named('countersign.example.com/trail')).toBe('countersign.example.com/trail');
    expect(await trailKeyProblem(await newTrailKey('countersign.example.com/trail'))).toBeNull();
  });

  it('has no number behind its last slash, since logs that follow have one: verify would refuse its key', async () => {
    await expect(named('countersign.example.com/trail/2')).rejects.toThrow('no number behind the last slash');
    expect(await trailKeyProblem(await newTrailKey('countersign.example.com/trail/2'))).toContain('a number behind');
  });
});

describe('the secrets that a policy needs', () => {
  const policy = parsePolicy(examplePolicy);
  const needed = neededSecrets(policy.ok ? policy.value : { webhooks: [], issuers: [] });

  it('are those of the Worker and those of its webhooks, each once', () => {
    const names = needed.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
    expect(names).toEqual(
      expect.arrayContaining(['PIPEOPS_ADMIN_TOKEN', 'FINGERPRINT_KEYS', 'IDEMPOTENCY_SECRET', 'WEBHOOK_SCANNER']),
    );
  });

  it('are those of signing in too, where an issuer has a client', () => {
    const entry = { issuer: 'https://issuer.example', audience: 'countersign', clientId: 'console' };
    const namesWith = (more: object): readonly string[] => {
      const signIn = parsePolicy({ issuers: [{ ...entry, ...more }], roles: {}, bindings: [] });
      return signIn.ok ? neededSecrets(signIn.value).map(({ name }) => name) : [];
    };
    expect(needed.map(({ name }) => name)).not.toContain('SESSION_SECRET');
    expect(namesWith({})).toContain('SESSION_SECRET');
    expect(namesWith({ clientSecret: 'CONSOLE_SECRET' })).toEqual(
      expect.arrayContaining(['SESSION_SECRET', 'CONSOLE_SECRET']),
    );
  });

  it('that can be generated are generated as the Worker wants them, and differ each time', () => {
    const generated = needed.filter(({ generate }) => generate !== null);
    expect(generated.length).toBeGreaterThan(2);
    for (const { name, generate, problemOf } of generated) {
      const [one, other] = [generate?.() ?? '', generate?.() ?? ''];
      expect([name, problemOf(one, NOW_MS)]).toEqual([name, null]);
      expect(one).not.toBe(other);
    }
  });

  it('a new fingerprint key has an id that no earlier one had', () => {
    const keys = needed.find(({ name }) => name === 'FINGERPRINT_KEYS');
    const ids = [keys?.generate?.(), keys?.generate?.()].map((key) => key?.split(':')[0]);
    expect(ids[0]).not.toBe(ids[1]);
  });

  it.each([
    ['a service token', 'sat_abc', /service token/],
    ['an expired session', jwt({ exp: NOW_MS / 1000 - 1 }), /expired at 2026-11-27T23:59:59/],
    ['two lines', 'a\nb', /not one line/],
    ['nothing', '', /empty/],
  ])('an admin credential that is %s is refused', (_case, value, problem) => {
    expect(needed[0]?.problemOf(value, NOW_MS)).toMatch(problem);
  });

  it('an admin credential that ends soon is taken: there may be no other yet', () => {
    expect(needed[0]?.problemOf(jwt({ exp: NOW_MS / 1000 + 60 }), NOW_MS)).toBeNull();
  });
});

describe('the file of generated secrets', () => {
  const file = path.join(folder, '.secrets', 'staging.env');
  const secrets = new Map([
    ['FINGERPRINT_KEYS', 'k1:ab+/cd=='],
    ['IDEMPOTENCY_SECRET', 'ef='],
  ]);

  it('is read as it was written, and only its owner may read it, whatever stood there before', () => {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, 'OLD=1\n', { mode: 0o644 });
    keepSecrets(file, 'staging', secrets);
    expect(readSecrets(file)).toEqual(secrets);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(path.dirname(file))).toEqual(['staging.env']);
  });

  it('that cannot be written says where, and leaves nothing behind', () => {
    const blocked = path.join(folder, 'a-file');
    writeFileSync(blocked, '');
    expect(() => keepSecrets(path.join(blocked, 'staging.env'), 'staging', secrets)).toThrow(
      /cannot be kept in .*a-file.* so none was set/,
    );
  });

  it('that is not there is null, and one that cannot be read is refused', () => {
    expect(readSecrets(path.join(folder, 'none.env'))).toBeNull();
    expect(() => readSecrets(folder)).toThrow(/cannot be read \(EISDIR\)/);
  });
});

describe('a secret that is asked for', () => {
  async function ask(typed: readonly string[], problemOf: (value: string) => string | null = () => null) {
    const input = new PassThrough();
    let shown = '';
    const asked = askSecret('PIPEOPS_ADMIN_TOKEN: ', problemOf, {
      input,
      output: {
        write: (text: string | Uint8Array) => {
          shown += text.toString();
          // Each prompt is answered.
          if (shown.endsWith(': ')) input.write(typed[answers++] ?? '\u0004');
          return true;
        },
      },
    });
    const outcome = await asked.then(
      (value) => ({ value }),
      (error: Error) => ({ refused: error.message }),
    );
    return { outcome, shown };
  }
  let answers = 0;

  it.each([
    ['typed', 'secret-value\r', 'secret-value'],
    ['pasted with a space at its end', ' secret-value \n', 'secret-value'],
    ['longer than a line of the terminal', `${'x'.repeat(10_000)}\r`, 'x'.repeat(10_000)],
  ])('is read without being shown: %s', async (_case, typed, value) => {
    answers = 0;
    const { outcome, shown } = await ask([typed]);
    expect(outcome).toEqual({ value });
    expect(shown).toBe('PIPEOPS_ADMIN_TOKEN: \n');
  });

  it('is asked for again where it has a problem, three times at most', async () => {
    answers = 0;
    const { outcome, shown } = await ask(['bad-1\r', 'bad-2\r', 'bad-3\r'], () => 'is bad');
    expect(outcome).toEqual({ refused: expect.stringContaining('3 times') });
    expect(shown.match(/This value is bad/g)).toHaveLength(3);
    expect(shown).not.toContain('bad-1');
  });

  it.each([
    ['Ctrl-C', '\u0003', /Stopped/],
    ['Ctrl-D', '\u0004', /Nothing was entered/],
  ])('can be refused by %s', async (_case, key, message) => {
    answers = 0;
    expect((await ask([key])).outcome).toEqual({ refused: expect.stringMatching(message) });
  });
});

function jwt(claims: object): string {
  const [header, payload] = [{ alg: 'HS256' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${header}.${payload}.c2lnbmF0dXJl`;
}

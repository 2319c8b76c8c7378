import { createPublicKey, sign, verify } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it } from 'vitest';
import { openWebhooks, readWebhooks } from '../../local/webhook-keys.ts';
import { fingerprintKeys } from '../../src/config/secrets.ts';
import { findSecrets, webhookSecretsOf } from '../e2e/secrets-scan.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-webhook-keys-'));
afterAll(() => rmSync(root, { recursive: true }));
const stateDir = (name: string): string => path.join(root, name);
const comparable = ({ fingerprintKeys: keys, secrets, github }: ReturnType<typeof readWebhooks>) => ({
  keys,
  secrets,
  github: github.publicKey,
});

describe('the webhook keys of a local run', () => {
  it('are kept, for their owner alone', async () => {
    const first = await openWebhooks(stateDir('kept'));
    expect(comparable(await openWebhooks(stateDir('kept')))).toEqual(comparable(first));
    expect(comparable(readWebhooks(stateDir('kept')))).toEqual(comparable(first));
    const files = readdirSync(stateDir('kept'));
    expect(files.toSorted()).toEqual(['fingerprint-keys', 'webhook-keys.json']);
    for (const file of files) expect(statSync(path.join(stateDir('kept'), file)).mode & 0o777).toBe(0o600);
  });

  it('are one set even when two processes make them at once', async () => {
    const [one, other] = await Promise.all([openWebhooks(stateDir('raced')), openWebhooks(stateDir('raced'))]);
    expect(comparable(one)).toEqual(comparable(other));
  });

  it('are what the Worker and the senders take', async () => {
    const { fingerprintKeys: keys, secrets, github } = await openWebhooks(stateDir('usable'));
    expect(fingerprintKeys.safeParse(keys).success).toBe(true);
    expect(new Set(Object.values(secrets)).size).toBe(2);
    for (const secret of Object.values(secrets)) expect(new Webhook(secret).sign('id', new Date(), '')).toMatch(/^v1,/);
    const body = Buffer.from('[]');
    const publicKey = createPublicKey(github.publicKey.key);
    expect(verify('sha256', body, publicKey, sign('sha256', body, github.privateKey))).toBe(true);
  });

  it('name a new fingerprint key anew, so that it does not pass for a lost one', async () => {
    const { fingerprintKeys: lost } = await openWebhooks(stateDir('lost'));
    rmSync(path.join(stateDir('lost'), 'fingerprint-keys'));
    const { fingerprintKeys: found } = await openWebhooks(stateDir('lost'));
    expect(found.split(':')[0]).not.toBe(lost.split(':')[0]);
  });

  it('may have a further fingerprint key in front', async () => {
    const { fingerprintKeys: first } = await openWebhooks(stateDir('rotated'));
    const rotated = `k2:${'A'.repeat(43)}=,${first}`;
    writeFileSync(path.join(stateDir('rotated'), 'fingerprint-keys'), `${rotated}\n`);
    expect(readWebhooks(stateDir('rotated')).fingerprintKeys).toBe(rotated);
  });

  it.each(['{"secrets":{}}', 'whsec_not-json', '[]'])(
    'that are none are one line that says what to do: %j',
    async (text) => {
      rmSync(stateDir('broken'), { recursive: true, force: true });
      await openWebhooks(stateDir('broken'));
      writeFileSync(path.join(stateDir('broken'), 'webhook-keys.json'), text);
      const read = (): unknown => readWebhooks(stateDir('broken'));
      expect(read).toThrow(/^\S+ does not hold webhook keys\. Delete it: the next start makes new ones\.$/);
    },
  );

  it('are secrets that the scan of a run looks for', async () => {
    const directory = stateDir('scanned');
    await openWebhooks(directory);
    const files = ['webhook-keys.json', 'fingerprint-keys'].map((name) => ({
      name,
      bytes: readFileSync(path.join(directory, name)),
    }));
    const finds = webhookSecretsOf(directory).map((secret) => findSecrets(files, [secret]));
    expect(finds.map((found) => found.map((find) => find.split(' ')[0]))).toEqual([
      ['fingerprint-keys'],
      ['webhook-keys.json'],
      ['webhook-keys.json'],
      ['webhook-keys.json'],
    ]);
  });

  it('that are missing are not made by a sender', () => {
    expect(() => readWebhooks(stateDir('none'))).toThrow(/^There are no webhook keys in \S+ `npm start` makes them/);
  });
});

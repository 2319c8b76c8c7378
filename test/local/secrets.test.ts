import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  openAdminCredential,
  openSecretFile,
  openTrailKey,
  readSecretFile,
  trailVerifierFileIn,
} from '../../local/secrets.ts';
import { createSigner, parsePrivateKey, verifierText } from '../../src/tlog/note.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-secrets-'));
afterAll(() => rmSync(root, { recursive: true }));
const fileIn = (name: string): string => path.join(root, name);

describe('a file with secrets', () => {
  it('is made by the first call, readable by its owner only, and read by the next', async () => {
    const file = fileIn('new');
    expect(await openSecretFile(file, () => 'one\n')).toBe('one\n');
    expect(await openSecretFile(file, () => 'two\n')).toBe('one\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it.each(['', '\n', '  \n'])('that holds nothing, %j, is made anew: a full disk may have left it', async (text) => {
    const file = fileIn('empty');
    writeFileSync(file, text);
    expect(readSecretFile(file)).toBeNull();
    expect(await openSecretFile(file, () => 'text\n')).toBe('text\n');
    expect(readFileSync(file, 'utf8')).toBe('text\n');
  });

  it('gets the text of whoever was first, if two make it at once', async () => {
    const file = fileIn('race');
    const texts = await Promise.all(
      ['a', 'b', 'c'].map(async (text) => await openSecretFile(file, async () => await Promise.resolve(text))),
    );
    expect(new Set(texts)).toEqual(new Set([readFileSync(file, 'utf8')]));
  });

  it('leaves no draft behind', async () => {
    await openSecretFile(fileIn('clean'), () => 'text');
    expect(readdirSync(root).filter((name) => /\.\d+$/.test(name))).toEqual([]);
  });

  it.each([
    ['a folder', root, 'cannot be read: it is a folder (EISDIR)'],
    ['below a file', path.join(fileIn('new'), 'x'), 'cannot be read: it or a part of its path is no folder (ENOTDIR)'],
    ['under /proc', '/proc/countersign/key', 'cannot hold the data of this run'],
  ])('that is %s is refused by its name', async (_case, file, problem) => {
    await expect(openSecretFile(file, () => 'text')).rejects.toThrow(problem);
    await expect(openSecretFile(file, () => 'text')).rejects.toThrow(path.dirname(file));
  });
});

it('the key of the log is kept, and its verifier key lies beside it', async () => {
  const key = await openTrailKey(root);
  expect(await openTrailKey(root)).toBe(key);
  const { verifier } = await createSigner(parsePrivateKey(key)!);
  expect(readFileSync(trailVerifierFileIn(root), 'utf8')).toBe(`${verifierText(verifier)}\n`);
  rmSync(fileIn('trail-key'));
  const next = await createSigner(parsePrivateKey(await openTrailKey(root))!);
  expect(readFileSync(trailVerifierFileIn(root), 'utf8')).toBe(`${verifierText(next.verifier)}\n`);
  writeFileSync(fileIn('trail-key'), 'garbage');
  await expect(openTrailKey(root)).rejects.toThrow(`${fileIn('trail-key')} is damaged`);
});

describe('the credential for the simulator', () => {
  const file = fileIn('simulator-admin.jwt');
  const nowSeconds = 1_800_000_000;
  const day = 24 * 60 * 60;

  it('is kept, and replaced in the last month before it ends', async () => {
    const first = await openAdminCredential(root, nowSeconds);
    expect(await openAdminCredential(root, nowSeconds + 334 * day)).toBe(first);
    const second = await openAdminCredential(root, nowSeconds + 336 * day);
    expect(second).not.toBe(first);
    expect(readFileSync(file, 'utf8').trim()).toBe(second);
  });

  it.each(['garbage', 'a.b.c', '{"kty":"EC"}'])(
    'that is damaged is named, so that PipeOps is not blamed: %j',
    async (text) => {
      writeFileSync(file, text);
      await expect(openAdminCredential(root, nowSeconds)).rejects.toThrow(`${file} is damaged`);
      await expect(openAdminCredential(root, nowSeconds)).rejects.toThrow('Delete it: the next start makes a new one.');
    },
  );
});

// A test that runs as root may write everywhere.
it.skipIf(process.getuid?.() === 0)('a folder that this user may not write is named', async () => {
  const folder = mkdtempSync(path.join(root, 'closed-'));
  chmodSync(folder, 0o500);
  await expect(openSecretFile(path.join(folder, 'key'), () => 'text')).rejects.toThrow(folder);
});

import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { writeOutFile } from '../../commands/out-file.ts';

const root = mkdtempSync(path.join(tmpdir(), 'countersign-out-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(root, 'out-'));
});
const fileIn = (name: string): string => path.join(folder, name);
const write = async (file: string, text: string, isReplacing = false): Promise<void> =>
  await writeOutFile(file, isReplacing, async (append) => await append(text));

it('is readable by its owner alone, and nothing else is left', async () => {
  await write(fileIn('new'), 'text');
  expect(readFileSync(fileIn('new'), 'utf8')).toBe('text');
  expect(statSync(fileIn('new')).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['new']);
});

it('is replaced only where that is asked for', async () => {
  await write(fileIn('old'), 'first');
  await expect(write(fileIn('old'), 'second')).rejects.toThrow(
    'is there already: name another, or replace it with --force.',
  );
  expect(readFileSync(fileIn('old'), 'utf8')).toBe('first');
  await write(fileIn('old'), 'second', true);
  expect(readFileSync(fileIn('old'), 'utf8')).toBe('second');
});

it('is whole or not there: what was there before stays where writing fails', async () => {
  await write(fileIn('kept'), 'before');
  const failing = writeOutFile(fileIn('kept'), true, async (append) => {
    await append('a part');
    throw new Error('cut');
  });
  await expect(failing).rejects.toThrow('cut');
  expect(readFileSync(fileIn('kept'), 'utf8')).toBe('before');
  expect(readdirSync(folder)).toEqual(['kept']);
});

it('may have a name as long as the file system takes', async () => {
  const longest = fileIn('x'.repeat(255));
  await write(longest, 'text');
  expect(readFileSync(longest, 'utf8')).toBe('text');
});

it('is that of one command where two write it at once, and the other says so', async () => {
  // Both have looked, and found no file, before either is done.
  const first = writeOutFile(fileIn('both'), false, async (append) => {
    writeFileSync(fileIn('both'), 'the other one');
    await append('ours');
  });
  await expect(first).rejects.toThrow('is there already');
  expect(readFileSync(fileIn('both'), 'utf8')).toBe('the other one');
  expect(readdirSync(folder)).toEqual(['both']);
});

describe('what is no file is refused, replacing or not', () => {
  it.each([
    ['a folder', () => mkdirSync(fileIn('x'))],
    ['a link', () => symlinkSync('/etc/passwd', fileIn('x'))],
    ['a link', () => symlinkSync('nowhere', fileIn('x'))],
    ['a pipe', () => spawnSync('mkfifo', [fileIn('x')])],
  ])('%s', async (kind, make) => {
    make();
    for (const isReplacing of [false, true]) {
      await expect(write(fileIn('x'), 'text', isReplacing)).rejects.toThrow(`x is ${kind}`);
    }
    expect(readdirSync(folder)).toEqual(['x']);
  });

  it.each([
    ['/dev/null', 'is a device'],
    ['/dev/full', 'is a device'],
    ['/proc/countersign', 'cannot be written: the folder is not there (ENOENT)'],
    ['/nowhere/at/all', 'cannot be written: the folder is not there (ENOENT)'],
    ['/etc/passwd/x', 'cannot be written: it or a part of its path is no folder (ENOTDIR)'],
  ])('%s', async (file, problem) => {
    await expect(write(file, 'text', true)).rejects.toThrow(`${file} ${problem}`);
  });
});

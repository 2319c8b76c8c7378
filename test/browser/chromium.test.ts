import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findChromium, installChromium } from '../../tools/browser/chromium.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-chromium-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function program(place: string): string {
  const file = path.join(folder, place);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  return file;
}

const mine = program('mine/browser');
const chromium = program('one/chromium');
program('two/google-chrome');
const file = path.join(folder, 'none');
writeFileSync(file, '');
const PATH = ['one', 'two'].map((name) => path.join(folder, name)).join(path.delimiter);

describe('the Chromium of the tests', () => {
  it.each([
    ['is the one that CHROMIUM_PATH names', { CHROMIUM_PATH: mine, PATH }, mine],
    ['is found on PATH', { PATH }, chromium],
    ['is none where none is installed', { PATH: path.join(folder, 'mine') }, null],
  ])('%s', (_what, environment, found) => {
    expect(findChromium(environment)).toBe(found);
  });

  it('is not another one than CHROMIUM_PATH names', () => {
    expect(() => findChromium({ CHROMIUM_PATH: file, PATH })).toThrow(/CHROMIUM_PATH is ".*none", and no program/);
  });

  it('is not installed where nobody expects it', () => {
    expect(() => installChromium({ PATH: '' })).toThrow(
      /Install one \(Debian and Ubuntu: `apt-get install chromium`\)/,
    );
  });
});

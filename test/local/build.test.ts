import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { BUNDLE, isWhole } from '../../local/build.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'countersign-build-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = path.join(folder, 'index.js');

it('the bundle of a build is whole', () => {
  expect(isWhole(BUNDLE)).toBe(true);
});

it.each([0, 1, 0.5])('a bundle of which a full disk took a part is built again: %f of it', (share) => {
  const bundle = readFileSync(BUNDLE);
  writeFileSync(file, bundle.subarray(0, share === 1 ? -1 : bundle.length * share));
  expect(isWhole(file)).toBe(false);
});

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { CHECKOUT, COMPILED_FILE, withStatementsRebuilt } from './tree.ts';

it('builds each statement anew, so that every test that sends one comes by its mutants', async () => {
  const source = await readFile(path.join(CHECKOUT, COMPILED_FILE), 'utf8');
  expect(withStatementsRebuilt(source)).not.toContain('??=');
});

it('says so where the source has another shape', () => {
  expect(() => withStatementsRebuilt('const built = build(database);')).toThrow(COMPILED_FILE);
});

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { openApi } from '../../contract/document.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

it('openapi.json is what the table of routes gives: `npm run contract` writes it anew', () => {
  const { version }: { readonly version: string } = JSON.parse(read('package.json'));
  expect(read('openapi.json') === `${JSON.stringify(openApi(version), null, 2)}\n`).toBe(true);
});

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

// What a visitor sees first.

const ROOT = path.join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

it('README.md is short enough to be read', () => {
  expect(read('README.md').split('\n').length).toBeLessThanOrEqual(150);
});

it('README.md leads to every page of docs/ that a user needs', () => {
  const pages = [
    'quickstart',
    'console',
    'client',
    'command',
    'rotation',
    'service-tokens',
    'api',
    'errors',
    'policy',
    'webhooks',
    'operate',
    'security',
    'audit',
    'transparency-log',
    'performance',
  ];
  const readme = read('README.md');
  expect(pages.filter((page) => !readme.includes(`(docs/${page}.md)`))).toEqual([]);
});

it('the newest release of CHANGELOG.md is the version of package.json', () => {
  const { version }: { readonly version: string } = JSON.parse(read('package.json'));
  expect(/^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$/m.exec(read('CHANGELOG.md'))?.[1]).toBe(version);
});

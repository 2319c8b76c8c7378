import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { CHECKOUT } from '../../local/settings.ts';

// wrangler takes a wrangler.json or wrangler.jsonc of any folder above the checkout before the checkout's wrangler.toml. So each
// call names its configuration file: those that are run, and those that a reader copies.

const read = (file: string): string => readFileSync(path.join(CHECKOUT, file), 'utf8');
const files = (...patterns: string[]): string[] =>
  globSync(patterns, {
    cwd: CHECKOUT,
    exclude: (name) => ['node_modules', 'dist', 'test'].includes(path.basename(name)),
  });

/** `npx wrangler …` until its end: that of the line, of the quotation or of the parenthesis. */
const CALL = /npx wrangler [^`'"\n)]*/g;

it('every call of wrangler that a document, a message or an example shows names --config', () => {
  const shown = files('*.md', 'docs/**/*.{md,ts}', 'src/**/*.ts', 'commands/**/*.ts', 'local/**/*.ts', '*.ts').flatMap(
    (file) => [...read(file).matchAll(CALL)].map(([call]) => `${file}: ${call}`),
  );
  expect(shown.length).toBeGreaterThan(10);
  expect(shown.filter((call) => !call.includes('--config'))).toEqual([]);
});

it('every script of npm and of CI that runs wrangler names --config', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const lines = [...Object.values(scripts), ...read('.ci/run').split('\n')].filter((line) =>
    /(^|\s)wrangler\s/.test(line),
  );
  expect(lines).toEqual([scripts['build']]);
  expect(scripts['build']).toContain('--config wrangler.toml --env=');
});

it('code runs wrangler by the one runner, which names --config', () => {
  const runs = files('{bench,commands,local,src,lint}/**/*.{ts,js}', '*.ts').filter((file) =>
    /wrangler['"/, ]+(?:bin|wrangler-dist)|\.bin\/wrangler/.test(read(file)),
  );
  expect(runs).toEqual(['local/wrangler.ts']);
});

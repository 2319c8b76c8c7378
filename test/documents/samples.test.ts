import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { SAMPLES, stepsOf } from '../e2e/samples.ts';

// What a page shows is what the tests run: each block of code is a part of a file in samples/.

const ROOT = path.join(SAMPLES, '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const FILES = globSync('samples/**/*.{sh,ts,py,go,yml}', { cwd: ROOT });
const PAGES = ['docs/quickstart.md', 'docs/service-tokens.md', 'docs/rotation.md'];

/** Lines without the indentation that all of them have, so that a part of a function is known again. */
const bare = (text: string): string => text.replaceAll(/^[ \t]+/gm, '').trim();

const blocks = PAGES.flatMap((page) =>
  [...read(page).matchAll(/^```(ts|python|go|yaml)\n(.*?)^```$/gms)].map(
    ([, language = '', code = '']) => [page, language, code.split('\n', 1)[0] ?? '', code] as const,
  ),
);

it.each(blocks)('%s shows %s of a sample: %s', (_page, _language, _first, code) => {
  expect(FILES.filter((file) => bare(read(file)).includes(bare(code)))).not.toEqual([]);
});

it('the quickstart shows each sample of one file as a whole', () => {
  const whole = ['samples/curl.sh', 'samples/fetch.ts', 'samples/service-binding.ts', 'samples/github-actions.yml'];
  const page = read('docs/quickstart.md');
  expect([...whole, 'samples/python/mint.py'].filter((file) => !page.includes(`\n${read(file)}\`\`\``))).toEqual([]);
});

it('the page about rotation shows its workflow as a whole', () => {
  expect(read('docs/rotation.md')).toContain(`${read('samples/github-actions-rotate.yml')}\`\`\`\n`);
});

it('the transport for the SDK is the one that runs without it', () => {
  const [keyed, forSdk] = ['samples/go/keyed.go', 'samples/go-sdk/keyed.go'].map(
    (file) => /^type createKey.*?^}\n(?=\nfunc main|(?![\s\S]))/ms.exec(read(file))?.[0],
  );
  expect(keyed).toContain('func (t Keyed) RoundTrip');
  expect(forSdk).toBe(keyed);
});

describe.each([
  ['github-actions.yml', ['Mint a token', 'Deploy', 'Revoke the token']],
  ['github-actions-rotate.yml', ['Rotate the token']],
])('the workflow for GitHub Actions in %s', (file, steps) => {
  const workflow = read(`samples/${file}`);

  it('has no steps that run commands but those which the tests run', () => {
    expect(stepsOf(workflow).map(({ name }) => name)).toEqual(steps);
    expect([...workflow.matchAll(/^ *run: /gm)]).toHaveLength(steps.length);
  });

  it('puts no expression into a script, where what it holds would be run', () => {
    expect(stepsOf(workflow).filter(({ commands }) => commands.includes('${{'))).toEqual([]);
  });
});

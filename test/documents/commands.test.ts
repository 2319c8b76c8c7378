import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createToken } from '../../contract/bodies.ts';

// What a reader copies into a terminal.

const ROOT = path.join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const DOCUMENTS = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT });
const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(read('package.json'));

/** What the commands say and read: the text of their sources. */
const sources = globSync(['{commands,local,bench,test/prove}/**/*.ts', 'tools/*/*.ts'], { cwd: ROOT })
  .map(read)
  .join('\n');

describe.each(DOCUMENTS)('%s', (file) => {
  const text = read(file);
  const calls = [...text.matchAll(/npm run (?:-s )?([a-z:]+)(?: -- ([^`\n]*))?/g)];

  it('names only scripts that there are', () => {
    const names = calls.map(([, name = '']) => name);
    expect(names.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });

  it('gives commands only options that they know', () => {
    const options = calls.flatMap(([, , args = '']) => args.match(/--[a-z][a-z0-9-]*/g) ?? []);
    expect(options.filter((option) => !sources.includes(option) && !sources.includes(`'${option.slice(2)}'`))).toEqual(
      [],
    );
  });

  it('has only lines that a shell can read', () => {
    const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
    expect(blocks.filter((block) => spawnSync('sh', ['-n'], { input: block }).status !== 0)).toEqual([]);
  });

  it('creates tokens with bodies that the service takes', () => {
    const bodies = [...text.matchAll(/service-account-tokens"[^\n]*(?:\\\n[^\n]*)*? -d '(\{.*?\})'/g)];
    const refused = bodies.filter(([, body = '']) => !createToken.safeParse(JSON.parse(body)).success);
    expect(refused.map(([call]) => call)).toEqual([]);
  });
});

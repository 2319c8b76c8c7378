import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

// A document names files. A file that is moved or renamed must not leave a document behind that names its old place.

const ROOT = path.join(import.meta.dirname, '..', '..');
const DOCUMENTS = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT });
/** A file or a folder in backticks, by its path or by its name alone; `*` stands for any text. */
const NAMED =
  /`((?:[\w.*{},-]+\/)*[\w.*{},-]+\.(?:ts|js|sql|md|toml|json)|(?:src|test|local|commands|contract|bench|drizzle|docs|lint|samples|tools)\/[\w./*-]*)`/g;
/** What a user makes, or what stands in another repository. */
const NOT_OURS = new Set(['package-lock.json', '_journal.json', 'openapi.json']);

const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const exists = (pattern: string): boolean => globSync(pattern, { cwd: ROOT, exclude: ['node_modules'] }).length > 0;

/** Whether a name leads to a file: from the root, from `src/`, from `test/`, or, as a bare name, anywhere in the project. */
const leadsToFile = (name: string): boolean =>
  NOT_OURS.has(name) ||
  [name, `src/${name}`, `test/${name}`].some(exists) ||
  (!name.includes('/') && exists(`{src,test,local,commands,bench,docs,drizzle,lint}/**/${name}`));

/** The anchors of a page, as GitHub makes them of its headings. */
const anchorsOf = (file: string): readonly string[] =>
  [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('a document', () => {
  it.each(DOCUMENTS)('%s names only files that exist', (file) => {
    const names = [...read(file).matchAll(NAMED)].map(([, name]) => name ?? '');
    expect(names.filter((name) => !leadsToFile(name))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s links only to files that exist', (file) => {
    const targets = [...read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target]) => target ?? '');
    expect(targets.filter((target) => !exists(path.join(path.dirname(file), target)))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s links only to headings that are there', (file) => {
    const targets = [...read(file).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)];
    const missing = targets.filter(([, page = '', anchor = '']) => {
      const target = page === '' ? file : path.join(path.dirname(file), page);
      return target.endsWith('.md') && !anchorsOf(target).includes(anchor);
    });
    expect(missing.map(([link]) => link)).toEqual([]);
  });
});

/** `import … from './x.ts'` that is there when the Worker runs. */
const IMPORT = /^(?:import|export)\s+(?!type\b)[^;]*?from\s+'(\.[^']+)';/gm;

describe('the map of the promises in ARCHITECTURE.md', () => {
  const rows = [...read('ARCHITECTURE.md').matchAll(/^\| (\d+) \|[^|]*\| (`app\.ts`[^|]*) \|/gm)];
  const pathOf = (steps: string): readonly string[] =>
    [...steps.matchAll(/`([^`]+)`/g)].map(([, step]) => path.join('src', step ?? ''));

  it('leads to each of the ten', () => {
    expect(rows.map(([, number]) => Number(number))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it.each(rows.map(([, number, steps]) => [number, steps] as const))('promise %s: %s', (_number, steps) => {
    const files = pathOf(steps ?? '');
    expect(files.length).toBeLessThanOrEqual(4);
    for (const [index, file] of files.entries()) {
      const before = files[index - 1];
      if (before === undefined) continue;
      const imported = [...read(before).matchAll(IMPORT)].map(([, specifier]) =>
        path.join(path.dirname(before), specifier ?? ''),
      );
      // A migration is not imported: the file before it names it.
      expect(imported.includes(file) || read(before).includes(path.relative('src', file).replace(/^\.\.\//, ''))).toBe(
        true,
      );
    }
  });
});

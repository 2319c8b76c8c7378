import { readFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';

// The console: one page, its script and its style sheet. The Worker serves the page for each of its paths.

const CONSOLE = path.join(import.meta.dirname, '..', 'console');

/** The browsers that have all that the console needs, `light-dark()` of CSS last: those of May 2024 and later. */
const BROWSERS = ['chrome123', 'firefox120', 'safari17.5'];

/**
 * Builds the console.
 *
 * @returns its files, by their paths in the folder of the site.
 * @throws if its source does not compile.
 */
export function consoleFiles(): ReadonlyMap<string, Buffer> {
  const built = buildSync({
    entryPoints: [
      { in: path.join(CONSOLE, 'main.tsx'), out: 'console' },
      { in: path.join(CONSOLE, 'styles', 'console.css'), out: 'console' },
    ],
    outdir: 'console/assets',
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: BROWSERS,
    jsx: 'transform',
    jsxFactory: 'h',
    jsxFragment: 'Fragment',
    inject: [path.join(CONSOLE, 'jsx.ts')],
    // The icon is a file of the site, and nothing to bundle.
    external: ['/console/assets/icon.svg'],
    logLevel: 'silent',
    legalComments: 'none',
  });
  const assets = built.outputFiles.map(
    ({ path: file, contents }) => [`console/assets/${path.basename(file)}`, Buffer.from(contents)] as const,
  );
  return new Map([
    ['console/index.html', readFileSync(path.join(CONSOLE, 'index.html'))],
    ['console/assets/icon.svg', readFileSync(path.join(CONSOLE, 'icon.svg'))],
    ...assets,
  ]);
}

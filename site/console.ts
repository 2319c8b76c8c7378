import { readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { rolldown } from 'rolldown';

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
export async function consoleFiles(): Promise<ReadonlyMap<string, Buffer>> {
  const [script, style] = await Promise.all([buildScript(), buildStyle()]);
  return new Map([
    ['console/index.html', readFileSync(path.join(CONSOLE, 'index.html'))],
    ['console/assets/icon.svg', readFileSync(path.join(CONSOLE, 'icon.svg'))],
    ['console/assets/console.js', script],
    ['console/assets/console.css', style],
  ]);
}

/** Rolldown makes the script, since its minifier saves three percent of the compressed bytes more than that of esbuild. */
async function buildScript(): Promise<Buffer> {
  const bundle = await rolldown({
    input: path.join(CONSOLE, 'main.tsx'),
    treeshake: { propertyReadSideEffects: false, unknownGlobalSideEffects: false },
    transform: {
      target: BROWSERS,
      // The classic runtime: its form is shorter than that of the automatic one.
      jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment' },
      inject: { h: ['preact', 'h'], Fragment: ['preact', 'Fragment'] },
    },
    logLevel: 'silent',
  });
  try {
    const { output } = await bundle.generate({ format: 'esm', minify: true, comments: false });
    return Buffer.from(output[0].code);
  } finally {
    await bundle.close();
  }
}

/** Rolldown bundles no style sheets. */
async function buildStyle(): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [path.join(CONSOLE, 'styles', 'console.css')],
    outdir: 'console/assets',
    bundle: true,
    minify: true,
    write: false,
    target: BROWSERS,
    // The icon is a file of the site, and nothing to bundle.
    external: ['/console/assets/icon.svg'],
    logLevel: 'silent',
    legalComments: 'none',
  });
  const [style] = outputFiles;
  if (style === undefined) throw new Error('esbuild made no style sheet of the console.');
  return Buffer.from(style.contents);
}

import { spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { errorCode, UserError } from '../local/errors.ts';
import { CHECKOUT } from '../local/settings.ts';

// `npm run pack`: assembles the package `countersign` in dist/package and packs it. The same checkout gives the same bytes.

const FOLDER = path.join(CHECKOUT, 'dist', 'package');
const TYPES = 'types';

interface Root {
  readonly version: string;
  readonly license: string;
}

/**
 * Assembles the package and packs it.
 *
 * @param folder what becomes the package. What is there goes.
 * @param destination the folder of the tarball.
 * @returns the path of the tarball.
 * @throws UserError if a part of it does not build.
 */
export async function pack(folder: string, destination: string): Promise<string> {
  const root: Root = JSON.parse(readFileSync(path.join(CHECKOUT, 'package.json'), 'utf8'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const inputs = await bundle(folder);
  writeTypes(folder);
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest(root), null, 2)}\n`);
  writeFileSync(path.join(folder, 'THIRD-PARTY-LICENSES.md'), licensesOf(inputs));
  copyFileSync(path.join(CHECKOUT, 'package', 'README.md'), path.join(folder, 'README.md'));
  copyFileSync(path.join(CHECKOUT, 'LICENSE'), path.join(folder, 'LICENSE'));
  const args = ['pack', folder, '--pack-destination', destination, '--ignore-scripts', '--silent'];
  const name = run('npm', args).trim();
  return path.join(destination, name);
}

const manifest = ({ version, license }: Root) => ({
  name: 'countersign',
  version,
  description: 'Client and command of Countersign, the audited front door to PipeOps service-account tokens.',
  license,
  type: 'module',
  sideEffects: false,
  bin: { countersign: './command.js' },
  exports: {
    './client': { types: `./${TYPES}/package/client/index.d.ts`, default: './client.js' },
    './package.json': './package.json',
  },
  // TypeScript with the old resolution does not read `exports`.
  typesVersions: { '*': { client: [`./${TYPES}/package/client/index.d.ts`] } },
  files: ['client.js', 'command.js', TYPES, 'THIRD-PARTY-LICENSES.md'],
  engines: { node: '>=20' },
});

/** Writes the client and the command, each in one file that needs no other package. */
async function bundle(folder: string): Promise<Metafile['inputs']> {
  const common = { absWorkingDir: CHECKOUT, bundle: true, format: 'esm', metafile: true, charset: 'utf8' } as const;
  const client = await build({
    ...common,
    entryPoints: ['package/client/index.ts'],
    outfile: path.join(folder, 'client.js'),
    // Workers, browsers and Node alike: an import of Node's own modules fails here.
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2022',
  });
  const command = await build({
    ...common,
    entryPoints: ['commands/countersign/main.ts'],
    outfile: path.join(folder, 'command.js'),
    platform: 'node',
    target: 'node20',
  });
  return { ...client.metafile.inputs, ...command.metafile.inputs };
}

/** Writes the declarations of the client. A consumer's TypeScript looks for `.d.ts` beside a `.js`, in every version. */
function writeTypes(folder: string): void {
  const types = path.join(folder, TYPES);
  const tsc = path.join(CHECKOUT, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = path.join(CHECKOUT, 'package', 'client', 'tsconfig.json');
  const emitting = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', types];
  run(process.execPath, [tsc, '-p', project, ...emitting]);
  for (const name of globSync('**/*.d.ts', { cwd: types })) {
    const file = path.join(types, name);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
  }
}

/** The licences of what is bundled, as these licences want it. */
function licensesOf(inputs: Metafile['inputs']): string {
  const names = Object.keys(inputs).flatMap((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []);
  const sections = [...new Set(names)].toSorted().map((name) => {
    const [file] = globSync(['LICENSE*', 'LICENCE*', 'license*'], {
      cwd: path.join(CHECKOUT, 'node_modules', name),
    }).toSorted();
    const text =
      file === undefined ? null : readFileSync(path.join(CHECKOUT, 'node_modules', name, file), 'utf8').trim();
    return `## ${name}\n\n${text ?? licenseNamedBy(name)}\n`;
  });
  return `# Licences of what is bundled\n\n${sections.join('\n')}`;
}

function licenseNamedBy(name: string): string {
  const file = path.join(CHECKOUT, 'node_modules', name, 'package.json');
  const { license }: { readonly license?: string } = JSON.parse(readFileSync(file, 'utf8'));
  return `Its package names the licence ${license ?? 'nowhere'} and has no text of it.`;
}

/** @returns what it printed. @throws UserError if it fails. */
function run(command: string, args: readonly string[]): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: CHECKOUT, encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new UserError(`${path.basename(command)} failed (${errorCode(error) ?? status}): ${stdout}${stderr}`.trim());
}

// A test imports this file; only `npm run pack` runs it.
if (import.meta.main) {
  try {
    console.log(path.relative(process.cwd(), await pack(FOLDER, path.dirname(FOLDER))));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

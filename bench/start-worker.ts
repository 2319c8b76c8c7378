import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));
/** As in wrangler.toml. */
const COMPATIBILITY_DATE = '2026-10-01';
const COMPATIBILITY_FLAGS = ['nodejs_compat'];

/**
 * Bundles a Worker as a deployment would and runs it in workerd, until it is disposed of.
 *
 * @param databases names of bindings, each to a D1 database of its own.
 */
export async function startWorker(
  entry: string,
  variables: object,
  databases: readonly string[] = [],
): Promise<AsyncDisposable & { readonly url: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'countersign-bench-'));
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    const wrangler = path.join(CHECKOUT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
    const build = ['deploy', entry, '--dry-run', '--outdir', folder];
    await promisify(execFile)(process.execPath, [wrangler, ...build], { cwd: CHECKOUT });
    const script = `${path.basename(entry, '.ts')}.js`;
    const worker = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        telemetry: { enabled: false },
        workers: [
          {
            name: 'bench',
            compatibilityDate: COMPATIBILITY_DATE,
            compatibilityFlags: COMPATIBILITY_FLAGS,
            modulesRoot: folder,
            modules: [{ type: 'ESModule', path: path.join(folder, script) }],
            bindings: { ...variables },
            d1Databases: Object.fromEntries(databases.map((name) => [name, { id: name }])),
          },
        ],
      }),
    );
    const url = (await worker.ready).href;
    return {
      url,
      [Symbol.asyncDispose]: async () => {
        await worker.dispose();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

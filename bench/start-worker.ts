import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { runWrangler } from '../local/wrangler.ts';

/** As in wrangler.toml. */
const COMPATIBILITY_DATE = '2026-10-01';
const COMPATIBILITY_FLAGS = ['nodejs_compat'];

/**
 * Bundles a Worker as a deployment would and runs it in workerd, until it is disposed of.
 *
 * @param databases names of bindings, each to a D1 database of its own.
 * @param buckets names of bindings, each to an R2 bucket of its own.
 */
export async function startWorker(
  entry: string,
  variables: object,
  databases: readonly string[] = [],
  buckets: readonly string[] = [],
): Promise<AsyncDisposable & { readonly url: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'countersign-bench-'));
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    const build = await runWrangler(['deploy', entry, '--dry-run', '--outdir', folder]);
    if (build.exitCode !== 0) throw new Error(`${entry} does not build:\n${build.stdout}${build.stderr}`);
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
            r2Buckets: Object.fromEntries(buckets.map((name) => [name, name.toLowerCase().replaceAll('_', '-')])),
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

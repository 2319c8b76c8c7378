import path from 'node:path';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions } from 'wrangler';
import { BUNDLE } from '../local/build.ts';
import { TOP_LEVEL, WRANGLER_TOML } from '../local/wrangler.ts';

/** Callers here ask far more often than anybody may. */
const UNLIMITED = { limit: 1_000_000_000, period: 60 } as const;

/** A Worker's text; null: the built bundle. */
export type Script = string | null;

/**
 * The built Worker on workerd, with what wrangler.toml declares but for the rate limits, which are too high to be met;
 * or another script in its place, so that the two differ by nothing else.
 */
export function runBuiltWorker(variables: Readonly<Record<string, string>>, script: Script = null): Miniflare {
  const { workerOptions } = unstable_getMiniflareWorkerOptions(WRANGLER_TOML, TOP_LEVEL);
  // The bundle is whole: there is nothing left for module rules to find, and paths are ours.
  // The pages of /docs are left out: locally each request would pass through a router that stands in for Cloudflare's.
  const { modulesRules: _modulesRules, rootPath: _rootPath, assets: _assets, ratelimits, ...declared } = workerOptions;
  const unlimited = Object.entries(ratelimits ?? {}).map(([name, limit]) => [name, { ...limit, simple: UNLIMITED }]);
  return new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      cf: false,
      telemetry: { enabled: false },
      handleStructuredLogs: ({ level, message }) => {
        // What another script has to say may be that it does not start, which is then expected.
        if (level === 'error' && script === null) console.error(message);
      },
      workers: [
        {
          ...declared,
          name: 'countersign',
          ratelimits: Object.fromEntries(unlimited),
          bindings: { ...variables },
          modulesRoot: path.dirname(BUNDLE),
          modules: [{ type: 'ESModule', path: BUNDLE, ...(script !== null && { contents: script }) }],
        },
      ],
    }),
  );
}

import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { keepLoopbackDirect } from './local/loopback.ts';
import { keepTemporaryFilesInMemory } from './test/support/memory-folder.ts';

const nodeTests = [
  'test/e2e/**/*.test.ts',
  'test/pipeops-simulator/**/*.test.ts',
  'test/commands/**/*.test.ts',
  'test/console/**/*.test.ts',
  'test/package/**/*.test.ts',
  'test/local/**/*.test.ts',
  'test/migrations/**/*.test.ts',
  'test/bundle/**/*.test.ts',
  'test/prove/**/*.test.ts',
  'test/documents/**/*.test.ts',
  'test/console/**/*.test.ts',
];

/**
 * What the Worker and its tests import from packages, bundled once: vite would otherwise transform some 400 files of theirs in each run,
 * and every call between those files would go through a getter.
 */
const BUNDLED = [
  'drizzle-orm',
  'drizzle-orm/d1',
  'drizzle-orm/sqlite-core',
  'fast-check',
  'hono',
  'hono/factory',
  'hono/route',
  'hono/utils/url',
  'jose',
  'standardwebhooks',
  'zod',
];

/** A file beside the bundle would be a second copy of a package, with classes and state of its own. */
const onlyBundled = {
  name: 'only-bundled',
  enforce: 'pre' as const,
  load(id: string): void {
    const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1];
    if (name !== undefined && BUNDLED.includes(name)) throw new Error(`BUNDLED in vitest.config.ts lacks ${id}`);
  },
};

/** The real wrangler against a simulated Cloudflare: `npm run test:deploy`. */
const deployTests = ['test/deploy/**/*.test.ts'];

/** The console in an installed Chromium: `npm run test:browser`, which installs what they need first. */
const browserTests = ['test/browser/**/*.test.ts'];

// All that tests ask is on this machine, and the proxy of a machine that has one does not reach it.
keepLoopbackDirect();
keepTemporaryFilesInMemory();

// Tests start the commands and wrangler some 200 times: each process but the first of its kind finds its code compiled.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url));

export default defineConfig(async () => ({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    // The rooms whose branches each decide who gets in, or what for.
    coverage: {
      provider: 'istanbul' as const,
      include: ['src/identity/**', 'src/policy/**'],
      reporter: ['text'],
      thresholds: { 'src/identity/**': { branches: 100 }, 'src/policy/**': { branches: 100 } },
    },
    projects: [
      {
        plugins: [
          onlyBundled,
          cloudflareTest({
            // Without the empty name CLOUDFLARE_ENV would choose the section.
            wrangler: { configPath: './wrangler.toml', environment: '' },
            miniflare: {
              bindings: { TEST_MIGRATIONS: await readD1Migrations('drizzle') },
              r2Buckets: ['TRAIL'],
            },
          }),
        ],
        test: {
          name: 'workerd',
          // Each worker is a workerd with a simulator of its own. Half of the time of a file is spent waiting for one of them.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          deps: { optimizer: { ssr: { enabled: true, include: BUNDLED } } },
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: [...nodeTests, ...deployTests, ...browserTests],
          globalSetup: ['test/support/start-simulators.ts'],
          setupFiles: ['test/support/setup.ts'],
          // These only end what hangs. A slow machine fails no test by them.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          expect: { poll: { timeout: 20_000 } },
        },
      },
      {
        test: {
          name: 'node',
          // A process for each file would cost a quarter of their time. Files put back what they set.
          isolate: false,
          // Half of the time of these is spent waiting for another process, so two run even on two cores.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          include: nodeTests,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // A process that a test starts takes longer than the second that is the default, on a machine with more to do.
          expect: { poll: { timeout: 20_000 } },
        },
      },
      {
        test: { name: 'deploy', include: deployTests, testTimeout: 240_000, hookTimeout: 240_000 },
      },
      {
        // It has a lock file of its own, which `npm ci` leaves alone.
        resolve: {
          alias: {
            'playwright-core': fileURLToPath(
              new URL('tools/browser/node_modules/playwright-core/index.mjs', import.meta.url),
            ),
          },
        },
        test: {
          name: 'browser',
          // One service and one Chromium for all files, which take their turns: the people of a local run are three, and each file
          // would meet what another does to them.
          maxWorkers: 1,
          isolate: false,
          include: browserTests,
          globalSetup: ['test/browser/support/start.ts'],
          setupFiles: ['test/browser/support/setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 15_000 } },
        },
      },
    ],
  },
}));

import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { keepLoopbackDirect } from './local/loopback.ts';

const nodeTests = [
  'test/e2e/**/*.test.ts',
  'test/pipeops-simulator/**/*.test.ts',
  'test/commands/**/*.test.ts',
  'test/package/**/*.test.ts',
  'test/local/**/*.test.ts',
  'test/migrations/**/*.test.ts',
  'test/bundle/**/*.test.ts',
  'test/prove/**/*.test.ts',
  'test/documents/**/*.test.ts',
];

/** The real wrangler against a simulated Cloudflare: `npm run test:deploy`. */
const deployTests = ['test/deploy/**/*.test.ts'];

// All that tests ask is on this machine, and the proxy of a machine that has one does not reach it.
keepLoopbackDirect();

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
          cloudflareTest({
            // Without the empty name CLOUDFLARE_ENV would choose the section.
            wrangler: { configPath: './wrangler.toml', environment: '' },
            miniflare: { bindings: { TEST_MIGRATIONS: await readD1Migrations('drizzle') } },
          }),
        ],
        test: {
          name: 'workerd',
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: [...nodeTests, ...deployTests],
          globalSetup: ['test/support/start-simulator.ts'],
          setupFiles: ['test/support/setup.ts'],
          // These only end what hangs. A slow machine fails no test by them.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          expect: { poll: { timeout: 20_000 } },
        },
      },
      {
        test: { name: 'node', include: nodeTests, testTimeout: 60_000, hookTimeout: 60_000 },
      },
      {
        test: { name: 'deploy', include: deployTests, testTimeout: 240_000, hookTimeout: 240_000 },
      },
    ],
  },
}));

import path from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import base from '../../vitest.config.ts';

/** The workerd project as it is, with counters in the functions of `src`, for `npm run journeys`. */
export default defineConfig(async (environment) => {
  const { test } = await base(environment);
  const projects = (test?.projects ?? []) as readonly TestProjectInlineConfiguration[];
  const workerd = projects.find((project) => project.test?.name === 'workerd');
  return {
    root: path.resolve(import.meta.dirname, '../..'),
    test: {
      reporters: ['default'],
      coverage: { enabled: true, provider: 'istanbul' as const, include: ['src/**'], reporter: [] },
      projects: [
        { ...workerd, test: { ...workerd?.test, include: ['test/journeys/count.ts'], exclude: [], maxWorkers: 1 } },
      ],
    },
  };
});

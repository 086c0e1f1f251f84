/**
 * Test projects. `node`: everything that runs in Node, kernels (through Dawn) included. `page`: the built page in
 * a real Chromium. `soak`: long runs, asked for with `npm run soak`. `npm test` (scripts/test.mjs) runs all but the
 * last.
 *
 * The Vulkan driver for Dawn is chosen here, so that `npx vitest run test/ops/x.test.ts` works as it stands: test
 * files run in forked processes, which inherit this process's environment.
 */
import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { findVulkan } from './scripts/environment.mjs';

Object.assign(process.env, (await findVulkan({ adapter: process.env.TABDIT_ADAPTER })).env);

// Suites that need the shared fixtures register nothing where those are absent (test/helpers/fixtures.ts), which
// may leave a file without a test. Where they are present such a file is a mistake and fails.
const passWithNoTests = !existsSync(new URL('../shared/fixtures', import.meta.url));

const common = {
  environment: 'node',
  pool: 'forks',
  testTimeout: 120_000,
  hookTimeout: 120_000,
  passWithNoTests,
} as const;

export default defineConfig({
  test: {
    watch: false,
    passWithNoTests,
    // Software Vulkan drivers use several threads for one kernel: more workers than two only fight each other.
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/page/**', 'test/soak/**'],
        },
      },
      // One page at a time: its rendering process and its GPU process already fill two cores.
      { test: { ...common, name: 'page', include: ['test/page/**/*.test.ts'], fileParallelism: false } },
      {
        test: {
          ...common,
          name: 'soak',
          include: ['test/soak/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 3_600_000,
        },
      },
    ],
  },
});

/**
 * The shared reference fixtures: goldens recorded from the reference implementation, kept outside this repository
 * in `../shared/fixtures` because of their size.
 *
 * Not everybody has them. A suite that needs them is declared with `describeFixtures` instead of `describe`: where
 * they exist it runs as any other suite, where they do not nothing of it is registered and one line says what was
 * not checked. The test runner (scripts/test.mjs) collects those lines into its summary.
 */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const fixturesRoot = resolve(projectRoot, '../shared/fixtures');

/** True where the shared fixtures lie beside the project. */
export const haveFixtures: boolean = existsSync(fixturesRoot);

/**
 * Absolute path of a shared fixture.
 *
 * @param rel path inside the fixtures folder, for example `dit/micro-a.forward.safetensors`
 * @throws Error when the fixtures are here but this one is not, or when there are none at all
 */
export function fixturePath(rel: string): string {
  const path = resolve(fixturesRoot, rel);
  if (!existsSync(path)) throw new Error(`fixture: ${rel} must exist under ../shared/fixtures: it does not`);
  return path;
}

/**
 * `describe` for suites that read shared fixtures.
 *
 * @param name the suite's name, as for `describe`; it stands in the "not checked here" line too
 * @param fn declares the suite; never called where the fixtures are absent, so it may read fixtures while declaring
 */
export function describeFixtures(name: string, fn: () => void): void {
  if (haveFixtures) {
    describe(name, fn);
    return;
  }
  process.stdout.write(`not checked here: ${name} (needs the shared fixtures)\n`);
}

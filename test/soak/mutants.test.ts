/**
 * Thousands of damaged copies of every valid weight file: each is read or refused with an error of this program, soon, and
 * within bounded memory. Every tenth goes through the library's recogniser, which must never throw.
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readMutants, readPickleMutants } from '../formats/mutants';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { MB, PeakWatch } from './memory';

/** Copies of each file. */
const copies = 20_000;

/** Fixtures of a folder that may be read, by their expected outcomes. */
function validFiles(folder: string): string[] {
  const expected = JSON.parse(readFileSync(fixturePath(`formats/${folder}/expected.json`), 'utf8')) as Record<
    string,
    { readonly outcome?: string }
  >;
  return Object.entries(expected)
    .filter(([, { outcome }]) => outcome?.includes('tensors'))
    .map(([name]) => `${folder}/${name}`);
}

async function check(what: string, run: () => ReturnType<typeof readMutants>): Promise<void> {
  const watch = new PeakWatch();
  const outcome = await run();
  const growth = watch.end();
  console.log(
    `${what}: ${outcome.read} read, ${outcome.refused} refused, slowest ${outcome.slowest.toFixed(0)} ms, ` +
      `heap and external grew by ${(growth / MB).toFixed(0)} MB at most`,
  );
  expect(outcome.problems).toEqual([]);
  expect(outcome.slowest).toBeLessThan(5000);
  expect(growth).toBeLessThan(500 * MB);
}

describeFixtures('damaged files', () => {
  const small = [...validFiles('torch'), ...validFiles('safetensors')];
  it.each(small)('copies of %s', (name) => check(name, () => readMutants(`formats/${name}`, 101, 0, copies)));

  const pickles = validFiles('torch').filter((name) => !name.includes('legacy'));
  it.each(pickles)('copies of %s with a damaged pickle', (name) =>
    check(`${name}, pickle`, () => readPickleMutants(`formats/${name}`, 103, 0, copies)),
  );

  it.each(['ep0-ba3-rank0', 'latest-rank0', 'v0.24-ep0-ba3-rank0', 'minimal-resume'])(
    'copies of composer/%s',
    (name) => check(name, () => readMutants(`formats/composer/${name}.pt`, 102, 0, copies)),
  );
});

/** Parts that come and go: who makes room for whom, and what is refused. */
import { expect, test } from 'vitest';
import { Residency, type Guest, type Resident } from '../../src/sessions/residency';
import { testResources, useTestGpu } from '../helpers/device';

useTestGpu();

type Name = 'a' | 'b' | 'c';

/** Parts of 10 bytes and `scratch`; `log` gets who came and who went. */
async function parts(budget: number, scratch = 0) {
  const log: string[] = [];
  const guest = (name: Name): Guest<Resident> => ({
    words: `part ${name}`,
    load: async () => {
      log.push(`+${name}`);
      return { dispose: () => void log.push(`-${name}`) };
    },
  });
  const guests = { a: guest('a'), b: guest('b'), c: guest('c') };
  const residency = new Residency<Record<Name, Resident>>(await testResources(), guests, budget);
  for (const name of ['a', 'b', 'c'] as const) residency.resize(name, { bytes: 10, scratch });
  return { residency, log };
}

test('with room for all nobody goes', async () => {
  const { residency, log } = await parts(35, 5);
  await residency.get('a', ['b', 'c']);
  await residency.get('b', ['a', 'c']);
  expect(residency.fits('c')).toBe(true);
  await residency.get('c', ['a', 'b']);
  await residency.get('a', ['b', 'c']);
  expect(log).toEqual(['+a', '+b', '+c']);
});

test('the first that is named goes first, and only as many as must', async () => {
  const { residency, log } = await parts(25, 5);
  await residency.get('a', ['b', 'c']);
  await residency.get('b', ['a', 'c']);
  expect(residency.fits('c')).toBe(false);
  await residency.get('c', ['b', 'a']);
  expect(log).toEqual(['+a', '+b', '-b', '+c']);
  expect(residency.peek('a')).not.toBeNull();
  expect(residency.peek('b')).toBeNull();
  // a job that takes more sends another away though both are there
  residency.resize('c', { bytes: 18, scratch: 5 });
  await residency.get('c', ['b', 'a']);
  expect(log.slice(4)).toEqual(['-a']);
});

test('what does not fit alone is refused with the numbers', async () => {
  const { residency, log } = await parts(12, 5);
  await expect(residency.get('a', ['b', 'c'])).rejects.toThrow(
    'memory: part a must fit the budget of 12 bytes: it needs 15 bytes',
  );
  expect(log).toEqual([]);
});

test('all go in the end', async () => {
  const { residency, log } = await parts(100);
  await residency.get('a', []);
  await residency.get('b', []);
  residency.disposeAll();
  expect(log).toEqual(['+a', '+b', '-a', '-b']);
});

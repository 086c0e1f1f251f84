import { expect, test } from 'vitest';
import { runSelfCheck } from '../../src/engine/selfCheck';
import { selfCheckCases } from '../../src/engine/selfCheckCases';
import { ops } from '../../src/ops/index';
import { testGpu, useTestGpu } from '../helpers/device';

useTestGpu();

test('every op has a case', () => {
  const stems = [...new Set(ops.map(({ stem }) => stem))].sort();
  expect([...new Set(selfCheckCases.map(({ stem }) => stem))].sort()).toEqual(stems);
});

test('every case passes, and says how far off it is', async () => {
  const heard: string[] = [];
  const { rows } = await runSelfCheck(await testGpu(), {
    onRow: (row, of) => heard.push(`${row.stem} ${of}`),
  });
  expect(rows.filter(({ passed }) => !passed)).toEqual([]);
  expect(rows).toHaveLength(selfCheckCases.length);
  expect(heard).toEqual(selfCheckCases.map(({ stem }) => `${stem} ${selfCheckCases.length}`));
  // exact cases are exact; the others are not all zero, or nothing was compared
  expect(rows.some(({ error }) => error > 0)).toBe(true);
  // a software driver takes seconds for some pipelines
}, 400_000);

test('a case beyond its tolerance, and one that cannot run, are rows that say so', async () => {
  const gelu = selfCheckCases.find(({ what }) => what.includes('gelu_erf'))!;
  const { rows } = await runSelfCheck(await testGpu(), {}, [
    { ...gelu, tolerance: 1e-12 },
    { ...gelu, inputs: {} },
  ]);
  expect(rows[0]).toMatchObject({ passed: false, problem: '' });
  expect(rows[0]?.error).toBeGreaterThan(1e-12);
  expect(rows[0]?.error).toBeLessThan(1e-5);
  expect(rows[1]).toMatchObject({ passed: false, error: Infinity });
  expect(rows[1]?.problem).not.toBe('');
});

test('stops when aborted', async () => {
  const controller = new AbortController();
  const run = runSelfCheck(await testGpu(), { signal: controller.signal, onRow: () => controller.abort() });
  await expect(run).rejects.toThrow();
});

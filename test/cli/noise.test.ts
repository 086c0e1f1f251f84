/** `tabdit noise`: torch's numbers, on both layouts, with and without a seed. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectClose } from '../helpers/compare';
import { goldenPath } from '../helpers/golden';
import { readFloats, readShapes, tabdit, tabditJson, temporaryFolder } from './run';

interface CudaCase {
  seed: string;
  shape: number[];
  max_threads: number | null;
  offset: string;
  first: number[];
}

describe('noise', () => {
  const temporary = temporaryFolder();

  test('CUDA, seed 18, written as a tensor', async () => {
    const { cuda } = JSON.parse(readFileSync(goldenPath('rng.json'), 'utf8')) as { cuda: CudaCase[] };
    const golden = cuda.find(
      ({ seed, offset, shape }) => seed === '18' && offset === '0' && shape.length === 4,
    )!;
    const out = temporary('noise.safetensors');
    const printed = tabditJson<{ first: number[]; shape: number[]; seed: string }>(
      ...['noise', '--seed', '18', '--shape', golden.shape.join(','), '--out', out],
    );
    expect(printed).toMatchObject({ shape: golden.shape, seed: '18', rng: 'cuda', out });
    expect(await readShapes(out)).toEqual({ noise: golden.shape });
    const values = await readFloats(out, 'noise');
    expect(printed.first).toEqual(Array.from(values.subarray(0, 8)));
    for (const [index, value] of golden.first.entries()) expect(values[index]).toBeCloseTo(value, 5);
  });

  test('the CPU layout is that of the demo samples', async () => {
    const out = temporary('cpu.safetensors');
    tabditJson('noise', '--seed', '7', '--rng', 'cpu', '--shape', '8,4,16,16', '--out', out);
    const golden = await readFloats(goldenPath('emoji-64.samples.safetensors'), 'noise');
    const values = await readFloats(out, 'noise');
    expectClose(values.subarray(0, golden.length), golden, 2e-6, 'noise');
  });

  test('a seed beyond 64 bits is refused', () => {
    const { status, stderr } = tabdit('noise', '--shape', '4', '--seed', '18446744073709551616');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^tabdit: seed: must lie between -2\^63 and 2\^64 - 1: 18446744073709551616\n$/);
  });
});

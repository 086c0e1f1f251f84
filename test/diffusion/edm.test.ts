/** EDM's numbers and the fixed embeddings against the published formulas and the reference's own tables. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/core/errors';
import {
  heunTable,
  karrasSigmas,
  packEdmCoefficients,
  packHeunTable,
  precondition,
  sigmaOfDraw,
} from '../../src/diffusion/edm';
import { positionEmbedding, timestepEmbedding } from '../../src/models/dit/positions';
import { edmColumns } from '../../src/ops/edmLoss';
import { heunColumns, heunStages } from '../../src/ops/heunStep';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

function relative(actual: number, expected: number): number {
  return Math.abs(actual - expected) / (Math.abs(expected) || 1);
}

describe('edm', () => {
  test('preconditioning at the published check values', () => {
    const rows: [sigma: number, skip: number, out: number, cIn: number, noise: number][] = [
      [80, 1.2654648e-4, 0.89994305, 0.0124992091, 1.09550667],
      [1, 0.44751381, 0.66896473, 0.74329415, 0],
      [0.9, 0.5, 0.6363961, 0.7856742, -0.02634013],
      [0.002, 0.99999506, 0.001999995, 1.11110837, -1.55365202],
    ];
    for (const [sigma, ...wanted] of rows) {
      const { cSkip, cOut, cIn, cNoise, weight } = precondition(sigma);
      [cSkip, cOut, cIn, cNoise].forEach((value, i) =>
        expect(relative(value, wanted[i]!)).toBeLessThan(5e-8),
      );
      expect(weight * cOut ** 2).toBeCloseTo(1, 13);
    }
    for (const sigma of [0, -1, NaN, Infinity]) {
      expect(() => precondition(sigma)).toThrow(`noise level: a positive finite number is needed: ${sigma}`);
    }
  });

  test('Karras noise levels', () => {
    const n18 = [
      80, 57.585985, 40.785574, 28.374585, 19.352453, 12.910082, 8.400935, 5.315195, 3.256822, 1.92334,
    ];
    const sigmas = karrasSigmas(18);
    expect(sigmas).toHaveLength(19);
    n18.forEach((value, i) => expect(sigmas[i]).toBeCloseTo(value, 5));
    expect(sigmas[17]).toBeCloseTo(0.002, 15);
    expect(sigmas[18]).toBe(0);
    for (const steps of [1, 0, 2.5, NaN]) {
      expect(() => karrasSigmas(steps)).toThrow(InputError);
      expect(() => karrasSigmas(steps)).toThrow(`steps: a whole number of at least 2 is needed: ${steps}`);
    }
  });

  test('training noise levels are log-normal', () => {
    expect(sigmaOfDraw(0, -0.6, 1.2)).toBe(Math.exp(-0.6));
    expect(sigmaOfDraw(-1.5, 0, 0.6)).toBeCloseTo(Math.exp(-0.9), 14);
  });

  test('the table of the sampler visits 2 N - 1 points', () => {
    const rows = heunTable(5);
    const sigmas = karrasSigmas(5);
    expect(rows.map((row) => `${row.step} ${row.stage}`)).toEqual([
      '0 predict',
      '0 correct',
      '1 predict',
      '1 correct',
      '2 predict',
      '2 correct',
      '3 predict',
      '3 correct',
      '4 last',
    ]);
    expect(rows.map((row) => row.sigma)).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4].map((i) => sigmas[i]));
    expect(rows.map((row) => row.dt)).toEqual(
      [0, 0, 1, 1, 2, 2, 3, 3, 4].map((i) => sigmas[i + 1]! - sigmas[i]!),
    );
    for (const { sigma, cSkip, cOut, slopeX, slopeF } of rows) {
      // d = (x - cSkip x - cOut F) / sigma
      expect(relative(slopeX, (1 - cSkip) / sigma)).toBeLessThan(sigma < 0.01 ? 1e-10 : 1e-12);
      expect(relative(slopeF, -cOut / sigma)).toBeLessThan(1e-14);
    }
  });

  test('tables for the device have their columns in place', () => {
    const rows = heunTable(3);
    const packed = packHeunTable(rows);
    expect(packed).toHaveLength(5 * 8);
    rows.forEach((row, i) => {
      for (const name of ['cIn', 'slopeX', 'slopeF', 'cSkip', 'cOut', 'dt', 'sigma'] as const) {
        expect(packed[i * 8 + heunColumns[name]]).toBe(Math.fround(row[name]));
      }
      expect(packed[i * 8 + heunColumns.stage]).toBe(heunStages[row.stage]);
    });
    const coefficients = packEdmCoefficients([0.01, 3]);
    [0.01, 3].forEach((sigma, i) => {
      const { cSkip, cOut, cIn, weight } = precondition(sigma);
      const wanted = { sigma, cSkip, cOut, cIn, weight };
      for (const [name, value] of Object.entries(wanted)) {
        expect(coefficients[i * 8 + edmColumns[name as keyof typeof wanted]]).toBe(Math.fround(value));
      }
      expect(relative(coefficients[i * 8 + edmColumns.rest]!, 1 - cSkip)).toBeLessThan(1e-7);
    });
  });
});

describe('embeddings', () => {
  test('published check values', () => {
    const t = timestepEmbedding(Math.log(80) / 4);
    const rows: [index: number, value: number][] = [
      [0, 0.457596],
      [1, 0.491667],
      [255, 1],
      [256, 0.88916],
      [511, 1.135639e-4],
    ];
    for (const [index, value] of rows) expect(t[index]).toBeCloseTo(value, 5);
    const positions = positionEmbedding(16, 1024, 1);
    expect(positions[1024]).toBeCloseTo(0.841470985, 7);
    expect(positions[1024 + 512]).toBe(0);
    expect(positions[16 * 1024 + 512]).toBeCloseTo(0.841470985, 7);
  });

  test('sizes that cannot be are named', () => {
    expect(() => positionEmbedding(2.5, 8, 1)).toThrow(
      'position embedding: the grid has a whole number of patches a side: 2.5',
    );
    expect(() => positionEmbedding(2, 6, 1)).toThrow(
      'position embedding: the width is a positive multiple of 4: 6',
    );
    expect(() => positionEmbedding(2, 8, 0)).toThrow(
      'position embedding: the interpolation scale is positive: 0',
    );
    expect(() => timestepEmbedding(0, 7)).toThrow(
      'timestep embedding: the width is a positive even number: 7',
    );
    expect(() => timestepEmbedding(NaN)).toThrow('timestep embedding: the time is a finite number: NaN');
  });
});

interface Schedules {
  readonly karras: Record<string, number[]>;
  readonly preconditioning: { sigma: number; c_skip: number; c_out: number; c_in: number; c_noise: number }[];
  readonly timestep_embedding: { t: number[]; dim16: number[][]; dim512_index: number[]; dim512: number[][] };
  readonly position_embedding: {
    dim: number;
    grid: number;
    pos_interp_scale: number;
    values: number[][];
    tokens?: number[];
    channels?: number[];
    sum?: number;
    sum_squares?: number;
  }[];
}

describeFixtures('schedules of the reference', () => {
  const schedules = JSON.parse(readFileSync(fixturePath('dit/schedules.json'), 'utf8')) as Schedules;

  test.each(Object.entries(schedules.karras))('noise levels of %s steps', (steps, wanted) => {
    const sigmas = karrasSigmas(Number(steps));
    expect(sigmas).toHaveLength(wanted.length);
    wanted.forEach((sigma, i) => expect(relative(sigmas[i]!, sigma)).toBeLessThan(1e-12));
  });

  test.each(schedules.preconditioning)('preconditioning at $sigma', (wanted) => {
    const { cSkip, cOut, cIn, cNoise } = precondition(wanted.sigma);
    expect(relative(cSkip, wanted.c_skip)).toBeLessThan(1e-12);
    expect(relative(cOut, wanted.c_out)).toBeLessThan(1e-12);
    expect(relative(cIn, wanted.c_in)).toBeLessThan(1e-12);
    expect(relative(cNoise, wanted.c_noise)).toBeLessThan(1e-12);
  });

  test('timestep embeddings', () => {
    const { t, dim16, dim512, dim512_index: at } = schedules.timestep_embedding;
    t.forEach((time, row) => {
      const small = timestepEmbedding(time, 16);
      dim16[row]!.forEach((value, i) => expect(Math.abs(small[i]! - value)).toBeLessThan(1e-6));
      const large = timestepEmbedding(time);
      dim512[row]!.forEach((value, i) => expect(Math.abs(large[at[i]!]! - value)).toBeLessThan(1e-6));
    });
  });

  test.each(schedules.position_embedding)(
    'positions of $grid x $grid, width $dim, scale $pos_interp_scale',
    (wanted) => {
      const { dim, grid } = wanted;
      const table = positionEmbedding(grid, dim, wanted.pos_interp_scale);
      expect(table).toHaveLength(grid * grid * dim);
      wanted.values.forEach((row, i) =>
        row.forEach((value, j) => {
          const token = wanted.tokens?.[i] ?? i;
          const channel = wanted.channels?.[j] ?? j;
          expect(Math.abs(table[token * dim + channel]! - value)).toBeLessThan(1e-6);
        }),
      );
      if (wanted.sum === undefined || wanted.sum_squares === undefined) return;
      expect(
        relative(
          table.reduce((sum, value) => sum + value, 0),
          wanted.sum,
        ),
      ).toBeLessThan(1e-6);
      expect(
        relative(
          table.reduce((sum, value) => sum + value * value, 0),
          wanted.sum_squares,
        ),
      ).toBeLessThan(1e-6);
    },
  );
});

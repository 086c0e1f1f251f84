/** Initial weights: distributions, zeros, and that nothing but seed, name and position decides a value. */
import { describe, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { elementCount } from '../../src/core/shape';
import { ditParameters, type DitParameter } from '../../src/models/dit/parameters';
import { positionEmbedding } from '../../src/models/dit/positions';
import { sizeConfig } from '../../src/train/presets';
import {
  drawInitial,
  initialValues,
  initialWeights,
  initRule,
  normalCut,
  type InitRule,
} from '../../src/train/initialise';
import { philoxWords } from '../../src/random/philox';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const config = sizeConfig('Nano');
const table = ditParameters(config);
const named = (name: string, of = table): DitParameter => {
  const spec = of.find((row) => row.name === name);
  if (!spec) throw new Error(`no tensor ${name}`);
  return spec;
};
const seed = 18n;

const sameBytes = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.compare(
    Buffer.from(a.buffer, a.byteOffset, a.byteLength),
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  ) === 0;

interface Moments {
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly max: number;
}

function momentsOf(values: Float32Array): Moments {
  let sum = 0;
  let squares = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    sum += value;
    squares += value * value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const mean = sum / values.length;
  return { mean, std: Math.sqrt(squares / values.length - mean * mean), min, max };
}

/** Standard deviation of a rule. */
const spreadOf = (rule: InitRule): number =>
  rule.kind === 'normal' ? rule.std : rule.kind === 'uniform' ? rule.bound / Math.sqrt(3) : 0;

/** Whether moments of `count` draws are what a rule gives: five standard errors (a uniform's fourth moment is 1.8). */
function expectMoments({ mean, std, min, max }: Moments, rule: InitRule, count: number, what: string): void {
  const spread = spreadOf(rule);
  expect(Math.abs(mean), `${what} mean`).toBeLessThanOrEqual((5 * spread) / Math.sqrt(count));
  const kurtosis = rule.kind === 'uniform' ? 1.8 : 3;
  const error = (spread * Math.sqrt((kurtosis - 1) / count)) / 2;
  expect(Math.abs(std - spread), `${what} std`).toBeLessThanOrEqual(5 * error + 1e-9);
  if (rule.kind === 'uniform') {
    expect(Math.max(-min, max), `${what} bound`).toBeLessThanOrEqual(Math.fround(rule.bound));
  }
}

describe('a fresh model', () => {
  const whole = [...initialWeights({ config, seed })];

  test('has the tensors of the parameter table, in its order and shapes', () => {
    expect(whole.map(({ spec }) => spec.name)).toEqual(table.map(({ name }) => name));
    for (const { spec, values } of whole) expect(values.length, spec.name).toBe(elementCount(spec.shape));
  });

  test('every tensor has the distribution of its rule', () => {
    for (const { spec, values } of whole) {
      const rule = initRule(config, spec);
      if (rule.kind === 'positions') continue;
      if (rule.kind === 'constant') {
        expect(
          values.every((value) => value === rule.value),
          spec.name,
        ).toBe(true);
      } else expectMoments(momentsOf(values), rule, values.length, spec.name);
    }
  });

  test('begins as an identity: outputs, gates and the caption block add nothing', () => {
    const zero = whole
      .filter(({ values }) => values.every((value) => value === 0))
      .map(({ spec }) => spec.name);
    const biases = table.filter(({ role, name }) => role === 'bias' && name !== 'x_embedder.proj.bias');
    const expected = new Set([
      ...biases.map(({ name }) => name),
      ...table.map(({ name }) => name).filter((name) => /adaLN_modulation\.1\.(weight|bias)$/.test(name)),
      ...['mask_token', 'final_layer.linear.weight'],
      ...['y_emb_preprocess.attn.proj.weight', 'y_emb_preprocess.mlp.w3.weight'],
    ]);
    expect(new Set(zero)).toEqual(expected);
  });

  test('layer norms are ones, positions are the formula', () => {
    for (const { spec, values } of whole.filter(({ spec: { role } }) => role === 'norm')) {
      expect(
        values.every((value) => value === 1),
        spec.name,
      ).toBe(true);
    }
    expect(whole[0]!.values).toEqual(positionEmbedding(8, 96, 1));
  });
});

describe('rules', () => {
  const xl = sizeConfig('MicroDiT_XL_2');
  const xlTable = ditParameters(xl);
  const rule = (name: string, of = xl): InitRule => initRule(of, named(name, ditParameters(of)));

  test('what blocks write shrinks with depth: their own in the backbone, all of it in the mixer', () => {
    expect(rule('blocks.0.attn.proj.weight')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(2) });
    expect(rule('blocks.27.cross_attn.proj.weight')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(56) });
    expect(rule('blocks.2.mlp.w2.weight')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(6) });
    expect(rule('blocks.2.mlp.w3.weight')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(6) });
    expect(rule('blocks.3.mlp.w2')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(8) });
    expect(rule('patch_mixer.0.attn.proj.weight')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(56) });
    expect(rule('patch_mixer.5.mlp.w2')).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(56) });
    const flat = { ...xl, depth_init: false };
    expect(rule('blocks.0.attn.proj.weight', flat)).toEqual({ kind: 'normal', std: 0.02 / Math.sqrt(56) });
  });

  test.each([
    'blocks.0.attn.qkv.weight',
    'blocks.0.cross_attn.q_linear.weight',
    'blocks.9.cross_attn.kv_linear.weight',
    'blocks.2.mlp.w1.weight',
    'blocks.3.mlp.w1',
    'patch_mixer.5.mlp.gate.weight',
    't_embedder.mlp.2.weight',
    'pooled_y_emb_process.fc1.weight',
    'y_embedder.y_proj.fc2.weight',
    'y_emb_preprocess.mlp.w2.weight',
  ])('%s: normal, 0.02', (name) => expect(rule(name)).toEqual({ kind: 'normal', std: 0.02 }));

  test('the rest is uniform', () => {
    expect(rule('x_embedder.proj.weight')).toEqual({ kind: 'uniform', bound: Math.sqrt(6 / (16 + 1024)) });
    expect(rule('x_embedder.proj.bias')).toEqual({ kind: 'uniform', bound: 0.25 });
    expect(rule('x_embedder.proj.bias', sizeConfig('Mini', { in_channels: 16 }))).toEqual({
      kind: 'uniform',
      bound: 0.125,
    });
    const uniform = xlTable.filter((spec) => initRule(xl, spec).kind === 'uniform').map(({ name }) => name);
    expect(uniform).toEqual([
      'x_embedder.proj.weight',
      'x_embedder.proj.bias',
      'patch_mixer_map_xin.1.weight',
      'patch_mixer_map_xout.1.weight',
      'patch_mixer_map_y.1.weight',
    ]);
  });
});

describe('draws', () => {
  const spec = named('blocks.1.mlp.w1');
  const values = initialValues({ config, seed }, spec);

  test('the same again from the same seed, others from another', () => {
    expect(sameBytes(initialValues({ config, seed }, spec), values)).toBe(true);
    const other = initialValues({ config, seed: 19n }, spec);
    expect(other.filter((value, i) => value === values[i])).toHaveLength(0);
    const high = initialValues({ config, seed: seed + 2n ** 32n }, spec);
    expect(high.filter((value, i) => value === values[i])).toHaveLength(0);
  });

  test('tensors of one shape and rule differ', () => {
    const a = initialValues({ config, seed }, named('blocks.0.cross_attn.q_linear.weight'));
    const b = initialValues({ config, seed }, named('blocks.1.cross_attn.q_linear.weight'));
    expect(a.filter((value, i) => value === b[i])).toHaveLength(0);
  });

  test('in any order and in pieces', () => {
    const backwards = new Map(
      [...table].reverse().map((row) => [row.name, initialValues({ config, seed }, row)]),
    );
    for (const { spec: row, values: forwards } of initialWeights({ config, seed })) {
      expect(sameBytes(backwards.get(row.name)!, forwards), row.name).toBe(true);
    }
    for (const [from, count] of [
      [0, 5],
      [3, 1],
      [7, 1000],
      [values.length - 3, 3],
    ] as const) {
      expect(
        sameBytes(initialValues({ config, seed }, spec, from, count), values.slice(from, from + count)),
      ).toBe(true);
    }
    const positions = named('pos_embed');
    expect(initialValues({ config, seed }, positions, 100, 7)).toEqual(
      positionEmbedding(8, 96, 1).slice(100, 107),
    );
    expect(() => initialValues({ config, seed }, spec, 5)).not.toThrow();
    expect(() => initialValues({ config, seed }, spec, 5, values.length)).toThrow(/initial values: blocks.1/);
  });

  test('do not depend on the rest of the model', () => {
    const deeper = sizeConfig('Nano', {
      depth: 8,
      qkv_multipliers: [...config.qkv_multipliers, 1, 1],
      ffn_multipliers: [...config.ffn_multipliers, 4, 4],
    });
    const same = named('blocks.1.mlp.w1', ditParameters(deeper));
    expect(sameBytes(initialValues({ config: deeper, seed }, same), values)).toBe(true);
  });

  test('normals: shape of the distribution, uncorrelated neighbours, tails cut', () => {
    const count = 1 << 20;
    const draws = new Float32Array(count);
    drawInitial(draws, { kind: 'normal', std: 1 }, seed, 'normals');
    expectMoments(momentsOf(draws), { kind: 'normal', std: 1 }, count, 'normals');
    const sorted = draws.slice().sort();
    for (const [p, quantile] of [
      [0.00135, -3],
      [0.1587, -1],
      [0.5, 0],
      [0.8413, 1],
      [0.99865, 3],
    ] as const) {
      expect(sorted[Math.floor(p * count)]!, `${p}`).toBeCloseTo(quantile, 1);
    }
    for (const lag of [1, 2, 3, 4]) {
      let sum = 0;
      for (let i = lag; i < count; i++) sum += draws[i]! * draws[i - lag]!;
      expect(Math.abs(sum / count), `lag ${lag}`).toBeLessThan(5 / Math.sqrt(count));
    }
  });

  test('a normal beyond the cut is drawn again', () => {
    // Elements of the tensor "tails" under seed 3 whose first draw lies beyond the cut (about one in eight million does).
    const hash = [3904232688, 3582920745] as const; // FNV-1a of "tails"
    for (const [element, first] of [
      [3289763, 5.43662756],
      [5396918, 5.34863453],
      [25383551, -5.37118641],
    ] as const) {
      const attempt = (number: number): number => {
        const words = philoxWords([element >> 2, number, ...hash], [3, 0]);
        const pair = element & 2;
        const [a = 0, b = 0] = [...words.slice(pair, pair + 2)].map((word) => (word + 0.5) / 2 ** 32);
        const angle = 2 * Math.PI * b;
        return Math.sqrt(-2 * Math.log(a)) * (element & 1 ? Math.sin(angle) : Math.cos(angle));
      };
      expect(attempt(0)).toBeCloseTo(first, 6);
      expect(Math.abs(first)).toBeGreaterThan(normalCut);
      const drawn = new Float32Array(1);
      drawInitial(drawn, { kind: 'normal', std: 1 }, 3n, 'tails', element);
      expect(drawn[0]).toBe(Math.fround(attempt(1)));
      // Its neighbours keep their first draw.
      drawInitial(drawn, { kind: 'normal', std: 1 }, 3n, 'tails', element ^ 1);
      const around = new Float32Array(4);
      drawInitial(around, { kind: 'normal', std: 1 }, 3n, 'tails', element & ~3);
      expect(around[(element ^ 1) & 3]).toBe(drawn[0]);
      expect(around[element & 3]).toBe(Math.fround(attempt(1)));
    }
  });
});

describeFixtures("upstream's fresh Tiny", () => {
  interface Fixture {
    readonly tensors: Record<string, Moments & { shape: number[]; all_zero: boolean; all_one: boolean }>;
  }
  const { tensors } = JSON.parse(readFileSync(fixturePath('dit/micro-tiny2.init.json'), 'utf8')) as Fixture;
  const tiny = sizeConfig('MicroDiT_Tiny_2');
  const tinyTable = ditParameters(tiny);

  test('has the same tensors', () => {
    expect(tinyTable.map(({ name, shape }) => [name, [...shape]])).toEqual(
      Object.entries(tensors).map(([name, { shape }]) => [name, shape]),
    );
  });

  test('every rule gives the moments that were measured', () => {
    for (const spec of tinyTable) {
      const measured = tensors[spec.name]!;
      const rule = initRule(tiny, spec);
      if (rule.kind === 'positions') continue;
      expect(measured.all_zero, spec.name).toBe(rule.kind === 'constant' && rule.value === 0);
      expect(measured.all_one, spec.name).toBe(rule.kind === 'constant' && rule.value === 1);
      if (rule.kind === 'constant') continue;
      const count = elementCount(spec.shape);
      // torch puts about one element in 2^24 of a truncated normal at -2: it widens the spread of small deviations.
      const strays = measured.min === -2 ? 1 : 0;
      if (strays) expect(rule.kind, spec.name).toBe('normal');
      else expectMoments(measured, rule, count, spec.name);
    }
  });
});

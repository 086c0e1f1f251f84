/** Going on from checkpoints: upstream's four stages chained, patterns of ignored parts, and what is refused. */
import { describe, expect, test } from 'vitest';
import { ditParameters, trainedParameters } from '../../src/models/dit/parameters';
import type { TrainConfigInput } from '../../src/protocol/trainConfig';
import { parseTrainConfig } from '../../src/protocol/trainConfig';
import { globExpression, removeMatches } from '../../src/train/pathGlob';
import { stageConfig, stageNames } from '../../src/train/presets';
import { trainRecipe, type TrainRecipe } from '../../src/train/recipe';
import {
  checkpointPaths,
  describeAfter,
  learningRate,
  planStart,
  type CheckpointDescription,
  type StartPlan,
} from '../../src/train/stages';

describe('patterns', () => {
  const matches = (glob: string, path: string): boolean => globExpression(glob).test(path);

  test.each([
    ['state/model/*', 'state/model/dit.blocks.0/x', true], // * takes slashes, as fnmatch's does
    ['*lr', 'state/optimizers/AdamW/param_groups/0/lr', true],
    ['state/*/lr', 'state/a/b/lr', true],
    ['state/model', 'state/model/dit.x', false],
    ['state/model/dit.pos_embed', 'state/model/dit.pos_embed', true],
    ['state/model/dit.pos_embed', 'state/model/ditXpos_embed', false],
    ['blocks.?', 'blocks.7', true],
    ['blocks.?', 'blocks.17', false],
    ['blocks.[0-2]', 'blocks.1', true],
    ['blocks.[0-2]', 'blocks.3', false],
    ['blocks.[!0-2]', 'blocks.3', true],
    ['[]x]', ']', true],
    ['[!]]', ']', false],
    ['[z-a]', 'b', false],
    ['[ab', '[ab', true],
    ['a+(b)|c^$.{1}\\', 'a+(b)|c^$.{1}\\', true],
    ['[a^-]', '^', true],
    ['[a^-]', '-', true],
    ['Model', 'model', false],
    ['a*', 'a\nb', true],
    ['', '', true],
    ['ü?', 'üé', true],
  ])('%j on %j: %s', (glob, path, expected) => expect(matches(glob, path)).toBe(expected));

  test('a node takes all below it, and is counted', () => {
    const { kept, counts } = removeMatches(['a/b/0', 'a/b/1', 'a/c'], ['a/b', 'a/?', 'x']);
    expect([...kept]).toEqual([]);
    expect(counts).toEqual([
      { glob: 'a/b', matches: 1 },
      { glob: 'a/?', matches: 2 },
      { glob: 'x', matches: 0 },
    ]);
    expect([...removeMatches(['a/b/0', 'a/b/1', 'a/c'], ['a/b/0']).kept]).toEqual(['a/b/1', 'a/c']);
  });
});

describe("upstream's four stages, one after another", () => {
  const recipes = stageNames.map((name) => trainRecipe(stageConfig(name)));
  const plans: StartPlan[] = [];
  const files: CheckpointDescription[] = [];
  stageNames.forEach((name, i) => {
    const plan = planStart(stageConfig(name).start, recipes[i]!, files[i - 1] ?? null);
    plans.push(plan);
    files.push(describeAfter(plan, recipes[i]!, recipes[i]!.batches, `${name}.pt`));
  });
  const names = ditParameters(recipes[0]!.model).map(({ name }) => name);
  const trained = trainedParameters(recipes[0]!.model).map(({ name }) => name);
  const rate = (stage: number, batch: number): number => learningRate(plans[stage]!, recipes[stage]!, batch);

  test('1: everything is new; the first two batches run at 0', () => {
    expect(plans[0]).toMatchObject({
      batch: 0,
      batchesLeft: 250_000,
      baseLr: 2.4e-4,
      firstLr: null,
      notes: [],
    });
    expect(plans[0]!.weights).toEqual({ kept: [], fresh: names, remade: [], unexpected: [] });
    expect([0, 1, 2, 1251].map((batch) => rate(0, batch))).toEqual([0, 0, 2.4e-4 * (1 / 2500), 1.2e-4]);
    expect(rate(0, 50_001) / 2.4e-4).toBeCloseTo(0.94093165, 8);
    expect(files[0]!.lr).toBeCloseTo(7.92e-5, 9);
  });

  test('2: goes on, with moments; the first batch at the old rate, the others at the new', () => {
    expect(plans[1]).toMatchObject({ batch: 250_000, batchesLeft: 30_000, baseLr: 8e-5 });
    expect(plans[1]!.weights).toEqual({ kept: names, fresh: [], remade: [], unexpected: [] });
    expect([...plans[1]!.moments]).toEqual(trained);
    expect(rate(1, 250_000)).toBe(files[0]!.lr);
    expect([250_001, 250_002, 279_999].map((batch) => rate(1, batch))).toEqual([8e-5, 8e-5, 8e-5]);
    expect(plans[1]!.ignored).toEqual([
      { glob: 'state/optimizers/AdamW/param_groups/initial_lr', matches: 0 },
      { glob: 'state/optimizers/AdamW/param_groups/lr', matches: 0 },
      { glob: 'state/schedulers/LambdaLR/base_lrs', matches: 1 },
      { glob: 'state/schedulers/LambdaLR/_last_lr', matches: 1 },
    ]);
    expect(plans[1]!.notes).toHaveLength(2);
    expect(plans[1]!.notes[0]).toMatch(/^256-pretrain.pt: nothing is ignored by .*initial_lr/);
  });

  test('3: takes weights alone; counts from 0, positions made anew', () => {
    expect(plans[2]).toMatchObject({ batch: 0, batchesLeft: 50_000, baseLr: 8e-5, firstLr: null });
    expect(plans[2]!.weights).toEqual({
      kept: names.filter((name) => name !== 'pos_embed'),
      fresh: [],
      remade: ['pos_embed'],
      unexpected: [],
    });
    expect(plans[2]!.moments.size).toBe(0);
    expect([0, 1, 2, 251, 501, 49_999].map((batch) => rate(2, batch))).toEqual([
      0,
      0,
      (1 / 500) * 8e-5,
      4e-5,
      8e-5,
      8e-5,
    ]);
    expect(plans[2]!.ignored).toEqual([{ glob: 'state/model/dit.pos_embed', matches: 1 }]);
  });

  test('4: goes on from 3, cumulatively', () => {
    expect(plans[3]).toMatchObject({ batch: 50_000, batchesLeft: 5_000, baseLr: 8e-5, firstLr: 8e-5 });
    expect(plans[3]!.weights.kept).toEqual(names);
    expect([...plans[3]!.moments]).toEqual(trained);
    expect(files[3]!.batch).toBe(55_000);
  });
});

describe('other beginnings', () => {
  const setUp = (
    start: TrainConfigInput['start'],
    train: TrainConfigInput['train'] = {},
  ): { start: ReturnType<typeof parseTrainConfig>['start']; recipe: TrainRecipe } => {
    const config = parseTrainConfig({
      model: { arch: 'MicroDiT_Tiny_2' },
      train: {
        max_duration: '100ba',
        lr: 1e-3,
        schedule: { kind: 'constant', warmup: '0ba', alpha: 1 },
        ...train,
      },
      start,
    });
    return { start: config.start, recipe: trainRecipe(config) };
  };
  const { start, recipe } = setUp({});
  const whole = describeAfter(planStart(start, recipe, null), recipe, 40, 'old.pt');
  const table = ditParameters(recipe.model);
  const without = (name: string): CheckpointDescription => ({
    ...whole,
    weights: new Map([...whole.weights].filter(([key]) => key !== name)),
  });

  test('paths are those of the file', () => {
    expect(checkpointPaths(whole)).toEqual(
      expect.arrayContaining([
        'state/model/dit.pos_embed',
        'state/optimizers/AdamW/state/dit.blocks.0.attn.qkv.weight/exp_avg_sq',
        'state/optimizers/AdamW/param_groups/0/lr',
        'state/schedulers/LambdaLR/base_lrs/0',
        'state/timestamp/Timestamp/batch',
      ]),
    );
  });

  test("the checkpoint's base rate goes on unless it is ignored", () => {
    const faster = setUp({}, { lr: 2e-3 });
    const plan = planStart(faster.start, faster.recipe, whole);
    expect([plan.baseLr, learningRate(plan, faster.recipe, 60)]).toEqual([1e-3, 1e-3]);
    expect(plan.notes).toEqual([
      "train.lr: the checkpoint's schedule goes on from its own base of 0.001: not 0.002",
    ]);
    const ignoring = setUp({ ignore: ['*/base_lrs'] }, { lr: 2e-3 });
    const other = planStart(ignoring.start, ignoring.recipe, whole);
    expect([40, 41].map((batch) => learningRate(other, ignoring.recipe, batch))).toEqual([1e-3, 2e-3]);
  });

  test("without Composer's lag the first batch has the schedule's rate", () => {
    const exact = setUp(
      { ignore: ['*/base_lrs'] },
      { lr: 2e-3, schedule: { kind: 'constant', warmup: '0ba', alpha: 1, composer_lag: false } },
    );
    const plan = planStart(exact.start, exact.recipe, whole);
    expect(plan.firstLr).toBeNull();
    expect(learningRate(plan, exact.recipe, 40)).toBe(2e-3);
  });

  test('without an optimizer: moments of zero, the first batch at the beginning of the schedule', () => {
    const warm = setUp({}, { schedule: { kind: 'constant', warmup: '10ba', alpha: 1 } });
    const bare = { name: 'bare.pt', weights: whole.weights, batch: 40 };
    const plan = planStart(warm.start, warm.recipe, bare);
    expect(plan.moments.size).toBe(0);
    expect([40, 41].map((batch) => learningRate(plan, warm.recipe, batch))).toEqual([0, 1e-3]);
  });

  test('ignored counters and moments start again', () => {
    const { start: ignoring } = setUp({ ignore: ['state/timestamp', '*blocks.3.*/exp_avg'] });
    const plan = planStart(ignoring, recipe, whole);
    expect([plan.batch, plan.batchesLeft]).toEqual([0, 100]);
    const lost = table.filter(({ name }) => /^(blocks|.*\.blocks)\.3\./.test(name)).map(({ name }) => name);
    expect(lost.length).toBeGreaterThan(5);
    expect(plan.moments.size).toBe(trainedParameters(recipe.model).length - lost.length);
    for (const name of lost) expect(plan.moments.has(name)).toBe(false);
    expect(plan.notes.join('\n')).toContain(`moments of ${lost.length} of `);
    expect(plan.weights.kept).toHaveLength(table.length);
  });

  test('ignored weights are as a new model has them', () => {
    const { start: ignoring } = setUp({ ignore: ['state/model/dit.final_layer.*'] });
    const plan = planStart(ignoring, recipe, whole);
    expect(plan.weights.fresh).toEqual(
      table.filter(({ name }) => name.startsWith('final_layer.')).map(({ name }) => name),
    );
  });

  test('strict names matter with weights only', () => {
    const missing = without('blocks.0.attn.qkv.weight');
    const strict = setUp({ weights_only: true });
    expect(() => planStart(strict.start, strict.recipe, missing)).toThrow(
      "old.pt: start.strict wants the model's tensors, no more and no less: 1 tensor missing: blocks.0.attn.qkv.weight",
    );
    const loose = setUp({ weights_only: true, strict: false });
    expect(planStart(loose.start, loose.recipe, missing).weights.fresh).toEqual(['blocks.0.attn.qkv.weight']);
    const resumed = planStart(start, recipe, missing);
    expect(resumed.weights.fresh).toEqual(['blocks.0.attn.qkv.weight']);
    expect(resumed.notes).toEqual(['old.pt: 1 tensor missing: blocks.0.attn.qkv.weight']);
    const extra = { ...whole, weights: new Map([...whole.weights, ['surplus', [3]]]) };
    expect(() => planStart(strict.start, strict.recipe, extra)).toThrow(/1 tensor not in the model: surplus/);
    expect(planStart(start, recipe, extra).weights.unexpected).toEqual(['surplus']);
  });

  test('another shape is refused, except of positions', () => {
    const wide = { ...whole, weights: new Map([...whole.weights, ['final_layer.linear.bias', [64]]]) };
    expect(() => planStart(start, recipe, wide)).toThrow(/^old.pt: final_layer.linear.bias has the shape/);
    const { start: ignoring } = setUp({ ignore: ['state/model/dit.final_layer.linear.bias'] });
    expect(planStart(ignoring, recipe, wide).weights.fresh).toEqual(['final_layer.linear.bias']);
    const larger = { ...whole, weights: new Map([...whole.weights, ['pos_embed', [1, 1024, 512]]]) };
    const plan = planStart(start, recipe, larger);
    expect(plan.weights.remade).toEqual(['pos_embed']);
    expect(plan.notes[0]).toMatch(/^old.pt: pos_embed is made anew for /);
  });

  test('nothing is left of a run that is already there', () => {
    const done = { ...whole, batch: 100 };
    const plan = planStart(start, recipe, done);
    expect(plan.batchesLeft).toBe(0);
    expect(plan.notes).toEqual([
      "train.max_duration: the checkpoint's batches count too: 100 in all, 100 made already",
    ]);
  });
});

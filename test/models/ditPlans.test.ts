/** Plans of the released transformer, made without weights or device: work, dispatches, pipelines, memory. */
import { describe, expect, test } from 'vitest';
import { heunTable } from '../../src/diffusion/edm';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { plainProfile, type DeviceProfile } from '../../src/graph/profile';
import { groupBytes } from '../../src/graph/state';
import { ditLayout, namedDitConfig, type DitLayout } from '../../src/models/dit/config';
import { ditForward } from '../../src/models/dit/forward';
import { ditParameters } from '../../src/models/dit/parameters';
import type { Weights } from '../../src/models/weights';
import { tokensPerExpert } from '../../src/ops/expertRoute';
import type { WeightStorage } from '../../src/protocol/generate';
import { groupWeights } from '../../src/sessions/loadWeights';
import { SamplerGraphs } from '../../src/sessions/samplerPlans';

const steps = 30;
const captionLength = 77;
const guidance = 5;

const softwareProfile: DeviceProfile = {
  ...plainProfile,
  name: 'a software adapter',
  software: true,
  gemmTile: 'direct',
};

interface Model {
  readonly layout: DitLayout;
  readonly weights: (graph: Graph) => Weights;
}

function releasedModel(inputSize: number, storage: WeightStorage = 'f16'): Model {
  const config = namedDitConfig('MicroDiT_XL_2', { input_size: inputSize });
  return {
    layout: ditLayout(config),
    weights: (graph) => groupWeights(graph, 'dit', ditParameters(config), storage),
  };
}

const samplerGraphs = ({ layout, weights }: Model): SamplerGraphs =>
  new SamplerGraphs(layout, weights, { samples: 1, captionLength, steps, guidance });

/** Work of one guided evaluation in upstream's form, and of its products with one-hot matrices, which ours has not. */
function literalMacs({ layout, weights }: Model): { forward: number; oneHot: number } {
  const graph = new Graph();
  const shape = { samples: 1, captionLength, guidance, keptTokens: null };
  graph.output('F', ditForward(graph, weights(graph), layout, shape));
  const { tokens, experts, capacity } = layout;
  const slots = experts * tokensPerExpert(tokens, experts, capacity);
  const rows = 2;
  const products = 2;
  const oneHot = [...layout.mixer, ...layout.blocks]
    .filter(({ kind }) => kind === 'moe')
    .reduce((sum, { width }) => sum + rows * products * slots * tokens * width, 0);
  return { forward: planGraph(graph, plainProfile).macs, oneHot };
}

describe('MicroDiT_XL_2', () => {
  // multiply-accumulates in 10^9 of one evaluation: a conditional and an unconditional row, caption and adaLN products
  // taken out; percent of an image's work that this saves, against upstream's form without and with one-hot products
  for (const [pixels, inputSize, expected, saved, savedOfAll] of [
    [256, 32, 207.0, 12.95, 15.84],
    [512, 64, 915.3, 8.52, 19.11],
  ] as const) {
    for (const [profile, storage] of [
      [plainProfile, 'f16'],
      [softwareProfile, 'f16'],
      [plainProfile, 'int8'],
    ] as const) {
      test(`one guided evaluation at ${pixels} px, ${profile.name}, ${storage} weights`, () => {
        const plans = samplerGraphs(releasedModel(inputSize, storage)).plan(profile);
        expect(plans.body.macs / 1e9).toBeCloseTo(expected, 1);
        expect(plans.body.dispatches.length).toBeLessThanOrEqual(450);
        const pipelines = new Set(Object.values(plans).flatMap((plan) => [...plan.pipelines.keys()]));
        expect(pipelines.size).toBeLessThanOrEqual(80);
        expect(plans.body.memory.scratch).toBeLessThan(100e6);
      });
    }

    test(`an image at ${pixels} px: ${saved} % less work than upstream's form, ${savedOfAll} % with its one-hot products`, () => {
      const model = releasedModel(inputSize);
      const plans = samplerGraphs(model).plan(plainProfile);
      const evaluations = heunTable(steps).length;
      const exact = plans.prompt.macs + plans.modulation.macs + evaluations * plans.body.macs;
      const { forward, oneHot } = literalMacs(model);
      const percent = (literal: number): number => 100 * (1 - exact / (evaluations * literal));
      expect(percent(forward)).toBeCloseTo(saved, 2);
      expect(percent(forward + oneHot)).toBeCloseTo(savedOfAll, 2);
    });
  }

  test('memory of an image: prompt, modulation and sampler state', () => {
    const { state } = samplerGraphs(releasedModel(32));
    const megabytes = [...state].map(([group, specs]) => [
      group,
      groupBytes(group, specs, plainProfile.limits) / 1e6,
    ]);
    expect(Object.fromEntries(megabytes)).toEqual({
      // 34 blocks' K and V of 77 tokens
      prompt: expect.closeTo(21.0, 1) as number,
      // 30 noise levels of a prompt and the zero caption, 0.8 MB each
      modulation: expect.closeTo(48.4, 1) as number,
      sampler: expect.closeTo(0.07, 2) as number,
    });
  });
});

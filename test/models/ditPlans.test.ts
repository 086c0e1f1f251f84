/** Plans of the released transformer, made without weights or device: work, pipelines, memory. */
import { describe, expect, test } from 'vitest';
import { plainProfile } from '../../src/graph/profile';
import { ditLayout, namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { groupWeights } from '../../src/sessions/loadWeights';
import { SamplerGraphs } from '../../src/sessions/samplerPlans';

describe('MicroDiT_XL_2', () => {
  // multiply-accumulates in 10^9: a conditional and an unconditional row, caption and adaLN products taken out
  for (const [pixels, inputSize, expected, storage] of [
    [256, 32, 207.0, 'f16'],
    [256, 32, 207.0, 'int8'],
    [512, 64, 915.3, 'f16'],
  ] as const) {
    test(`one guided evaluation at ${pixels} px, ${storage} weights`, () => {
      const config = namedDitConfig('MicroDiT_XL_2', { input_size: inputSize });
      const shape = { samples: 1, captionLength: 77, steps: 30, guidance: 5 };
      const graphs = new SamplerGraphs(
        ditLayout(config),
        (graph) => groupWeights(graph, 'dit', ditParameters(config), storage),
        shape,
      );
      const plans = graphs.plan(plainProfile);
      expect(plans.body.macs / 1e9).toBeCloseTo(expected, 1);
      const pipelines = new Set(Object.values(plans).flatMap((plan) => [...plan.pipelines.keys()]));
      expect(pipelines.size).toBeLessThanOrEqual(80);
      expect(plans.body.memory.scratch).toBeLessThan(100e6);
    });
  }
});

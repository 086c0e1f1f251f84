/**
 * What a model costs before it is loaded: memory and multiply-accumulates of one picture and of one training step, from
 * the same plans that would run. Needs no device; a device's own tile choices change scratch memory by little.
 */
import { Graph } from '../graph/graph';
import { planGraph, storageBytes, type Plan } from '../graph/plan';
import { defaultLimits, plainProfile, type DeviceProfile } from '../graph/profile';
import type { TensorSpec } from '../graph/tensor';
import { ditLayout } from '../models/dit/config';
import { ditParameters, trainedParameters } from '../models/dit/parameters';
import type { ParameterSpec } from '../models/parameters';
import { textParameters, textTower } from '../models/text/tower';
import { decode } from '../models/vae/decoder';
import { klParameters } from '../models/vae/parameters';
import type { WeightStorage } from '../protocol/generate';
import type { DitConfig, KlConfig, TextConfig } from '../protocol/schemas';
import { groupWeights, parameterSpec } from '../sessions/loadWeights';
import { SamplerGraphs } from '../sessions/samplerPlans';
import { traceAccumulate, traceUpdate } from '../train/graphs';
import { keptTokens } from '../train/patchMask';

/** Bytes by purpose. */
export interface MemoryFacts {
  readonly weights: number;
  /** What plans share: prompt, modulation and sampler, or gradients and moments. */
  readonly state: number;
  readonly scratch: number;
  /** Inputs, outputs and uniforms. */
  readonly io: number;
  readonly total: number;
}

/** One picture with guidance, weights f16. */
export interface ImagePlan {
  readonly steps: number;
  readonly guidance: number;
  readonly evaluations: number;
  readonly macs_per_evaluation: number;
  readonly macs: number;
  readonly memory: MemoryFacts;
}

/** One training step of one sample: forward, backward, update; weights, gradients, moments and average f32. */
export interface StepPlan {
  readonly batch: 1;
  readonly mask_ratio: number;
  readonly macs: number;
  readonly memory: MemoryFacts;
}

export interface ModelPlan {
  readonly caption_length: number;
  readonly image: ImagePlan;
  readonly training: readonly StepPlan[];
}

export interface PlanParts {
  readonly dit: DitConfig;
  /** Counted with the picture where they are known. */
  readonly vae?: KlConfig;
  readonly text?: TextConfig;
  readonly captionLength: number;
  readonly steps: number;
  readonly guidance: number;
}

/** Buffers as large as a model may want: the point is what it needs. */
const planningProfile: DeviceProfile = {
  ...plainProfile,
  limits: { ...defaultLimits, maxStorageBufferBindingSize: 2 ** 32, maxBufferSize: 2 ** 33 },
};

const weightBytes = (specs: readonly ParameterSpec[], storage: WeightStorage): number =>
  specs.reduce((sum, spec) => sum + storageBytes(parameterSpec(spec, storage)), 0);

function memoryOf(weights: number, state: number, plans: readonly Plan[]): MemoryFacts {
  const scratch = Math.max(...plans.map((plan) => plan.memory.scratch));
  const io = plans.reduce((sum, { memory }) => sum + memory.io + memory.uniforms, 0);
  return { weights, state, scratch, io, total: weights + state + scratch + io };
}

/** Plans a picture and training steps at mask ratios 0.75 and 0. @throws LimitError */
export function planModel(parts: PlanParts): ModelPlan {
  const { dit, captionLength } = parts;
  const step = (ratio: number): StepPlan => planStep(dit, captionLength, ratio);
  return { caption_length: captionLength, image: planImage(parts), training: [step(0.75), step(0)] };
}

function planImage(parts: PlanParts): ImagePlan {
  const { dit, vae, text, captionLength, steps, guidance } = parts;
  const layout = ditLayout(dit);
  const specs = ditParameters(dit);
  const graphs = new SamplerGraphs(layout, (graph) => groupWeights(graph, 'dit', specs, 'f16'), {
    samples: 1,
    captionLength,
    steps,
    guidance: Math.max(1, guidance),
  });
  const { prompt, modulation, body } = graphs.plan(planningProfile);
  const plans = [prompt, modulation, body];
  let weights = weightBytes(specs, 'f16');
  const evaluations = 2 * steps - 1;
  let macs = prompt.macs + modulation.macs + evaluations * body.macs;
  const add = (table: readonly ParameterSpec[], trace: (graph: Graph) => void): void => {
    const graph = new Graph();
    trace(graph);
    const plan = planGraph(graph, planningProfile);
    plans.push(plan);
    macs += plan.macs;
    weights += weightBytes(table, 'f16');
  };
  if (vae) {
    const table = klParameters(vae);
    add(table, (graph) => {
      const latent = graph.input('latent', [1, dit.in_channels, dit.input_size, dit.input_size]);
      graph.output('image', decode(graph, groupWeights(graph, 'vae', table, 'f16'), vae, latent));
    });
  }
  if (text) {
    const table = textParameters(text);
    add(table, (graph) => {
      const ids = graph.input('ids', [1, text.context], 'u32');
      graph.output('hidden', textTower(graph, groupWeights(graph, 'text', table, 'f16'), text, ids));
    });
  }
  const state = [...graphs.state.values()].reduce((sum, table) => sum + tableBytes(table.values()), 0);
  return {
    steps,
    guidance,
    evaluations,
    macs_per_evaluation: body.macs,
    macs,
    memory: memoryOf(weights, state, plans),
  };
}

function tableBytes(specs: Iterable<TensorSpec>): number {
  let sum = 0;
  for (const spec of specs) sum += storageBytes(spec);
  return sum;
}

function planStep(dit: DitConfig, captionLength: number, ratio: number): StepPlan {
  const layout = ditLayout(dit);
  const trained = trainedParameters(dit);
  const weights = (graph: Graph): ReturnType<typeof groupWeights> =>
    groupWeights(graph, 'dit', ditParameters(dit), 'f32');
  const accumulate = planGraph(
    traceAccumulate(layout, trained, weights, {
      samples: 1,
      batch: 1,
      captionLength,
      keptTokens: ratio > 0 ? keptTokens(layout.tokens, ratio) : null,
    }),
    planningProfile,
  );
  const update = planGraph(traceUpdate(trained, weights, { maxNorm: 1, ema: true }), planningProfile);
  // gradients, two moments and the moving average
  const state = 4 * weightBytes(trained, 'f32');
  return {
    batch: 1,
    mask_ratio: ratio,
    macs: accumulate.macs + update.macs,
    memory: memoryOf(weightBytes(ditParameters(dit), 'f32'), state, [accumulate, update]),
  };
}

/**
 * What a model costs before it is loaded: memory and multiply-accumulates of one picture and of one training step, from
 * the same plans that would run. Needs no device; a device's own tile choices change scratch memory by little.
 */
import type { Graph } from '../graph/graph';
import { planGraph, storageBytes, type Plan } from '../graph/plan';
import { defaultLimits, plainProfile, type DeviceProfile } from '../graph/profile';
import { ditLayout } from '../models/dit/config';
import { ditParameters, trainedParameters } from '../models/dit/parameters';
import type { ParameterSpec } from '../models/parameters';
import type { WeightStorage } from '../protocol/generate';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeModel } from '../protocol/vae';
import { groupWeights, parameterSpec } from '../sessions/loadWeights';
import { planResidency } from '../sessions/memoryPlan';
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
  readonly vae?: VaeModel;
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

function planImage({ vae, text, ...rest }: PlanParts): ImagePlan {
  const { steps, guidance } = rest;
  const model = { ...rest, vae: vae ?? null, text: text ?? null };
  const { parts, dit, total, macs } = planResidency(model, 'f16', planningProfile, Infinity);
  const all = [...parts.values()];
  const sum = (purpose: 'weights' | 'state' | 'io'): number =>
    all.reduce((bytes, part) => bytes + part[purpose], 0);
  return {
    steps,
    guidance,
    evaluations: 2 * steps - 1,
    macs_per_evaluation: dit.macsPerEvaluation,
    macs,
    memory: {
      weights: sum('weights'),
      state: sum('state'),
      scratch: Math.max(...all.map(({ scratch }) => scratch)),
      io: sum('io'),
      total,
    },
  };
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

/**
 * What a model takes on a device before anything is loaded: bytes of every part from the plans that will run, and
 * whether a budget lets all parts stay on the device (resident), only some at a time (staged), or not even that.
 *
 * Own bytes of a part are its weights, the state that its plans share and their inputs, outputs and uniforms. Scratch is
 * one pool for all: parts that are on the device together share it.
 */
import { LimitError } from '../core/errors';
import { Graph } from '../graph/graph';
import { planGraph, type Plan } from '../graph/plan';
import type { DeviceProfile } from '../graph/profile';
import { groupBytes } from '../graph/state';
import { ditLayout } from '../models/dit/config';
import { ditParameters } from '../models/dit/parameters';
import type { ParameterSpec } from '../models/parameters';
import { textParameters, textTower } from '../models/text/tower';
import type { WeightChoice, WeightStorage } from '../protocol/generate';
import type { MemoryPlan } from '../protocol/library';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeModel } from '../protocol/vae';
import { groupWeights, storedParameters } from './loadWeights';
import { SamplerGraphs } from './samplerPlans';
import { planVae } from './vaePlan';

/** A model as its plans see it. */
export interface PlannedModel {
  readonly dit: DitConfig;
  readonly vae: VaeModel | null;
  readonly text: TextConfig | null;
  readonly steps: number;
  /** Active above 1. */
  readonly guidance: number;
  /** Pictures at once; default 1. */
  readonly samples?: number;
  /** Tokens of a caption where there is no text tower; default 77. */
  readonly captionLength?: number;
}

export type PartName = 'text' | 'dit' | 'vae';

/** Bytes of one part. */
export interface PartBytes {
  readonly weights: number;
  /** State that its plans share. */
  readonly state: number;
  /** Inputs, outputs and uniforms of its plans. */
  readonly io: number;
  readonly scratch: number;
}

/** A model's memory in all. */
export interface ResidencyPlan {
  readonly weights: WeightStorage;
  readonly parts: ReadonlyMap<PartName, PartBytes>;
  readonly dit: DitBytes;
  /** Everything at once: all own bytes, and the largest scratch. */
  readonly total: number;
  /** The largest part by itself. */
  readonly staged: number;
  readonly fit: MemoryPlan['fit'];
  /** Bytes that the autoencoder's scratch may take. */
  readonly decoderBudget: number;
  /** Multiply-accumulates of a picture. */
  readonly macs: number;
}

/** Own bytes: everything but scratch. */
export const ownBytes = ({ weights, state, io }: PartBytes): number => weights + state + io;

const weightBytes = (
  group: string,
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
  profile: DeviceProfile,
): number => groupBytes(group, storedParameters(specs, storage), profile.limits);

const ioBytes = (plans: readonly Plan[]): number =>
  plans.reduce((sum, { memory }) => sum + memory.io + memory.uniforms, 0);

const scratchBytes = (plans: readonly Plan[]): number =>
  Math.max(0, ...plans.map(({ memory }) => memory.scratch));

/** Of the transformer also what its plans are. */
export interface DitBytes extends PartBytes {
  /** Of a picture: captions, modulation and all evaluations. */
  readonly macs: number;
  readonly macsPerEvaluation: number;
  /** Of an evaluation. */
  readonly dispatches: number;
  readonly pipelines: number;
}

/** The transformer with everything its sampler keeps. @throws LimitError */
export function planDit(model: PlannedModel, storage: WeightStorage, profile: DeviceProfile): DitBytes {
  const specs = ditParameters(model.dit);
  const graphs = new SamplerGraphs(
    ditLayout(model.dit),
    (graph) => groupWeights(graph, 'dit', specs, storage),
    {
      samples: model.samples ?? 1,
      captionLength: model.text?.context ?? model.captionLength ?? 77,
      steps: model.steps,
      guidance: model.guidance > 1 ? model.guidance : 1,
    },
  );
  const { prompt, modulation, body } = graphs.plan(profile);
  const plans = [prompt, modulation, body];
  let state = 0;
  for (const [group, table] of graphs.state) state += groupBytes(group, table, profile.limits);
  return {
    weights: weightBytes('dit', specs, storage, profile),
    state,
    io: ioBytes(plans),
    scratch: scratchBytes(plans),
    macsPerEvaluation: body.macs,
    macs: prompt.macs + modulation.macs + (2 * model.steps - 1) * body.macs,
    dispatches: body.dispatches.length,
    pipelines: new Set(plans.flatMap((plan) => [...plan.pipelines.keys()])).size,
  };
}

/** The text tower for `samples` prompts at once. @throws LimitError */
export function planText(
  config: TextConfig,
  storage: WeightStorage,
  profile: DeviceProfile,
  samples = 1,
): PartBytes & { readonly macs: number } {
  const specs = textParameters(config);
  const graph = new Graph();
  const ids = graph.input('ids', [samples, config.context], 'u32');
  graph.output('hidden', textTower(graph, groupWeights(graph, 'text', specs, storage), config, ids));
  const plan = planGraph(graph, profile);
  return {
    weights: weightBytes('text', specs, storage, profile),
    state: 0,
    io: ioBytes([plan]),
    scratch: plan.memory.scratch,
    macs: plan.macs,
  };
}

/**
 * Plans every part and how they share the device. The autoencoder works in row bands where that makes the model fit.
 * @throws LimitError when a part is beyond the device's limits, whatever the budget
 */
export function planResidency(
  model: PlannedModel,
  storage: WeightStorage,
  profile: DeviceProfile,
  budget: number,
): ResidencyPlan {
  const parts = new Map<PartName, PartBytes>();
  let macs = 0;
  if (model.text) {
    const text = planText(model.text, storage, profile, model.samples ?? 1);
    parts.set('text', text);
    macs += text.macs;
  }
  const dit = planDit(model, storage, profile);
  parts.set('dit', dit);
  macs += dit.macs;

  let decoderBudget = Infinity;
  if (model.vae) {
    const { vae } = model;
    const others = [...parts.values()].reduce((sum, part) => sum + ownBytes(part), 0);
    const decoder = (room: number): ReturnType<typeof planVae> =>
      planVae(vae, {
        half: 'decoder',
        samples: 1,
        height: model.dit.input_size,
        width: model.dit.input_size,
        storage,
        profile,
        budget: room,
      });
    const free = decoder(Infinity);
    // bands that let everything stay, else bands that let the decoder run alone, else as few as the device needs
    const rooms = [Infinity, budget - others - free.weights, budget - free.weights, Infinity];
    let best = free;
    for (const [index, room] of rooms.entries()) {
      const plan = tryLimit(() => decoder(room));
      if (!plan) continue;
      const together = others + plan.weights + plan.io + Math.max(plan.scratch, dit.scratch);
      const alone = plan.weights + plan.io + plan.scratch;
      best = plan;
      decoderBudget = room;
      if (together <= budget || (index === 2 && alone <= budget)) break;
    }
    parts.set('vae', { weights: best.weights, state: 0, io: best.io, scratch: best.scratch });
    macs += best.macs;
  }
  const all = [...parts.values()];
  const total = all.reduce((sum, part) => sum + ownBytes(part), 0) + Math.max(...all.map((p) => p.scratch));
  const staged = Math.max(...all.map((part) => ownBytes(part) + part.scratch));
  return {
    weights: storage,
    parts,
    dit,
    total,
    staged,
    fit: total <= budget ? 'resident' : staged <= budget ? 'staged' : 'none',
    decoderBudget,
    macs,
  };
}

function tryLimit<T>(plan: () => T): T | null {
  try {
    return plan();
  } catch (error) {
    if (error instanceof LimitError) return null;
    throw error;
  }
}

const purposes: Readonly<Record<PartName, string>> = {
  text: 'text tower weights',
  dit: 'transformer weights',
  vae: 'autoencoder weights',
};

/** The same for people; a model that the device cannot hold at all has its reason in `problem`. */
export function planMemory(
  model: PlannedModel,
  weights: WeightStorage,
  profile: DeviceProfile,
  budget: number,
): MemoryPlan {
  try {
    const { parts, total, staged, fit } = planResidency(model, weights, profile, budget);
    const rows = [...parts].map(([name, part]) => ({ purpose: purposes[name], bytes: part.weights }));
    const all = [...parts.values()];
    const state = all.reduce((sum, part) => sum + part.state + part.io, 0);
    rows.push({ purpose: 'prompt, sampler and tables', bytes: state });
    rows.push({ purpose: 'scratch', bytes: Math.max(...all.map((part) => part.scratch)) });
    return { weights, parts: rows, total, staged, fit, problem: null };
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    return { weights, parts: [], total: 0, staged: 0, fit: 'none', problem: error.message };
  }
}

/**
 * The plan for the weights that were asked for; 'auto': f16 where it fits the budget, else int8.
 * @throws LimitError with the amounts when nothing fits
 */
export function chooseWeights(
  model: PlannedModel,
  choice: WeightChoice,
  profile: DeviceProfile,
  budget: number,
): ResidencyPlan {
  const candidates: readonly WeightStorage[] = choice === 'auto' ? ['f16', 'int8'] : [choice];
  const plans = candidates.map((storage) => planResidency(model, storage, profile, budget));
  // parts that come and go cost time, coarser weights cost exactness, which matters more
  const chosen = plans.find(({ fit }) => fit !== 'none');
  if (chosen) return chosen;
  const needs = plans.map(({ weights, staged }) => `${staged} bytes with ${weights} weights`).join(', ');
  throw new LimitError(`memory: the largest part must fit the budget of ${budget} bytes: it needs ${needs}`);
}

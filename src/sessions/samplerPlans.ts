/**
 * The sampler's plans for one shape of job, and the state they share:
 *
 *   prompt:      captions, pooled [P, D], k, v and unconditional vector of every block
 *   modulation:  shift, scale and gate of every block, one row per (noise level, prompt)
 *   sampler:     x, xEval, slope, denoised, table
 *
 * P counts the prompts, and the zero caption when guided.
 */
import { heunTable } from '../diffusion/edm';
import type { StateStore } from '../gpu/pages';
import type { Run } from '../gpu/run';
import { Graph } from '../graph/graph';
import type { Plan } from '../graph/plan';
import { planGraph } from '../graph/plan';
import type { DeviceProfile } from '../graph/profile';
import type { Tensor, TensorSpec } from '../graph/tensor';
import type { BlockCaption, BlockModulation } from '../models/dit/block';
import { ditTokens } from '../models/dit/body';
import type { DitLayout } from '../models/dit/config';
import { ditModulation, ditTimestep, type Modulation } from '../models/dit/modulation';
import { timeChannels } from '../models/dit/parameters';
import { ditText, ditUnconditional } from '../models/dit/text';
import type { Weights } from '../models/weights';
import { add } from '../ops/add';
import { repeatRows } from '../ops/columnSum';
import { heunColumns, heunStep, sampleInput } from '../ops/heunStep';
import { assign, concatRows, reshape } from '../ops/view';
import { prepareRun, type SessionResources } from './resources';

export interface SamplerShape {
  readonly samples: number;
  readonly captionLength: number;
  readonly steps: number;
  /** 1: no guidance. */
  readonly guidance: number;
}

const modulationParts = ['shiftMsa', 'scaleMsa', 'gateMsa', 'shiftMlp', 'scaleMlp', 'gateMlp'] as const;

type StateTable = Map<string, TensorSpec>;

/** Every state tensor that the plans share, by group. */
export function samplerState(layout: DitLayout, shape: SamplerShape): Map<string, StateTable> {
  const edge = layout.grid * layout.patch;
  const { samples, captionLength, steps } = shape;
  const guided = shape.guidance > 1;
  const prompts = samples + (guided ? 1 : 0);
  const evaluations = heunTable(steps);
  const rows = new Set(evaluations.map((row) => row.sigma)).size * prompts;
  const f32 = (...extents: number[]): TensorSpec => ({ shape: extents, dtype: 'f32' });

  const prompt: StateTable = new Map();
  const modulation: StateTable = new Map();
  prompt.set('captions', f32(samples, captionLength, layout.captionChannels));
  prompt.set('pooled', f32(prompts, layout.dim));
  for (const block of [...layout.mixer, ...layout.blocks]) {
    prompt.set(`${block.name}.k`, f32(samples, captionLength, block.width));
    prompt.set(`${block.name}.v`, f32(samples, captionLength, block.width));
    if (guided) prompt.set(`${block.name}.unconditional`, f32(1, block.width));
    for (const part of modulationParts) modulation.set(`${block.name}.${part}`, f32(rows, block.width));
  }
  modulation.set('final.shift', f32(rows, layout.dim));
  modulation.set('final.scale', f32(rows, layout.dim));

  const latent = f32(samples, layout.channels, edge, edge);
  const sampler: StateTable = new Map();
  for (const name of ['x', 'xEval', 'slope', 'denoised']) sampler.set(name, latent);
  sampler.set('table', f32(evaluations.length, heunColumns.count));
  return new Map([
    ['prompt', prompt],
    ['modulation', modulation],
    ['sampler', sampler],
  ]);
}

/** Traces the three graphs. */
export class SamplerGraphs {
  readonly #layout: DitLayout;
  readonly #weights: (graph: Graph) => Weights;
  readonly #shape: SamplerShape;
  readonly #state: Map<string, StateTable>;

  constructor(layout: DitLayout, weights: (graph: Graph) => Weights, shape: SamplerShape) {
    this.#layout = layout;
    this.#weights = weights;
    this.#shape = shape;
    this.#state = samplerState(layout, shape);
  }

  get state(): ReadonlyMap<string, StateTable> {
    return this.#state;
  }

  get #guided(): boolean {
    return this.#shape.guidance > 1;
  }

  #at(graph: Graph, group: string, name: string): Tensor {
    const spec = this.#state.get(group)!.get(name)!;
    return graph.state(`${group}:${name}`, spec.shape, spec.dtype);
  }

  prompt(): Graph {
    const graph = new Graph();
    const weights = this.#weights(graph);
    const layout = this.#layout;
    const features = ditText(graph, weights, layout, this.#at(graph, 'prompt', 'captions'));
    const pooled = [features.pooled];
    if (this.#guided) {
      // all tokens of the zero caption are equal, so one stands for them all
      const width = layout.captionChannels;
      const zero = graph.constant(new Float32Array(width), [1, 1, width]);
      const nothing = graph.scope('unconditional', () => ditText(graph, weights, layout, zero));
      pooled.push(nothing.pooled);
      const vectors = graph.scope('unconditional', () => ditUnconditional(graph, weights, layout, nothing));
      for (const [name, vector] of vectors)
        assign(graph, this.#at(graph, 'prompt', `${name}.unconditional`), vector);
    }
    for (const [name, { k, v }] of features.keys) {
      assign(graph, this.#at(graph, 'prompt', `${name}.k`), k);
      assign(graph, this.#at(graph, 'prompt', `${name}.v`), v);
    }
    assign(graph, this.#at(graph, 'prompt', 'pooled'), concatRows(graph, pooled));
    return graph;
  }

  modulation(): Graph {
    const graph = new Graph();
    const weights = this.#weights(graph);
    const pooled = this.#at(graph, 'prompt', 'pooled');
    const rows = this.#at(graph, 'modulation', 'final.shift').dim(0);
    const levels = rows / pooled.dim(0);
    const timestep = ditTimestep(graph, weights, graph.input('features', [levels, timeChannels]));
    const repeated = repeatRows(graph, timestep, pooled.dim(0));
    const c = add(graph, reshape(graph, repeated, [rows, pooled.width]), pooled);
    const modulation = ditModulation(graph, weights, this.#layout, c);
    for (const [name, parts] of modulation.blocks) {
      for (const part of modulationParts)
        assign(graph, this.#at(graph, 'modulation', `${name}.${part}`), parts[part]);
    }
    assign(graph, this.#at(graph, 'modulation', 'final.shift'), modulation.final.shift);
    assign(graph, this.#at(graph, 'modulation', 'final.scale'), modulation.final.scale);
    return graph;
  }

  body(): Graph {
    const graph = new Graph();
    const { samples, guidance } = this.#shape;
    const layout = this.#layout;
    const step = graph.input('step', [1], 'u32');
    const rows = graph.input('rows', [samples * (this.#guided ? 2 : 1)], 'u32');
    const state = (name: string): Tensor => this.#at(graph, 'sampler', name);
    const captions = new Map<string, BlockCaption>();
    const blocks = new Map<string, BlockModulation>();
    for (const { name } of [...layout.mixer, ...layout.blocks]) {
      captions.set(name, {
        k: this.#at(graph, 'prompt', `${name}.k`),
        v: this.#at(graph, 'prompt', `${name}.v`),
        ...(this.#guided ? { unconditional: this.#at(graph, 'prompt', `${name}.unconditional`) } : {}),
      });
      const parts = modulationParts.map(
        (part) => [part, this.#at(graph, 'modulation', `${name}.${part}`)] as const,
      );
      blocks.set(name, Object.fromEntries(parts) as unknown as BlockModulation);
    }
    const modulation: Modulation = {
      blocks,
      final: {
        shift: this.#at(graph, 'modulation', 'final.shift'),
        scale: this.#at(graph, 'modulation', 'final.scale'),
      },
    };
    const guided = this.#guided;
    const schedule = { table: state('table'), step, guided, patch: layout.patch };
    const patches = sampleInput(graph, { xEval: state('xEval'), ...schedule });
    const F = ditTokens(graph, this.#weights(graph), layout, { patches, modulation, rows, captions });
    heunStep(graph, {
      F,
      x: state('x'),
      xEval: state('xEval'),
      slope: state('slope'),
      denoised: state('denoised'),
      ...schedule,
      guidance,
    });
    return graph;
  }

  /** The three plans, without a device. */
  plan(profile: DeviceProfile): { prompt: Plan; modulation: Plan; body: Plan } {
    return {
      prompt: planGraph(this.prompt(), profile),
      modulation: planGraph(this.modulation(), profile),
      body: planGraph(this.body(), profile),
    };
  }
}

/** The plans bound to the device. */
export class SamplerPlans {
  readonly shape: SamplerShape;
  readonly prompt: Run;
  readonly modulation: Run;
  readonly body: Run;
  readonly #state: StateStore;

  private constructor(shape: SamplerShape, state: StateStore, runs: readonly [Run, Run, Run]) {
    this.shape = shape;
    this.#state = state;
    [this.prompt, this.modulation, this.body] = runs;
  }

  /** Allocates the shared state (freeing an older shape's) and binds the plans. @throws OutOfMemoryError */
  static async create(
    resources: SessionResources,
    layout: DitLayout,
    weights: (graph: Graph) => Weights,
    shape: SamplerShape,
  ): Promise<SamplerPlans> {
    const graphs = new SamplerGraphs(layout, weights, shape);
    const { state } = resources;
    for (const [group, specs] of graphs.state) {
      state.release(group);
      await state.allocate(group, specs);
    }
    const runs: Run[] = [];
    try {
      for (const graph of [graphs.prompt(), graphs.modulation(), graphs.body()]) {
        runs.push(await prepareRun(resources, graph));
      }
    } catch (thrown) {
      for (const run of runs) run.destroy();
      for (const group of graphs.state.keys()) state.release(group);
      throw thrown;
    }
    return new SamplerPlans(shape, state, [runs[0]!, runs[1]!, runs[2]!]);
  }

  /** Row of the modulation for each sample of the body's batch, at the noise level number `level`. */
  modulationRows(level: number): Uint32Array {
    const { samples, guidance } = this.shape;
    const guided = guidance > 1;
    const prompts = samples + (guided ? 1 : 0);
    return Uint32Array.from(
      { length: samples * (guided ? 2 : 1) },
      (_, b) => level * prompts + Math.min(b, samples),
    );
  }

  dispose(): void {
    for (const run of [this.prompt, this.modulation, this.body]) run.destroy();
    for (const group of ['prompt', 'modulation', 'sampler']) this.#state.release(group);
  }
}

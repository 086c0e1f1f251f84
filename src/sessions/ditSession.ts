/**
 * DitSession: a transformer on the GPU, as plans: single evaluations (`forward`) and the sampler.
 *
 * Sampling runs three kinds of plan. `prompt`: caption branch and every block's K and V, once per prompt; the zero caption
 * of the unconditional half is one token. `modulation`: every block's shift, scale and gate for all distinct noise
 * levels at once. `body`: one evaluation and the sampler's update, replayed 2 steps - 1 times; which evaluation it is, is
 * a number and a few row indices written before each replay.
 */
import { InputError, ShapeError } from '../core/errors';
import { shapeText } from '../core/shape';
import { heunTable, packHeunTable, sigmaMax, type HeunEvaluation } from '../diffusion/edm';
import type { TensorFile } from '../formats/tensorFile';
import { readState } from '../gpu/readback';
import { Graph } from '../graph/graph';
import { ditForward } from '../models/dit/forward';
import { ditLayout, type DitLayout } from '../models/dit/config';
import { ditParameters } from '../models/dit/parameters';
import { timestepEmbedding } from '../models/dit/positions';
import type { Weights } from '../models/weights';
import type { WeightStorage } from '../protocol/generate';
import type { DitConfig } from '../protocol/schemas';
import { groupWeights, loadWeights, type LoadOptions } from './loadWeights';
import { prepareRun, type SessionResources } from './resources';
import { SamplerPlans, type SamplerShape } from './samplerPlans';

const group = 'dit';

export interface SampleRequest {
  /** [N, L, caption width] */
  readonly captions: Float32Array;
  readonly captionLength: number;
  /** Unit normal, [N, C, h, w]. */
  readonly noise: Float32Array;
  readonly samples: number;
  readonly steps: number;
  /** Active above 1. */
  readonly guidance: number;
  readonly signal?: AbortSignal;
  /** After each step; a promise holds the sampler back (previews). */
  readonly onStep?: (step: number, evaluation: HeunEvaluation) => void | Promise<void>;
}

export class DitSession {
  readonly config: DitConfig;
  readonly layout: DitLayout;
  readonly storage: WeightStorage;
  readonly #resources: SessionResources;
  #plans: { key: string; plans: SamplerPlans } | null = null;

  private constructor(resources: SessionResources, config: DitConfig, storage: WeightStorage) {
    this.#resources = resources;
    this.config = config;
    this.layout = ditLayout(config);
    this.storage = storage;
  }

  /** @throws NotFoundError, FormatError, OutOfMemoryError */
  static async load(
    resources: SessionResources,
    config: DitConfig,
    file: TensorFile,
    options: LoadOptions,
  ): Promise<DitSession> {
    await loadWeights(resources.state, group, file, ditParameters(config), options);
    return new DitSession(resources, config, options.storage);
  }

  weights(graph: Graph): Weights {
    return groupWeights(graph, group, ditParameters(this.config), this.storage);
  }

  /** Shape of one latent: [C, h, w]. */
  get latentShape(): readonly [number, number, number] {
    const { in_channels, input_size } = this.config;
    return [in_channels, input_size, input_size];
  }

  /**
   * F of one evaluation, without EDM scaling: x [N, C, h, w], t = c_noise [1] or [N], y [N, L, caption width]. With
   * `guidance` above 1: u + guidance (c - u), u for the zero caption.
   */
  async forward(request: {
    x: Float32Array;
    t: ArrayLike<number>;
    y: Float32Array;
    samples: number;
    captionLength: number;
    guidance?: number;
    mask?: { kept: number; keep: Uint32Array; restore: Uint32Array };
  }): Promise<Float32Array> {
    const { samples, captionLength } = request;
    const graph = new Graph();
    const f = ditForward(graph, this.weights(graph), this.layout, {
      samples,
      captionLength,
      guidance: request.guidance ?? 1,
      keptTokens: request.mask?.kept ?? null,
    });
    graph.output('F', f);
    const run = await prepareRun(this.#resources, graph);
    try {
      run.write('x', request.x);
      run.write('y', request.y);
      run.write('features', timestepRows(request.t, samples));
      if (request.mask) {
        run.write('keep', request.mask.keep);
        run.write('restore', request.mask.restore);
      }
      await this.#resources.pacer.execute(run);
      return await run.read('F');
    } finally {
      run.destroy();
    }
  }

  /** The plans for a shape of sampling job, made on first use and kept until another shape is asked for. */
  async plans(shape: SamplerShape): Promise<SamplerPlans> {
    const key = JSON.stringify(shape);
    if (this.#plans?.key !== key) {
      this.#plans?.plans.dispose();
      this.#plans = null;
      const plans = await SamplerPlans.create(
        this.#resources,
        this.layout,
        (graph) => this.weights(graph),
        shape,
      );
      this.#plans = { key, plans };
    }
    return this.#plans.plans;
  }

  /**
   * The deterministic Heun sampler; gives the final latents [N, C, h, w], still scaled.
   * @throws InputError for steps below 2; ShapeError; CancelledError
   */
  async sample(request: SampleRequest): Promise<Float32Array> {
    const { samples, captionLength, signal, guidance, steps } = request;
    const { state, pacer, device } = this.#resources;
    const [channels, height, width] = this.latentShape;
    if (request.noise.length !== samples * channels * height * width) {
      throw new ShapeError(
        `sample: noise is [${samples}, ${channels}, ${height}, ${width}]: ${request.noise.length} values given`,
      );
    }
    const expected = [samples, captionLength, this.config.caption_channels];
    if (request.captions.length !== expected[0]! * expected[1]! * expected[2]!) {
      throw new ShapeError(
        `sample: captions are ${shapeText(expected)}: ${request.captions.length} values given`,
      );
    }
    if (!Number.isFinite(guidance)) throw new InputError(`guidance: a finite number: ${guidance}`);
    const table = heunTable(steps);
    const plans = await this.plans({ samples, captionLength, steps, guidance: guidance > 1 ? guidance : 1 });

    state.write('prompt:captions', request.captions);
    await pacer.execute(plans.prompt, signal);
    // one row of features per distinct noise level, in the order of first use
    const levels = [...new Set(table.map((row) => row.sigma))];
    const levelOf = new Map(levels.map((sigma, index) => [sigma, index]));
    const features = timestepRows(
      levels.map((sigma) => Math.log(sigma) / 4),
      levels.length,
    );
    plans.modulation.write('features', features);
    await pacer.execute(plans.modulation, signal);

    // upstream: float64(latents) * t_0
    const start = Float32Array.from(request.noise, (value) => value * sigmaMax);
    state.write('sampler:x', start);
    state.write('sampler:xEval', start);
    state.write('sampler:table', packHeunTable(table));
    for (const [index, evaluation] of table.entries()) {
      plans.body.write('step', Uint32Array.of(index));
      plans.body.write('rows', plans.modulationRows(levelOf.get(evaluation.sigma)!));
      await pacer.execute(plans.body, signal);
      if (evaluation.stage !== 'predict') await request.onStep?.(evaluation.step, evaluation);
    }
    await pacer.idle();
    device.assertAlive();
    return this.readLatents();
  }

  /** The sampler's current base point [N, C, h, w]. */
  async readLatents(name: 'x' | 'denoised' = 'x'): Promise<Float32Array> {
    return new Float32Array(await readState(this.#resources.state, `sampler:${name}`));
  }

  dispose(): void {
    this.#plans?.plans.dispose();
    this.#plans = null;
    this.#resources.state.release(group);
  }
}

/** Timestep features [rows, 512] of c_noise values; a single value serves all rows. */
export function timestepRows(t: ArrayLike<number>, rows: number): Float32Array {
  const width = timestepEmbedding(0).length;
  const features = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    features.set(timestepEmbedding(t[t.length === 1 ? 0 : row]!), row * width);
  }
  return features;
}

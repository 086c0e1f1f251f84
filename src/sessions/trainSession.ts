/**
 * TrainSession: the training step on one device: shards of a batch accumulate gradients, one update follows.
 *
 * Draws (noise levels, noise, mask, caption drop) come from outside, so that a recorded run can be replayed; nothing here
 * is random.
 */
import { InputError, ShapeError } from '../core/errors';
import { joinFloats } from '../core/joinFloats';
import { packEdmCoefficients, sigmaOfDraw } from '../diffusion/edm';
import type { TensorFile } from '../formats/tensorFile';
import { LateReads } from '../gpu/lateReads';
import { readBuffer, readState } from '../gpu/readback';
import type { Run } from '../gpu/run';
import type { Graph } from '../graph/graph';
import { ditLayout, type DitLayout } from '../models/dit/config';
import { ditParameters, trainedParameters, type DitParameter } from '../models/dit/parameters';
import type { Weights } from '../models/weights';
import { packHyper, type OptimizerSettings } from '../ops/optimizer';
import type { DitConfig } from '../protocol/schemas';
import type { TrainBatch } from '../protocol/trainBatch';
import { traceAccumulate, traceNorm, traceUpdate, type ShardShape } from '../train/graphs';
import { keptTokens, maskRows } from '../train/patchMask';
import { timestepRows } from './ditSession';
import { groupWeights, loadWeights, storedParameters, type LoadOptions } from './loadWeights';
import { prepareRun, type SessionResources } from './resources';

export interface LossSettings {
  readonly maskRatio: number;
  readonly pMean: number;
  readonly pStd: number;
  /** Samples per shard; must divide the batch. Default: the batch. */
  readonly shard?: number;
  readonly signal?: AbortSignal;
}

/** What one step was. */
export interface StepFigures {
  readonly loss: number;
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number;
  /** [N] */
  readonly perSample: Float32Array;
}

/** Which state groups a trainer keeps besides weights and gradients. */
export interface TrainerOptions {
  readonly maxNorm: number;
  readonly ema: boolean;
}

const cut = (values: Float32Array, parts: number, part: number): Float32Array => {
  const size = values.length / parts;
  return values.subarray(part * size, (part + 1) * size);
};

export class TrainSession {
  readonly config: DitConfig;
  readonly layout: DitLayout;
  readonly trained: readonly DitParameter[];
  readonly #resources: SessionResources;
  readonly #runs = new Map<string, Run>();
  #update: Run | null = null;
  #late: { readonly bytes: number; readonly reads: LateReads } | null = null;

  private constructor(resources: SessionResources, config: DitConfig) {
    this.#resources = resources;
    this.config = config;
    this.layout = ditLayout(config);
    this.trained = trainedParameters(config);
  }

  /** Loads weights (f32) and allocates gradients. @throws NotFoundError, FormatError, OutOfMemoryError */
  static async load(
    resources: SessionResources,
    config: DitConfig,
    file: TensorFile,
    options: Omit<LoadOptions, 'storage'> = {},
  ): Promise<TrainSession> {
    await loadWeights(resources.state, 'dit', file, ditParameters(config), { ...options, storage: 'f32' });
    return TrainSession.#begin(resources, config);
  }

  /** A model whose weights are written afterwards (`write`); zero until then. @throws OutOfMemoryError */
  static async create(resources: SessionResources, config: DitConfig): Promise<TrainSession> {
    await resources.state.allocate('dit', storedParameters(ditParameters(config), 'f32'));
    return TrainSession.#begin(resources, config);
  }

  static async #begin(resources: SessionResources, config: DitConfig): Promise<TrainSession> {
    const session = new TrainSession(resources, config);
    try {
      await session.#allocate('grads');
      await resources.state.allocate('metrics', new Map([['loss', { shape: [1], dtype: 'f32' as const }]]));
    } catch (thrown) {
      session.dispose();
      throw thrown;
    }
    return session;
  }

  /** The state groups that a checkpoint holds, with what is in them, in order. */
  get saved(): ReadonlyMap<string, readonly DitParameter[]> {
    const groups = ['dit', 'm', 'v', 'ema'].filter((group) => this.#resources.state.names(group).length > 0);
    return new Map(
      groups.map((group) => [group, group === 'dit' ? ditParameters(this.config) : this.trained]),
    );
  }

  /** Writes f32 words of a saved tensor, `byteOffset` bytes into it. @throws NotFoundError, ShapeError */
  async write(group: string, name: string, words: Float32Array | Uint32Array, byteOffset = 0): Promise<void> {
    this.#resources.state.write(`${group}:${name}`, words, byteOffset);
    await this.#resources.state.settle();
  }

  /** Bytes [from, from + count) of a saved tensor, as they are after what was submitted so far. */
  async read(group: string, name: string, from: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    const { state, device } = this.#resources;
    const { buffer, offset } = state.place(`${group}:${name}`);
    return new Uint8Array(await readBuffer(device, buffer, offset + from, count));
  }

  /**
   * Clears the gradients and runs every shard of the batch.
   * @returns the batch's loss and each sample's
   * @throws ShapeError, InputError
   */
  async accumulate(
    batch: TrainBatch,
    settings: LossSettings & { readonly inputGradients?: boolean },
  ): Promise<{ loss: number; perSample: Float32Array; inputs: Map<string, Float32Array> }> {
    const { state, pacer } = this.#resources;
    const perSample = new Float32Array(batch.samples);
    const inputs = new Map<string, Float32Array[]>();
    await this.#shards(batch, settings, async (run, first) => {
      perSample.set(await run.read('loss_per_sample'), first);
      if (!settings.inputGradients) return;
      for (const name of ['x_in', 'y_in', 'grad_x_in', 'grad_y_in']) {
        if (run.plan.outputs.has(name)) inputs.set(name, [...(inputs.get(name) ?? []), await run.read(name)]);
      }
    });
    await pacer.idle();
    const loss = new Float32Array(await readState(state, 'metrics:loss'))[0]!;
    return {
      loss,
      perSample,
      inputs: new Map([...inputs].map(([name, parts]) => [name, joinFloats(parts)])),
    };
  }

  /**
   * One optimizer step: every shard of the batch, clip, AdamW. Nothing is read inside it: it resolves when the GPU has no
   * more than a little of it left, and its figures come when the GPU is through.
   * @throws ShapeError, InputError; CancelledError between portions, with the weights as they were if it came before the
   * update
   */
  async step(
    batch: TrainBatch,
    settings: LossSettings,
    optimizer: OptimizerSettings,
  ): Promise<{ readonly figures: Promise<StepFigures> }> {
    const update = this.#updateRun();
    const { state, pacer, device } = this.#resources;
    const bytes = 4 * (2 + batch.samples);
    if (this.#late?.bytes !== bytes) {
      this.#late?.reads.destroy();
      this.#late = { bytes, reads: new LateReads(device, bytes) };
    }
    const late = await this.#late.reads.begin();
    await this.#shards(batch, settings, (run, first) => {
      const { buffer, value } = run.locate('loss_per_sample');
      late.copy(buffer, value.offset, value.bytes, 4 * (2 + first));
    });
    update.write('hyper', packHyper(optimizer));
    // an update is whole or not at all: it does not hear of cancelling
    await pacer.execute(update);
    const norm = update.locate('grad_norm');
    late.copy(norm.buffer, norm.value.offset, 4, 0);
    const loss = state.place('metrics:loss');
    late.copy(loss.buffer, loss.offset, 4, 4);
    const figures = late.finish().then((copied): StepFigures => {
      const values = new Float32Array(copied);
      return { gradNorm: values[0]!, loss: values[1]!, perSample: values.slice(2) };
    });
    // whoever wants the figures hears of a failure; nobody else needs to
    figures.catch(() => undefined);
    return { figures };
  }

  /** Global norm of the accumulated gradients. */
  async gradNorm(): Promise<number> {
    const run = await prepareRun(this.#resources, traceNorm(this.trained));
    try {
      await this.#resources.pacer.execute(run);
      return (await run.read('grad_norm'))[0]!;
    } finally {
      run.destroy();
    }
  }

  /** Allocates moments (zero) and, if asked for, the moving average. @throws OutOfMemoryError */
  async startOptimizer(options: TrainerOptions): Promise<void> {
    await this.#allocate('m');
    await this.#allocate('v');
    if (options.ema) await this.#allocate('ema');
    this.#update = await prepareRun(
      this.#resources,
      traceUpdate(this.trained, (graph) => this.#weights(graph), options),
    );
  }

  /** Clip and AdamW from the accumulated gradients; gives the global norm before clipping. */
  async update(settings: OptimizerSettings): Promise<number> {
    const run = this.#updateRun();
    run.write('hyper', packHyper(settings));
    await this.#resources.pacer.execute(run);
    return (await run.read('grad_norm'))[0]!;
  }

  /** Values of a group ('dit', 'grads', 'm', 'v', 'ema') by parameter name. */
  async values(group: string): Promise<Map<string, Float32Array>> {
    const { state } = this.#resources;
    const values = new Map<string, Float32Array>();
    for (const { name } of group === 'dit' ? ditParameters(this.config) : this.trained) {
      values.set(name, new Float32Array(await readState(state, `${group}:${name}`)));
    }
    return values;
  }

  dispose(): void {
    for (const run of this.#runs.values()) run.destroy();
    this.#runs.clear();
    this.#update?.destroy();
    this.#update = null;
    this.#late?.reads.destroy();
    this.#late = null;
    for (const group of ['dit', 'grads', 'metrics', 'm', 'v', 'ema']) this.#resources.state.release(group);
  }

  #updateRun(): Run {
    if (!this.#update) {
      throw new InputError('train: an optimizer must be started before an update: none is');
    }
    return this.#update;
  }

  /** Clears gradients and loss, and runs every shard; `after` sees each one's run and its first sample. */
  async #shards(
    batch: TrainBatch,
    settings: LossSettings & { readonly inputGradients?: boolean },
    after: (run: Run, first: number) => void | Promise<void>,
  ): Promise<void> {
    const { state, pacer } = this.#resources;
    const shard = settings.shard ?? batch.samples;
    if (!Number.isInteger(shard) || shard < 1 || batch.samples % shard !== 0) {
      throw new InputError(`shard: a whole number that divides the batch of ${batch.samples}: ${shard}`);
    }
    this.#checkBatch(batch);
    const { tokens } = this.layout;
    const kept = settings.maskRatio > 0 ? keptTokens(tokens, settings.maskRatio) : null;
    const run = await this.#accumulateRun({
      samples: shard,
      batch: batch.samples,
      captionLength: batch.captions.length / batch.samples / this.layout.captionChannels,
      keptTokens: kept,
      inputGradients: settings.inputGradients ?? false,
    });
    state.clear('grads');
    state.clear('metrics');
    const shards = batch.samples / shard;
    for (let part = 0; part < shards; part++) {
      const sigmas = Array.from(cut(batch.rndNormal, shards, part), (z) =>
        sigmaOfDraw(z, settings.pMean, settings.pStd),
      );
      run.write('latents', cut(batch.latents, shards, part));
      run.write('noise', cut(batch.noise, shards, part));
      run.write('captions', cut(batch.captions, shards, part));
      run.write('drop', cut(batch.drop, shards, part));
      run.write('coefficients', packEdmCoefficients(sigmas));
      const noiseLevels = sigmas.map((sigma) => Math.log(sigma) / 4);
      run.write('features', timestepRows(noiseLevels, shard));
      if (kept !== null) {
        const rows = maskRows(cut(batch.maskNoise, shards, part), tokens, kept);
        run.write('mask', rows.mask);
        run.write('keep', rows.keep);
        run.write('restore', rows.restore);
      }
      await pacer.execute(run, settings.signal);
      await after(run, part * shard);
    }
  }

  #weights(graph: Graph): Weights {
    return groupWeights(graph, 'dit', ditParameters(this.config), 'f32');
  }

  async #accumulateRun(shape: ShardShape): Promise<Run> {
    const key = JSON.stringify(shape);
    let run = this.#runs.get(key);
    if (!run) {
      const graph = traceAccumulate(this.layout, this.trained, (g) => this.#weights(g), shape);
      run = await prepareRun(this.#resources, graph);
      this.#runs.set(key, run);
    }
    return run;
  }

  async #allocate(group: string): Promise<void> {
    const specs = this.trained.map(({ name, shape }) => [name, { shape, dtype: 'f32' as const }] as const);
    await this.#resources.state.allocate(group, new Map(specs));
  }

  #checkBatch(batch: TrainBatch): void {
    const { channels, grid, patch, tokens, captionChannels } = this.layout;
    const picture = channels * (grid * patch) ** 2;
    const rules: [string, Float32Array, number][] = [
      ['latents', batch.latents, picture],
      ['noise', batch.noise, picture],
      ['rnd_normal', batch.rndNormal, 1],
      ['drop', batch.drop, 1],
      ['mask_noise', batch.maskNoise, tokens],
    ];
    for (const [name, values, each] of rules) {
      if (values.length !== batch.samples * each) {
        throw new ShapeError(
          `train: ${name} has ${each} values for each of ${batch.samples} samples: ${values.length} given`,
        );
      }
    }
    if (batch.captions.length === 0 || batch.captions.length % (batch.samples * captionChannels) !== 0) {
      throw new ShapeError(
        `train: captions are [${batch.samples}, L, ${captionChannels}]: ${batch.captions.length} values given`,
      );
    }
  }
}

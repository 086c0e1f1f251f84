/**
 * LoadedModel: a model's parts on the device within a budget. All of them where it allows; else each part is there when
 * it is needed, and goes when another needs its room. Sizes come from the plans of the job at hand.
 */
import { LimitError } from '../core/errors';
import type { Run } from '../gpu/run';
import { trainedParameters } from '../models/dit/parameters';
import { parameterCount } from '../models/parameters';
import { textParameters } from '../models/text/tower';
import type { GenerateSettings, WeightChoice, WeightStorage } from '../protocol/generate';
import type { MemoryPart } from '../protocol/library';
import type { PlanFacts, QuantizationFacts } from '../protocol/messages';
import { DitSession } from './ditSession';
import type { LoadOptions } from './loadWeights';
import { chooseWeights, ownBytes, planResidency, type PartName, type ResidencyPlan } from './memoryPlan';
import { checkParts, plannedModel, type ModelParts } from './modelParts';
import { Residency } from './residency';
import type { SessionResources } from './resources';
import { TextSession } from './textSession';
import { vaeParameters } from './vaePlan';
import { VaeSession } from './vaeSession';

/** Bytes read of a part, and which part. */
export type LoadProgress = (done: number, total: number, what: string) => void;

export interface LoadModelOptions {
  /** Default 'auto': f16, or int8 where f16 does not fit the budget. */
  readonly weights?: WeightChoice;
  /** Bytes that the model may take on the device; default: no bound. */
  readonly budget?: number;
  readonly onProgress?: LoadProgress;
  readonly signal?: AbortSignal;
}

/** What a loaded model is and takes. */
export interface ModelFacts {
  readonly parameters: readonly { readonly part: string; readonly count: number }[];
  readonly memory: readonly MemoryPart[];
  /** Of the parts that are on the device. */
  readonly plans: readonly PlanFacts[];
}

/** Sessions by part. */
export interface LoadedParts {
  readonly text: TextSession;
  readonly dit: DitSession;
  readonly vae: VaeSession;
}

/** Of a job, what its memory depends on. */
export type SamplerSettings = Pick<GenerateSettings, 'steps' | 'guidance'>;

const partWords: Readonly<Record<PartName, string>> = {
  text: 'the text tower',
  dit: 'the transformer',
  vae: 'the image decoder',
};

/** Who makes room for a part, the one that is needed last first. */
const leaving: Readonly<Record<PartName, readonly PartName[]>> = {
  text: ['vae', 'dit'],
  dit: ['text', 'vae'],
  vae: ['text', 'dit'],
};

export class LoadedModel {
  readonly parts: ModelParts;
  readonly storage: WeightStorage;
  readonly budget: number;
  readonly #resources: SessionResources;
  readonly #residency: Residency<LoadedParts>;
  readonly #plans = new Map<string, ResidencyPlan>();
  readonly #quantization = new Map<PartName, readonly QuantizationFacts[]>();
  /** Told of parts being read. */
  onProgress: LoadProgress | undefined;

  private constructor(resources: SessionResources, parts: ModelParts, plan: ResidencyPlan, budget: number) {
    this.#resources = resources;
    this.parts = parts;
    this.storage = plan.weights;
    this.budget = budget;
    const { dit, text, vae } = parts;
    this.#residency = new Residency<LoadedParts>(
      resources,
      {
        dit: {
          words: partWords.dit,
          load: (signal) => DitSession.load(resources, dit.config, dit.file, this.#reading('dit', signal)),
        },
        ...(text && {
          text: {
            words: partWords.text,
            load: (signal) =>
              TextSession.load(resources, text.config, text.file, this.#reading('text', signal)),
          },
        }),
        ...(vae && {
          vae: {
            words: partWords.vae,
            load: (signal) =>
              VaeSession.load(resources, vae.model, vae.file, {
                ...this.#reading('vae', signal),
                half: 'decoder',
                budget: plan.decoderBudget,
              }),
          },
        }),
      },
      budget,
    );
    this.#plans.set(planKey(1, parts.defaults), plan);
    this.#resize(plan);
  }

  /**
   * Whether a model could be loaded, without touching the device: its plan.
   * @throws FormatError when the parts do not fit each other; LimitError when a part does not fit the budget by itself
   */
  static check(
    { device }: SessionResources,
    parts: ModelParts,
    { weights = 'auto', budget = Infinity }: Pick<LoadModelOptions, 'weights' | 'budget'> = {},
  ): ResidencyPlan {
    checkParts(parts);
    return chooseWeights(plannedModel(parts), weights, device.profile, budget);
  }

  /**
   * Loads the parts that fit together; the others come when they are needed. On failure nothing stays behind.
   * @throws as `check`; NotFoundError, OutOfMemoryError, CancelledError
   */
  static async load(
    resources: SessionResources,
    parts: ModelParts,
    options: LoadModelOptions = {},
  ): Promise<LoadedModel> {
    const plan = LoadedModel.check(resources, parts, options);
    const model = new LoadedModel(resources, parts, plan, options.budget ?? Infinity);
    model.onProgress = options.onProgress;
    try {
      for (const name of plan.parts.keys()) {
        if (model.#residency.fits(name)) await model.part(name, options.signal);
      }
    } catch (thrown) {
      model.dispose();
      throw thrown;
    } finally {
      model.onProgress = undefined;
    }
    return model;
  }

  /** A part, loaded if need be. @throws LimitError; whatever loading throws */
  part<Name extends PartName>(name: Name, signal?: AbortSignal): Promise<LoadedParts[Name]> {
    return this.#residency.get(name, leaving[name], signal);
  }

  /** Whether a part is on the device now. */
  isPresent(name: PartName): boolean {
    return this.#residency.peek(name) !== null;
  }

  /** Bytes as planned for one picture with the model's defaults. */
  get plan(): ResidencyPlan {
    return this.#plan(1, this.parts.defaults);
  }

  /** Whether all parts stay on the device, and the most that is on it at once, as planned. */
  get residency(): { readonly kind: 'resident' | 'staged'; readonly bytes: number } {
    const { fit, total, staged } = this.plan;
    return fit === 'resident' ? { kind: fit, bytes: total } : { kind: 'staged', bytes: staged };
  }

  /** Errors of the int8 tensors loaded so far, the worst first. */
  get quantization(): readonly QuantizationFacts[] {
    const errors = [...this.#quantization.values()].flat();
    return errors.sort((a, b) => b.relativeError - a.relativeError);
  }

  /** As many pictures at once as the device and the budget take; room is counted for them from now on. */
  batchSize(count: number, settings: SamplerSettings): number {
    for (let size = count; size > 1; size = Math.ceil(size / 2)) {
      try {
        const plan = this.#plan(size, settings);
        if (plan.fit === 'none') continue;
        this.#resize(plan);
        return size;
      } catch (error) {
        if (!(error instanceof LimitError)) throw error;
      }
    }
    this.#resize(this.#plan(1, settings));
    return 1;
  }

  /** Bytes on the device now, by purpose. */
  memory(): MemoryPart[] {
    const { state, scratch } = this.#resources;
    return [
      { purpose: 'transformer weights', bytes: state.bytes('dit') },
      { purpose: 'text tower weights', bytes: state.bytes('text') },
      { purpose: 'autoencoder weights', bytes: state.bytes('vae') },
      { purpose: 'prompt and sampler state', bytes: state.bytes('prompt') + state.bytes('sampler') },
      { purpose: 'modulation table', bytes: state.bytes('modulation') },
      { purpose: 'scratch', bytes: scratch.bytes },
    ];
  }

  /** Parameters, memory by purpose and plans of a job with one picture and the model's defaults. */
  async describe(): Promise<ModelFacts> {
    const { steps, guidance } = this.parts.defaults;
    const { dit, text, vae } = this.parts;
    const count = (
      part: string,
      specs: Parameters<typeof parameterCount>[0],
    ): { part: string; count: number } => ({
      part,
      count: parameterCount(specs),
    });
    const facts = (name: string, { plan, ownedBytes }: Run): PlanFacts => ({
      name,
      macs: plan.macs,
      dispatches: plan.dispatches.length,
      pipelines: plan.pipelines.size,
      plannedBytes: plan.memory.io + plan.memory.uniforms,
      createdBytes: ownedBytes,
    });
    const plans: PlanFacts[] = [];
    const transformer = this.#residency.peek('dit');
    if (transformer) {
      const runs = await transformer.plans({
        samples: 1,
        captionLength: text?.config.context ?? 77,
        steps,
        guidance: guidance > 1 ? guidance : 1,
      });
      plans.push(
        facts('caption branch, once per prompt', runs.prompt),
        facts('modulation, once per job', runs.modulation),
        facts('one evaluation', runs.body),
      );
    }
    const decoder = this.#residency.peek('vae');
    if (decoder) {
      const { input_size: edge } = dit.config;
      plans.push(facts('decoding a picture', await decoder.decoder(1, edge, edge)));
    }
    return {
      parameters: [
        count('diffusion transformer', trainedParameters(dit.config)),
        ...(text ? [count('text tower', textParameters(text.config))] : []),
        ...(vae ? [count('image decoder', vaeParameters(vae.model, 'decoder'))] : []),
      ],
      memory: this.memory(),
      plans,
    };
  }

  dispose(): void {
    this.#residency.disposeAll();
  }

  /** How a part is read; its bytes are told as progress. */
  #reading(name: PartName, signal?: AbortSignal): LoadOptions {
    return {
      storage: this.storage,
      prefix: this.parts[name]!.prefix,
      ...(signal ? { signal } : {}),
      onProgress: (done, total) => this.onProgress?.(done, total, partWords[name]),
      onQuantized: (errors) => this.#quantization.set(name, errors),
    };
  }

  /** The plan for `samples` pictures at once. @throws LimitError beyond the device's limits */
  #plan(samples: number, { steps, guidance }: SamplerSettings): ResidencyPlan {
    const key = planKey(samples, { steps, guidance });
    let plan = this.#plans.get(key);
    if (!plan) {
      const model = { ...plannedModel(this.parts), samples, steps, guidance };
      plan = planResidency(model, this.storage, this.#resources.device.profile, this.budget);
      this.#plans.set(key, plan);
    }
    return plan;
  }

  #resize({ parts }: ResidencyPlan): void {
    for (const [name, part] of parts) {
      this.#residency.resize(name, { bytes: ownBytes(part), scratch: part.scratch });
    }
  }
}

/** Steps decide the size of the modulation table, guidance that of everything. */
function planKey(samples: number, { steps, guidance }: SamplerSettings): string {
  return `${samples} ${steps} ${guidance > 1}`;
}

/**
 * Plans of an autoencoder of either kind, without a device: how many pictures at once and in how many bands of rows the
 * limits and a budget allow, and what that takes.
 */
import { LimitError } from '../core/errors';
import { Graph } from '../graph/graph';
import { planGraph, type Plan } from '../graph/plan';
import type { DeviceProfile } from '../graph/profile';
import { groupBytes } from '../graph/state';
import type { ParameterSpec } from '../models/parameters';
import { taesdDecode, taesdEncode, taesdFactor } from '../models/taesd/model';
import { taesdDecoderParameters, taesdEncoderParameters } from '../models/taesd/parameters';
import { decode } from '../models/vae/decoder';
import { encode } from '../models/vae/encoder';
import { klDecoderParameters, klEncoderParameters } from '../models/vae/parameters';
import type { WeightStorage } from '../protocol/generate';
import type { VaeHalf, VaeModel } from '../protocol/vae';
import { groupWeights, storedParameters } from './loadWeights';

/** State group of an autoencoder's weights. */
export const vaeGroup = 'vae';

/** Bands of fewer rows would mostly read their neighbours' rows, and save next to nothing. */
const minBandRows = 8;

/** Facts of so many plans are kept at most. */
const maxKnown = 1024;

/** Picture pixels per latent pixel. */
export function vaeFactor(model: VaeModel): number {
  return model.kind === 'kl' ? 2 ** (model.config.block_out_channels.length - 1) : taesdFactor;
}

/** Channels of its latents. */
export function latentChannels(model: VaeModel): number {
  return model.config.latent_channels;
}

/** Latents of a diffusion model are the autoencoder's own times this; TAESD's are the same. */
export function scalingFactor(model: VaeModel): number {
  return model.kind === 'kl' ? model.config.scaling_factor : 1;
}

/** For people: "AutoencoderKL with 4 latent channels". */
export function vaeWords(model: VaeModel): string {
  const kind = model.kind === 'kl' ? 'AutoencoderKL' : 'TAESD';
  return `${kind} with ${latentChannels(model)} latent channels`;
}

/** The tensors that a half needs. */
export function vaeParameters(model: VaeModel, half: VaeHalf): ParameterSpec[] {
  const [encoder, decoder] =
    model.kind === 'kl'
      ? [klEncoderParameters(model.config), klDecoderParameters(model.config)]
      : [taesdEncoderParameters(latentChannels(model)), taesdDecoderParameters(latentChannels(model))];
  return [...(half === 'decoder' ? [] : encoder), ...(half === 'encoder' ? [] : decoder)];
}

/** One direction of an autoencoder for pictures of one size. */
export interface VaeRunRequest {
  readonly direction: 'decode' | 'encode';
  readonly samples: number;
  /** Of the latents, in either direction. */
  readonly height: number;
  readonly width: number;
  readonly storage: WeightStorage;
  readonly profile: DeviceProfile;
  /** Bytes that scratch, inputs and outputs may take. */
  readonly budget: number;
}

/** How a run is cut. */
interface Cut {
  /** Pictures of a replay: all samples, or one at a time. */
  readonly samples: number;
  /** Bands of a picture; 1: whole. */
  readonly bands: number;
}

/** What a run takes for all its samples. */
interface RunFacts extends Cut {
  readonly scratch: number;
  /** Inputs, outputs and uniforms. */
  readonly io: number;
  readonly macs: number;
  readonly dispatches: number;
}

/**
 * A plan with input `latent` [N, z, h, w], divided by the scaling factor where there is one, and output `image`
 * [N, 3, H, W]; or with input `image` and output `encoded`: moments [N, 2z, h, w] (AutoencoderKL) or latents (TAESD).
 */
export interface VaeRunPlan extends Cut {
  readonly plan: Plan;
}

function trace(model: VaeModel, request: VaeRunRequest, { samples, bands }: Cut): Graph {
  const { direction, height, width, storage } = request;
  const factor = vaeFactor(model);
  const graph = new Graph();
  const specs = vaeParameters(model, direction === 'decode' ? 'decoder' : 'encoder');
  const weights = groupWeights(graph, vaeGroup, specs, storage);
  const options = bands === 1 ? {} : { bandRows: Math.ceil((height * factor) / bands) };
  if (direction === 'decode') {
    const latent = graph.input('latent', [samples, latentChannels(model), height, width]);
    const image =
      model.kind === 'kl'
        ? decode(graph, weights, model.config, latent, options)
        : taesdDecode(graph, weights, latent, options);
    graph.output('image', image);
    return graph;
  }
  const image = graph.input('image', [samples, 3, height * factor, width * factor]);
  const encoded =
    model.kind === 'kl'
      ? encode(graph, weights, model.config, image, options)
      : taesdEncode(graph, weights, image, options);
  graph.output('encoded', encoded);
  return graph;
}

/** What is tried, the fastest first: everything at once, one picture at a time, one in 2, 4, 8, ... bands. */
function* cuts(samples: number, rows: number): Generator<Cut> {
  if (samples > 1) yield { samples, bands: 1 };
  for (let bands = 1; bands === 1 || rows / bands >= minBandRows; bands *= 2) yield { samples: 1, bands };
}

/** Facts by everything they depend on: they are asked for again and again, with other budgets. */
const known = new Map<string, RunFacts | LimitError>();

/** What a cut takes, or why the limits do not allow it. */
function factsOf(model: VaeModel, request: VaeRunRequest, cut: Cut): RunFacts | LimitError {
  const key = JSON.stringify([model, { ...request, budget: 0 }, cut]);
  let facts = known.get(key);
  if (!facts) {
    try {
      const { memory, macs, dispatches } = planGraph(trace(model, request, cut), request.profile);
      const replays = Math.ceil(request.samples / cut.samples);
      facts = {
        ...cut,
        scratch: memory.scratch,
        io: memory.io + memory.uniforms,
        macs: replays * macs,
        dispatches: replays * dispatches.length,
      };
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      facts = error;
    }
    if (known.size >= maxKnown) known.clear();
    known.set(key, facts);
  }
  return facts;
}

/** The first cut that the limits and the budget allow. @throws LimitError as planVaeRun */
function chooseCut(model: VaeModel, request: VaeRunRequest): RunFacts {
  const { direction, budget } = request;
  const factor = vaeFactor(model);
  const [height, width] = [request.height * factor, request.width * factor];
  let least = Infinity;
  let tooLarge = '';
  for (const cut of cuts(request.samples, height)) {
    const facts = factsOf(model, request, cut);
    if (facts instanceof LimitError) {
      tooLarge = facts.message;
      continue;
    }
    const bytes = facts.scratch + facts.io;
    if (bytes <= budget) return facts;
    least = Math.min(least, bytes);
  }
  const what = `${vaeWords(model)}: ${direction === 'decode' ? 'decoding' : 'encoding'} ${width} x ${height} pixels`;
  throw new LimitError(
    least < Infinity
      ? `${what} must fit ${budget} bytes of memory beside its weights: it takes at least ${least} bytes`
      : `${what} must fit the device's limits: ${tooLarge}`,
  );
}

/**
 * The first plan that the limits and the budget allow, of all pictures at once, one at a time, and one in 2, 4, 8, ...
 * bands of rows.
 * @throws LimitError naming the autoencoder, the picture's size, the budget and what it takes at least
 */
export function planVaeRun(model: VaeModel, request: VaeRunRequest): VaeRunPlan {
  const { samples, bands } = chooseCut(model, request);
  return { plan: planGraph(trace(model, request, { samples, bands }), request.profile), samples, bands };
}

/** What an autoencoder takes. */
export interface VaePlan extends RunFacts {
  /** Bytes of its weights. */
  readonly weights: number;
}

export interface VaePlanRequest extends Omit<VaeRunRequest, 'direction'> {
  /** 'both': a run of either direction; they share scratch. */
  readonly half: VaeHalf;
}

/**
 * What an autoencoder takes before anything is loaded, and what VaeSession then creates.
 * @throws LimitError as planVaeRun; also for weights that the device cannot bind
 */
export function planVae(model: VaeModel, { half, ...request }: VaePlanRequest): VaePlan {
  const { storage, profile } = request;
  const specs = vaeParameters(model, half);
  const weights = groupBytes(vaeGroup, storedParameters(specs, storage), profile.limits);
  const runs: RunFacts[] = [];
  if (half !== 'encoder') runs.push(chooseCut(model, { ...request, direction: 'decode' }));
  if (half !== 'decoder') runs.push(chooseCut(model, { ...request, direction: 'encode' }));
  const sum = (fact: 'io' | 'macs' | 'dispatches'): number => runs.reduce((all, run) => all + run[fact], 0);
  return {
    weights,
    scratch: Math.max(...runs.map(({ scratch }) => scratch)),
    ...{ io: sum('io'), macs: sum('macs'), dispatches: sum('dispatches') },
    samples: Math.min(...runs.map(({ samples }) => samples)),
    bands: Math.max(...runs.map(({ bands }) => bands)),
  };
}

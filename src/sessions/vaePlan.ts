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

/** Picture pixels per latent pixel. */
export function vaeFactor(model: VaeModel): number {
  return model.kind === 'kl' ? 2 ** (model.config.block_out_channels.length - 1) : taesdFactor;
}

/** Channels of its latents. */
export function latentChannels(model: VaeModel): number {
  return model.config.latent_channels;
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

/** A plan with input `latent` [N, z, h, w] and output `image` [N, 3, H, W], or the other way with output `encoded`. */
export interface VaeRunPlan {
  readonly plan: Plan;
  /** N of a replay: all samples, or one at a time. */
  readonly samples: number;
  /** Bands of the picture; 1: whole. */
  readonly bands: number;
}

/** Scratch, inputs, outputs and uniforms of a plan. */
const runBytes = ({ memory }: Plan): number => memory.scratch + memory.io + memory.uniforms;

function trace(model: VaeModel, request: VaeRunRequest, samples: number, bandRows: number): Graph {
  const { direction, height, width, storage } = request;
  const graph = new Graph();
  const specs = vaeParameters(model, direction === 'decode' ? 'decoder' : 'encoder');
  const weights = groupWeights(graph, vaeGroup, specs, storage);
  const options = { bandRows };
  if (direction === 'decode') {
    const latent = graph.input('latent', [samples, latentChannels(model), height, width]);
    const image =
      model.kind === 'kl'
        ? decode(graph, weights, model.config, latent, options)
        : taesdDecode(graph, weights, latent, options);
    graph.output('image', image);
    return graph;
  }
  const factor = vaeFactor(model);
  const image = graph.input('image', [samples, 3, height * factor, width * factor]);
  const encoded =
    model.kind === 'kl'
      ? encode(graph, weights, model.config, image, options)
      : taesdEncode(graph, weights, image, options);
  graph.output('encoded', encoded);
  return graph;
}

/** Numbers of bands to try for one picture: 1, 2, 4, ... */
function* bandCounts(height: number): Generator<number> {
  for (let bands = 1; bands === 1 || height / bands >= minBandRows; bands *= 2) yield bands;
}

/** What is tried, the fastest first: everything at once, one picture at a time, one in more and more bands. */
function* attempts(samples: number, height: number): Generator<{ samples: number; bands: number }> {
  if (samples > 1) yield { samples, bands: 1 };
  for (const bands of bandCounts(height)) yield { samples: 1, bands };
}

/**
 * The first plan that the limits and the budget allow, of all pictures at once, one at a time, and one in 2, 4, 8, ...
 * bands of rows.
 * @throws LimitError naming the autoencoder, the picture's size, what it needs at least and the budget
 */
export function planVaeRun(model: VaeModel, request: VaeRunRequest): VaeRunPlan {
  const factor = vaeFactor(model);
  const [height, width] = [request.height * factor, request.width * factor];
  let least = Infinity;
  let tooLarge: LimitError | undefined;
  for (const { samples, bands } of attempts(request.samples, height)) {
    try {
      const graph = trace(model, request, samples, bands === 1 ? Infinity : Math.ceil(height / bands));
      const plan = planGraph(graph, request.profile);
      if (runBytes(plan) <= request.budget) return { plan, samples, bands };
      least = Math.min(least, runBytes(plan));
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      tooLarge = error;
    }
  }
  const what = `${vaeWords(model)}: ${request.direction === 'decode' ? 'decoding' : 'encoding'} ${width} x ${height} pixels`;
  throw new LimitError(
    least < Infinity
      ? `${what} must fit ${request.budget} bytes of memory beside its weights: it takes at least ${least} bytes`
      : `${what} must fit the device's limits: ${tooLarge?.message ?? ''}`,
  );
}

/** What an autoencoder takes. */
export interface VaePlan {
  /** Bytes of its weights. */
  readonly weights: number;
  readonly scratch: number;
  /** Inputs, outputs and uniforms. */
  readonly io: number;
  /** Of all samples. */
  readonly macs: number;
  readonly dispatches: number;
  /** Pictures of a replay; fewer than asked for where they do not fit together. */
  readonly samples: number;
  /** Bands of a picture. */
  readonly bands: number;
}

export interface VaePlanRequest extends Omit<VaeRunRequest, 'direction'> {
  /** 'both': a plan of either direction, which share scratch. */
  readonly half: VaeHalf;
}

type RunFacts = Omit<VaePlan, 'weights'>;

const knownFacts = new Map<string, RunFacts | LimitError>();

/** Facts of planVaeRun, kept: choosing a model asks for them again and again, and searching takes up to seconds. */
function runFacts(model: VaeModel, request: VaeRunRequest): RunFacts {
  const key = JSON.stringify([model, { ...request, budget: String(request.budget) }]);
  let facts = knownFacts.get(key);
  if (!facts) {
    try {
      const { plan, samples, bands } = planVaeRun(model, request);
      const replays = Math.ceil(request.samples / samples);
      facts = {
        scratch: plan.memory.scratch,
        io: plan.memory.io + plan.memory.uniforms,
        macs: replays * plan.macs,
        dispatches: replays * plan.dispatches.length,
        ...{ samples, bands },
      };
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      facts = error;
    }
    if (knownFacts.size >= 256) knownFacts.clear();
    knownFacts.set(key, facts);
  }
  if (facts instanceof LimitError) throw facts;
  return facts;
}

/**
 * What an autoencoder takes before anything is loaded: what VaeSession then creates.
 * @throws LimitError as planVaeRun; also for weights that the device cannot bind
 */
export function planVae(model: VaeModel, { half, ...request }: VaePlanRequest): VaePlan {
  const { storage, profile } = request;
  const weights = groupBytes(vaeGroup, storedParameters(vaeParameters(model, half), storage), profile.limits);
  const runs = [
    ...(half === 'encoder' ? [] : [runFacts(model, { ...request, direction: 'decode' })]),
    ...(half === 'decoder' ? [] : [runFacts(model, { ...request, direction: 'encode' })]),
  ];
  const sum = (fact: 'io' | 'macs' | 'dispatches'): number => runs.reduce((all, run) => all + run[fact], 0);
  return {
    weights,
    scratch: Math.max(...runs.map(({ scratch }) => scratch)),
    ...{ io: sum('io'), macs: sum('macs'), dispatches: sum('dispatches') },
    samples: Math.min(...runs.map(({ samples }) => samples)),
    bands: Math.max(...runs.map(({ bands }) => bands)),
  };
}

/** Model parts onto the device, with their notes told and their progress shown. */
import type { WeightStorage } from '../protocol/generate';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeHalf } from '../protocol/vae';
import { DitSession } from '../sessions/ditSession';
import type { LoadOptions } from '../sessions/loadWeights';
import type { SessionResources } from '../sessions/resources';
import { TextSession } from '../sessions/textSession';
import { TrainSession } from '../sessions/trainSession';
import { VaeSession } from '../sessions/vaeSession';
import type { Context } from './command';
import type { FoundPart, ModelPart, VaePart } from './models';

function optionsFor(
  part: FoundPart,
  what: string,
  storage: WeightStorage,
  { output, signal }: Context,
): LoadOptions {
  for (const note of part.notes) output.note(note);
  return {
    storage,
    prefix: part.prefix,
    signal,
    onProgress: (done, total) => output.progress(`reading ${what}`, done, total),
  };
}

/** @throws NotFoundError, FormatError, OutOfMemoryError; the same for all four */
export function loadDit(
  resources: SessionResources,
  part: ModelPart<DitConfig>,
  storage: WeightStorage,
  context: Context,
): Promise<DitSession> {
  const options = optionsFor(part, 'the transformer', storage, context);
  return DitSession.load(resources, part.config, part.file, options);
}

/** For losses and training: weights and gradients, f32. */
export function loadTrainer(
  resources: SessionResources,
  part: ModelPart<DitConfig>,
  context: Context,
): Promise<TrainSession> {
  const options = optionsFor(part, 'the transformer', 'f32', context);
  return TrainSession.load(resources, part.config, part.file, options);
}

/** One direction of an autoencoder. */
export function loadVae(
  resources: SessionResources,
  part: VaePart,
  half: Exclude<VaeHalf, 'both'>,
  storage: WeightStorage,
  context: Context,
): Promise<VaeSession> {
  const options = { ...optionsFor(part, 'the autoencoder', storage, context), half };
  return VaeSession.load(resources, part.model, part.file, options);
}

export function loadText(
  resources: SessionResources,
  part: ModelPart<TextConfig>,
  storage: WeightStorage,
  context: Context,
): Promise<TextSession> {
  const options = optionsFor(part, 'the text tower', storage, context);
  return TextSession.load(resources, part.config, part.file, options);
}

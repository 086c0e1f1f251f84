/** What a GenerateSession is made of: opened files, checked configurations, nothing on the device yet. */
import { FormatError } from '../core/errors';
import type { TensorFile } from '../formats/tensorFile';
import type { Tokenizer } from '../models/text/context';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeModel } from '../protocol/vae';
import type { PlannedModel } from './memoryPlan';
import { latentChannels } from './vaePlan';

/** A weight file's part: its index is open, its values are unread. */
export interface WeightsPart {
  readonly file: TensorFile;
  /** In front of every name in the file. */
  readonly prefix: string;
}

/** A whole model, or as much of it as a job needs. */
export interface ModelParts {
  /** Written into pictures: "emoji-64", or a file's name. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly licence: string;
  readonly defaults: {
    readonly steps: number;
    readonly guidance: number;
    readonly prompts: readonly string[];
  };
  readonly dit: WeightsPart & { readonly config: DitConfig };
  /** Absent: latents are all that can be made. */
  readonly vae?: WeightsPart & { readonly model: VaeModel };
  /** Absent: caption latents must be given. */
  readonly text?: WeightsPart & { readonly config: TextConfig; readonly tokenizer: Tokenizer };
}

/** The model as its plans see it, at its own defaults. */
export function plannedModel(parts: ModelParts): PlannedModel {
  return {
    dit: parts.dit.config,
    vae: parts.vae?.model ?? null,
    text: parts.text?.config ?? null,
    steps: parts.defaults.steps,
    guidance: parts.defaults.guidance,
  };
}

/** @throws FormatError when the parts of a model were not made for each other */
export function checkParts({ name, dit, vae, text }: ModelParts): void {
  const channels = vae && latentChannels(vae.model);
  if (channels !== undefined && dit.config.in_channels !== channels) {
    throw new FormatError(
      `${name}: transformer and autoencoder must have the same latent channels: ${dit.config.in_channels} and ${channels}`,
    );
  }
  if (!text) return;
  if (dit.config.caption_channels !== text.config.width) {
    throw new FormatError(
      `${name}: the transformer's caption width must be the text tower's: ${dit.config.caption_channels} and ${text.config.width}`,
    );
  }
  const { tokenizer, config } = text;
  if (tokenizer.context !== config.context || tokenizer.vocabSize > config.vocab) {
    throw new FormatError(
      `${name}: the tokenizer must fit the text tower of ${config.vocab} ids and ${config.context} positions: it has ${tokenizer.vocabSize} and ${tokenizer.context}`,
    );
  }
}

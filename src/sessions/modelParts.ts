/** What a GenerateSession is made of: opened files, checked configurations, nothing on the device yet. */
import type { TensorFile } from '../formats/tensorFile';
import type { Tokenizer } from '../models/text/context';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeModel } from '../protocol/vae';

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

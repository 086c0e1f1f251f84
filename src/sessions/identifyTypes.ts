/** What identifying files gives: the facts that are shown, and behind them the opened files and checked configurations. */
import type { Bundle } from '../formats/bundle';
import type { TensorFile } from '../formats/tensorFile';
import type { FoundModel } from '../models/recognise';
import type { LibraryItem, LibraryPart } from '../protocol/library';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeHalf, VaeModel } from '../protocol/vae';
import type { WeightsPart } from './modelParts';

/** A tokenizer.json, parsed and checked. */
export interface TokenizerContent {
  readonly role: 'tokenizer';
  /** The file's, for messages. */
  readonly name: string;
  readonly json: unknown;
  readonly vocab: number;
  /** Ids per text, where file or manifest say it. */
  readonly context: number | null;
  /** Padding id, where the manifest says it. */
  readonly pad: number | null;
}

/** A part that can be used, with all that a session needs. */
export type PartContent =
  | (WeightsPart & { readonly role: 'dit'; readonly config: DitConfig })
  | (WeightsPart & { readonly role: 'vae'; readonly model: VaeModel; readonly half: VaeHalf })
  | (WeightsPart & { readonly role: 'text'; readonly config: TextConfig })
  | TokenizerContent;

/** A part of a file. */
export interface IdentifiedPart {
  readonly facts: LibraryPart;
  /** Null where `facts.problem` says why. */
  readonly content: PartContent | null;
  /** What its reader wants to tell. */
  readonly notes: readonly string[];
  /** Of weights: where the part lies, for a configuration that comes later. */
  readonly found?: FoundModel;
  readonly file?: TensorFile;
}

/** A configuration that lies by itself: for parts that wait for one. */
export interface LooseConfig {
  readonly role: 'dit' | 'vae' | 'text';
  readonly name: string;
  readonly json: object;
}

/** A weight file behind an item. */
export interface OpenedFile {
  /** In front of its tensors' names where an item has several files; '' where it has one. */
  readonly label: string;
  readonly file: TensorFile;
}

/** An item of the library before it has an id, and what stands behind it. */
export interface Identified {
  readonly facts: Omit<LibraryItem, 'id' | 'parts' | 'tensors'>;
  readonly parts: readonly IdentifiedPart[];
  readonly files: readonly OpenedFile[];
  readonly bundle?: Bundle;
  readonly loose?: LooseConfig;
  /** What a JSON file says, checked; of a picture its size and settings. */
  readonly content?: object;
}

/**
 * The library: what dropped files and folders are, which of them make a model together, and what memory that model takes.
 * Told by the engine, shown by the page, printed by the command line.
 */
import type { WeightStorage } from './generate';
import type { VaeHalf } from './vae';

/** The places of a model that files fill. */
export type Role = 'dit' | 'vae' | 'text' | 'tokenizer';

export const roles: readonly Role[] = ['dit', 'vae', 'text', 'tokenizer'];

/** A part of a model inside a file. A Composer checkpoint has up to three. */
export interface LibraryPart {
  readonly role: Role;
  readonly kind: 'dit' | 'autoencoder-kl' | 'taesd' | 'clip-text' | 'tokenizer';
  /** For people: "MicroDiT_XL_2 for 512 px, 4 latent channels". */
  readonly words: string;
  /** In front of the model's names in the file: '' or `dit.` and the like. */
  readonly prefix: string;
  /** Checked configuration with upstream's field names; null while nothing says it. */
  readonly config: object | null;
  /** Where the configuration comes from: a path, "its shapes", "its metadata"; '' without one. */
  readonly configFrom: string;
  /** Trained values. */
  readonly parameters: number;
  /** Values by type in the file: { F32: 1165442320 }. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** Bytes of its tensors in the file. */
  readonly bytes: number;
  /** Of an autoencoder. */
  readonly half?: VaeHalf;
  /** Why it cannot be used as it is, and what would help; null when it can. */
  readonly problem: string | null;
}

/** What a library entry is as a whole. */
export type ItemKind =
  | 'model' // one or more parts
  | 'bundle' // a folder or zip with tabdit.json
  | 'config' // JSON beside some weights
  | 'mds' // a dataset folder
  | 'picture' // a PNG, with or without settings
  | 'tensors' // readable, but no model known here
  | 'refused' // recognised, and not supported or damaged: see `problem`
  | 'other'; // nothing this program uses

/** A file, or a folder that is one thing (bundle, dataset). */
export interface LibraryItem {
  readonly id: string;
  /** As it was dropped or named: "MicroDiT/vae/diffusion_pytorch_model.safetensors". */
  readonly path: string;
  readonly kind: ItemKind;
  /** "safetensors", "torch zip", "torch legacy", "JSON", "PNG", "zip", "folder". */
  readonly format: string;
  /** One sentence for people: what it is. */
  readonly words: string;
  readonly bytes: number;
  readonly parts: readonly LibraryPart[];
  /** Number of tensors; 0 where there are none. */
  readonly tensors: number;
  /** What its reader wants to tell. */
  readonly notes: readonly string[];
  /** Why it is refused, as one sentence "what: rule: actual"; null when it is not. */
  readonly problem: string | null;
}

/** One part of one item. */
export interface PartChoice {
  readonly item: string;
  /** Index into the item's parts. */
  readonly part: number;
}

/** A role that nothing fills yet. */
export interface MissingPart {
  readonly role: Role;
  /** For people: what is needed, with the numbers that it must have. */
  readonly words: string;
  /** Where it is usually found. */
  readonly where: string;
}

/** GPU memory of one purpose. */
export interface MemoryPart {
  /** For people: "weights". */
  readonly purpose: string;
  readonly bytes: number;
}

/** Memory of the chosen model for one kind of weights. */
export interface MemoryPlan {
  readonly weights: WeightStorage;
  /** Everything on the device at once, by purpose. */
  readonly parts: readonly MemoryPart[];
  readonly total: number;
  /** The most that is needed at one time when parts come and go. */
  readonly staged: number;
  /** By the budget: everything stays, parts come and go, or it does not fit. */
  readonly fit: 'resident' | 'staged' | 'none';
  /** Why it cannot be planned at all (a tensor beyond the device's limits); null when it can. */
  readonly problem: string | null;
}

/** Everything the page shows of the library. */
export interface LibraryView {
  readonly items: readonly LibraryItem[];
  readonly chosen: Readonly<Record<Role, PartChoice | null>>;
  readonly missing: readonly MissingPart[];
  /** Chosen parts that do not fit each other, one sentence each. */
  readonly conflicts: readonly string[];
  /** One for each kind of weights; empty while parts are missing or conflict. */
  readonly plans: readonly MemoryPlan[];
  /** Bytes that a model may take on the device. */
  readonly budget: number;
}

/** A tensor of a file. */
export interface TensorFacts {
  readonly name: string;
  /** safetensors' name: "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Statistics of a tensor's values, in f64. Extremes and moments leave out what is not finite. */
export interface TensorStatistics {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Root of the mean square deviation. */
  readonly deviation: number;
  readonly zeros: number;
  readonly notFinite: number;
  /** Counts in equal bins from min to max. */
  readonly histogram: readonly number[];
}

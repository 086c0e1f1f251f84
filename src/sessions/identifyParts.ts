/**
 * A model found in a weight file, with its configuration: where that comes from, whether the file's tensors agree with
 * it, and what is missing when it cannot be used.
 *
 * A configuration is looked for in this order: given, a .json of the file's own name, the one that its bundle's manifest
 * names, config.json beside it, the file's own metadata, any other .json beside it, its shapes. The first three are taken
 * as they are; config.json and others only when all shapes agree.
 */
import { isFloatDType } from '../core/dtype';
import { FormatError, messageOf, TabditError } from '../core/errors';
import { elementCount } from '../core/shape';
import type { TensorEntry, TensorFile } from '../formats/tensorFile';
import { resolveDitConfig } from '../models/dit/config';
import { ditParameters } from '../models/dit/parameters';
import type { ParameterSpec } from '../models/parameters';
import { firstMisfit, tableEntries, type FoundModel, type ModelKind } from '../models/recognise';
import {
  ditShapeWords,
  inferDitConfig,
  inferKlConfig,
  inferTaesdConfig,
  inferTextConfig,
  klTable,
  knownKlName,
  taesdTable,
  type Inferred,
} from '../models/recogniseConfig';
import { textParameters } from '../models/text/tower';
import type { LibraryPart } from '../protocol/library';
import {
  parseKlConfig,
  parseTextConfig,
  type DitConfig,
  type KlConfig,
  type Resolved,
  type TextConfig,
} from '../protocol/schemas';
import type { VaeHalf } from '../protocol/vae';
import type { IdentifiedPart, LooseConfig, PartContent } from './identifyTypes';

/** JSON that may be a configuration. */
export interface ConfigCandidate {
  /** The file's, for messages. */
  readonly name: string;
  readonly json: object;
  /**
   * `given` for this part, by a manifest or by the user: whatever its fields. The others count only with the fields of
   * the part's kind: `own` has the weight file's name; `usual` has one that configurations usually have, and counts when
   * all shapes agree; `near` has any other, and counts when all shapes agree with it alone.
   */
  readonly rank: 'given' | 'own' | 'usual' | 'near';
}

/**
 * Which configuration a JSON object is, by the fields that only one kind has; null: none, or that of a model which says
 * itself that it is another.
 */
export function configRole(json: object): LooseConfig['role'] | null {
  const has = (field: string): boolean => field in json;
  const says = (field: string): unknown => (json as Record<string, unknown>)[field];
  if (has('block_out_channels'))
    return (says('_class_name') ?? 'AutoencoderKL') === 'AutoencoderKL' ? 'vae' : null;
  if (['model_cfg', 'text_cfg', 'text_config', 'hidden_size'].some(has)) {
    const type = says('model_type');
    return type === undefined || type === 'clip' || type === 'clip_text_model' ? 'text' : null;
  }
  const config = says('config');
  const inner = typeof config === 'object' && config !== null ? config : json;
  return 'dim' in inner || 'arch' in inner ? 'dit' : null;
}

/** What tells a kind of model's configuration. */
interface Teller<Config> {
  readonly role: LooseConfig['role'];
  readonly resolve: (name: string, json: unknown) => Resolved<Config>;
  readonly table: (config: Config) => readonly ParameterSpec[];
  readonly infer: () => Inferred<Config>;
  /** Name in safetensors metadata. */
  readonly metadata?: string;
  /** What would help: "config.json beside the file". */
  readonly help: string;
}

/** A configuration and where it comes from. */
interface Told<Config> {
  readonly config: Config | null;
  readonly from: string;
  readonly notes: readonly string[];
  readonly problem: string | null;
}

function tellConfig<Config>(
  file: TensorFile,
  prefix: string,
  teller: Teller<Config>,
  candidates: readonly ConfigCandidate[],
): Told<Config> {
  const { name } = file.source;
  const attempt = (from: string, read: () => unknown): Told<Config> => {
    try {
      const { config, notes } = teller.resolve(from, read());
      const misfit = firstMisfit(file.tensors, prefix, teller.table(config));
      const problem = misfit && `${name}: must be what ${from} describes: ${misfit}`;
      return { config, from, notes, problem };
    } catch (error) {
      if (!(error instanceof TabditError)) throw error;
      return { config: null, from, notes: [], problem: error.message };
    }
  };
  let first: string | null = null;
  let near: Told<Config> | null = null;
  const beside = candidates.filter(({ json, rank }) => rank === 'given' || configRole(json) === teller.role);
  for (const { name: from, json, rank } of beside) {
    const told = attempt(from, () => json);
    if (rank === 'given' || rank === 'own') return told;
    first ??= told.problem;
    if (told.problem !== null) continue;
    if (rank === 'usual') return told;
    if (near && JSON.stringify(near.config) !== JSON.stringify(told.config)) {
      first = `${near.from} and ${from} both fit and differ`;
      near = null;
      break;
    }
    near ??= told;
  }
  const text = teller.metadata && file.metadata.get(teller.metadata);
  if (text !== undefined && text !== '') {
    return attempt(`${name}: metadata "config"`, () => parseMetadata(name, text));
  }
  if (near) return near;
  const inferred = teller.infer();
  if (inferred.config)
    return { config: inferred.config, from: 'its shapes', notes: inferred.notes, problem: null };
  return {
    config: null,
    from: '',
    notes: [],
    problem: `${name}: a configuration must tell what shapes do not (${inferred.words}): ${first ?? `there is no ${teller.help}`}`,
  };
}

function parseMetadata(name: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FormatError(`${name}: metadata "config" must be JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** A found model with its configuration. */
export function identifyPart(
  file: TensorFile,
  found: FoundModel,
  candidates: readonly ConfigCandidate[],
): IdentifiedPart {
  return { ...identifiers[found.kind](file, found, candidates), found, file };
}

type Identifier = (
  file: TensorFile,
  found: FoundModel,
  candidates: readonly ConfigCandidate[],
) => IdentifiedPart;

const identifiers: Readonly<Record<ModelKind, Identifier>> = {
  dit: identifyDit,
  'autoencoder-kl': identifyKl,
  taesd: identifyTaesd,
  'clip-text': identifyText,
};

function identifyDit(
  file: TensorFile,
  { kind, prefix }: FoundModel,
  candidates: readonly ConfigCandidate[],
): IdentifiedPart {
  const named = inferDitConfig(file.tensors, prefix);
  const told = tellConfig<DitConfig>(
    file,
    prefix,
    {
      role: 'dit',
      resolve: (name, json) => resolveDitConfig(json, name),
      table: ditParameters,
      infer: () => ({
        config: named?.config ?? null,
        words: ditShapeWords(file.tensors, prefix),
        notes: named ? [`${file.source.name}: recognised as ${named.arch} by its shapes`] : [],
      }),
      metadata: 'config',
      help: '.json of its name beside it, and it is neither MicroDiT_Tiny_2 nor MicroDiT_XL_2',
    },
    candidates,
  );
  const { config } = told;
  const words = config
    ? named
      ? `${named.arch} for ${8 * config.input_size} px, ${config.in_channels} latent channels`
      : `MicroDiT for latents of ${config.input_size} x ${config.input_size}, ${ditShapeWords(file.tensors, prefix)}`
    : `MicroDiT of unknown configuration, ${ditShapeWords(file.tensors, prefix)}`;
  const table = config && ditParameters(config);
  const buffers = [`${prefix}pos_embed`, `${prefix}mask_token`];
  return part(
    file,
    { role: 'dit', kind, words, prefix, table, untrained: buffers },
    told,
    config && { role: 'dit', file, prefix, config },
  );
}

function identifyKl(
  file: TensorFile,
  { kind, prefix, half = 'both' }: FoundModel,
  candidates: readonly ConfigCandidate[],
): IdentifiedPart {
  const inferred = inferKlConfig(file.tensors, prefix, half);
  const told = tellConfig<KlConfig>(
    file,
    prefix,
    {
      role: 'vae',
      resolve: parseKlConfig,
      table: (config) => klTable(config, half),
      infer: () => inferred,
      help: 'config.json beside it',
    },
    candidates,
  );
  const { config } = told;
  const name = config && knownKlName(config);
  const words = config
    ? `AutoencoderKL${name === null ? '' : ` with the shapes of ${name}`}, ${config.latent_channels} latent channels, factor ${2 ** (config.block_out_channels.length - 1)}`
    : `AutoencoderKL of unknown configuration, ${inferred.words}`;
  return part(
    file,
    {
      role: 'vae',
      kind,
      words: words + halfWords(half),
      prefix,
      half,
      table: config && klTable(config, half),
    },
    told,
    config && { role: 'vae', file, prefix, model: { kind: 'kl', config }, half },
  );
}

const halfWords = (half: VaeHalf): string => (half === 'both' ? '' : `, ${half} only`);

function identifyTaesd(file: TensorFile, { kind, prefix, half = 'both' }: FoundModel): IdentifiedPart {
  const { config, words, notes } = inferTaesdConfig(file.tensors, prefix, half);
  const told: Told<object> = {
    config,
    from: config ? 'its shapes' : '',
    notes,
    problem: config
      ? null
      : `${file.source.name}: a tiny autoencoder must have the layers of TAESD, TAESDXL or TAESD3: it has others`,
  };
  return part(
    file,
    {
      ...{ role: 'vae', kind, prefix, half, table: config && taesdTable(config, half) },
      words: `Tiny autoencoder (TAESD), ${words}${halfWords(half)}`,
    },
    told,
    config && { role: 'vae', file, prefix, model: { kind: 'taesd', config }, half },
  );
}

function identifyText(
  file: TensorFile,
  { kind, prefix }: FoundModel,
  candidates: readonly ConfigCandidate[],
): IdentifiedPart {
  const inferred = inferTextConfig(file.tensors, prefix);
  const told = tellConfig<TextConfig>(
    file,
    prefix,
    {
      role: 'text',
      resolve: parseTextConfig,
      table: textParameters,
      infer: () => inferred,
      help: 'open_clip_config.json or config.json beside it',
    },
    candidates,
  );
  const { config } = told;
  const words = config
    ? `CLIP text tower, width ${config.width}, ${config.layers} layers, ${config.context} positions`
    : `CLIP text tower of unknown configuration, ${inferred.words}`;
  return part(
    file,
    { role: 'text', kind, words, prefix, table: config && textParameters(config) },
    told,
    config && { role: 'text', file, prefix, config },
  );
}

interface PartFacts extends Pick<LibraryPart, 'role' | 'kind' | 'words' | 'prefix'> {
  readonly half?: VaeHalf;
  readonly table: readonly ParameterSpec[] | null;
  /** Tensors whose values are not trained. */
  readonly untrained?: readonly string[];
}

function part(
  file: TensorFile,
  { table, untrained = [], half, ...facts }: PartFacts,
  { config, from, notes, problem: misfit }: Told<object>,
  content: PartContent | null,
): IdentifiedPart {
  const entries = table ? tableEntries(file.tensors, facts.prefix, table) : likelyEntries(file, facts);
  const packed = table && entries.find(({ dtype }) => !isFloatDType(dtype));
  const problem =
    misfit ??
    (packed
      ? `${file.source.name}: tensor ${packed.name} must hold real floating-point numbers: it holds ${packed.dtype}`
      : null);
  return {
    facts: {
      ...facts,
      config,
      configFrom: from,
      ...countTensors(entries, untrained),
      ...(half && { half }),
      problem,
    },
    content: problem === null ? content : null,
    notes,
  };
}

/** Tensors of a part whose table is not known, by how its names begin. */
function likelyEntries(
  file: TensorFile,
  { kind, prefix }: Pick<LibraryPart, 'kind' | 'prefix'>,
): TensorEntry[] {
  const beginnings: Partial<Record<LibraryPart['kind'], RegExp>> = {
    'autoencoder-kl': /^((encoder|decoder|(post_)?quant_conv)\.)/,
    'clip-text': /^(token_embedding|positional_embedding|transformer\.|ln_final|text_model\.)/,
    dit: /^(pos_embed|mask_token|[xty]_embedder|y_emb_preprocess|pooled_y|patch_mixer|blocks\.|final_layer)/,
  };
  const begins = beginnings[kind] ?? /^/;
  return [...file.tensors.values()].filter(
    ({ name }) => name.startsWith(prefix) && begins.test(name.slice(prefix.length)),
  );
}

/** Trained values, values by type and bytes of tensors. */
export function countTensors(
  entries: readonly TensorEntry[],
  untrained: readonly string[] = [],
): Pick<LibraryPart, 'parameters' | 'dtypes' | 'bytes'> {
  const dtypes: Record<string, number> = {};
  let [parameters, bytes] = [0, 0];
  for (const { name, dtype, shape, bytes: size } of entries) {
    const count = elementCount(shape);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + count;
    bytes += size;
    if (isFloatDType(dtype) && !untrained.includes(name)) parameters += count;
  }
  return { parameters, dtypes, bytes };
}

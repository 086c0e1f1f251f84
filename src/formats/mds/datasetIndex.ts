/** index.json of a dataset of MosaicML Streaming (MDS, version 2): its columns and shards, nothing of their content. */
import { FormatError } from '../../core/errors';
import { checkRelativePath } from '../../sources/range';

/** One file of a shard. */
export interface ShardFile {
  /** Relative to the index's folder. */
  readonly path: string;
  readonly bytes: number;
}

export interface MdsShard {
  readonly samples: number;
  readonly raw: ShardFile;
  /** The compressed file; null: there is none. */
  readonly zip: ShardFile | null;
  /** "zstd", "zstd:7"; null: not compressed. */
  readonly compression: string | null;
}

export interface MdsIndex {
  /** Of every shard, in the stored order, with their encodings. */
  readonly columns: readonly { readonly name: string; readonly encoding: string }[];
  readonly samples: number;
  readonly shards: readonly MdsShard[];
}

/** Whether a parsed index.json is meant as one of MDS. */
export function isMdsIndex(json: unknown): boolean {
  return typeof json === 'object' && json !== null && 'shards' in json;
}

/**
 * Checks a parsed index.json.
 * @throws FormatError naming shard, field, rule and value; also for paths that lead out of the folder
 */
export function parseMdsIndex(what: string, json: unknown): MdsIndex {
  const root = objectOf(what, json);
  const version = root.version;
  if (version !== 2) throw new FormatError(`${what}: version: must be 2: ${shown(version)}`);
  const list = root.shards;
  if (!Array.isArray(list)) throw new FormatError(`${what}: shards: must be a list: ${shown(list)}`);
  let columns: MdsIndex['columns'] = [];
  const shards = list.map((item: unknown, index): MdsShard => {
    const name = `${what}: shards.${index}`;
    const shard = objectOf(name, item);
    if (shard.format !== 'mds')
      throw new FormatError(`${name}.format: must be "mds": ${shown(shard.format)}`);
    if (shard.version !== 2) throw new FormatError(`${name}.version: must be 2: ${shown(shard.version)}`);
    const names = textsOf(`${name}.column_names`, shard.column_names);
    const encodings = textsOf(`${name}.column_encodings`, shard.column_encodings);
    if (names.length !== encodings.length) {
      throw new FormatError(
        `${name}.column_encodings: must be as many as the ${names.length} names: ${encodings.length}`,
      );
    }
    const own = names.map((column, at) => ({ name: column, encoding: encodings[at]! }));
    if (index === 0) columns = own;
    else if (JSON.stringify(own) !== JSON.stringify(columns)) {
      throw new FormatError(`${name}: columns must be those of the first shard: ${names.join(', ')}`);
    }
    const { compression, zip_data: zip } = shard;
    if (compression != null && typeof compression !== 'string') {
      throw new FormatError(`${name}.compression: must be a text or null: ${shown(compression)}`);
    }
    return {
      samples: countOf(`${name}.samples`, shard.samples),
      raw: fileOf(`${name}.raw_data`, shard.raw_data),
      zip: zip == null ? null : fileOf(`${name}.zip_data`, zip),
      compression: compression ?? null,
    };
  });
  return { columns, shards, samples: shards.reduce((sum, { samples }) => sum + samples, 0) };
}

function fileOf(what: string, value: unknown): ShardFile {
  const { basename, bytes } = objectOf(what, value);
  if (typeof basename !== 'string') {
    throw new FormatError(`${what}.basename: must be a text: ${shown(basename)}`);
  }
  checkRelativePath(`${what}.basename`, basename);
  return { path: basename, bytes: countOf(`${what}.bytes`, bytes) };
}

function objectOf(what: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FormatError(`${what}: must be an object: ${shown(value)}`);
  }
  return value as Record<string, unknown>;
}

function textsOf(what: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new FormatError(`${what}: must be a list of texts: ${shown(value)}`);
  }
  return value;
}

function countOf(what: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new FormatError(`${what}: must be a whole number from 0: ${shown(value)}`);
  }
  return value;
}

function shown(value: unknown): string {
  return value === undefined ? 'it is missing' : (JSON.stringify(value) ?? typeof value).slice(0, 80);
}

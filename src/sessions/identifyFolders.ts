/** Things of several files: bundles, datasets, models in shards, and the files that are of no use here. */
import { FormatError, NotFoundError, TabditError } from '../core/errors';
import { readBundle } from '../formats/bundle';
import { readJson } from '../formats/json';
import { isMdsIndex, parseMdsIndex } from '../formats/mds/datasetIndex';
import { openTensorFile } from '../formats/openTensorFile';
import { joinTensorFiles, parseWeightMap, shardPlace, type WeightMap } from '../formats/shards';
import type { TensorFile } from '../formats/tensorFile';
import type { SourceFolder } from '../sources/byteSource';
import { identifyTensors, orRefused, plainItem, refusedItem, type NearbyConfigs } from './identifyFiles';
import { baseName, extensionOf, folderOf, isBelow, joinPath, subFolder } from './identifyNearby';
import type { Identified, OpenedFile } from './identifyTypes';
import { openBundleParts } from './modelSet';

/** Files that are one thing. */
export interface Group {
  readonly item: Identified;
  /** Paths that need no further look. */
  readonly paths: readonly string[];
}

// ---- Bundles --------------------------------------------------------------------------------------------------------

/**
 * The bundle whose manifest is at `manifest`. Of a damaged one the other files may still be of use.
 * @param shown the item's path
 */
export async function identifyBundle(
  folder: SourceFolder,
  paths: readonly string[],
  manifest: string,
  shown: string,
  format: 'folder' | 'zip',
  signal?: AbortSignal,
): Promise<Group> {
  const root = folderOf(manifest);
  const item = await orRefused(
    shown,
    format,
    () => openBundle(subFolder(folder, root), shown, format, signal),
    signal,
  );
  const whole = item.facts.kind === 'bundle';
  return { item, paths: whole ? paths.filter((path) => isBelow(path, root)) : [manifest] };
}

async function openBundle(
  folder: SourceFolder,
  path: string,
  format: string,
  signal?: AbortSignal,
): Promise<Identified> {
  const bundle = await readBundle(folder, signal);
  const opened = await openBundleParts(bundle, signal);
  const parts = [opened.dit, opened.vae, opened.text, opened.tokenizer];
  const { manifest } = bundle;
  const files: OpenedFile[] = [];
  for (const { content } of parts) {
    if (!content || content.role === 'tokenizer') continue;
    files.push({ label: manifest[content.role].file, file: content.file });
  }
  return {
    ...plainItem(
      path,
      parts.reduce((sum, { facts }) => sum + facts.bytes, 0),
      {
        kind: 'bundle',
        format,
        words: `${manifest.title}: a whole model for ${manifest.image_size} px`,
        notes: [...new Set(parts.flatMap(({ notes }) => notes))],
      },
    ),
    parts,
    files,
    bundle,
  };
}

// ---- Datasets -------------------------------------------------------------------------------------------------------

const isShard = (path: string): boolean => /\.mds(\.\w+)?$/.test(path);

/**
 * The dataset whose index.json lies in the folder `root`, or must lie there, as shards do; null when there is none.
 * @param shown the item's path
 */
export async function identifyDataset(
  folder: SourceFolder,
  paths: readonly string[],
  root: string,
  shown: string,
  signal?: AbortSignal,
): Promise<Group | null> {
  const beside = paths.filter((path) => folderOf(path) === root);
  const shards = beside.filter(isShard);
  const index = joinPath(root, 'index.json');
  if (!beside.includes(index)) {
    if (shards.length === 0) return null;
    const problem = `${shown}: a dataset must have its index.json: there is none beside ${baseName(shards[0]!)}`;
    return { item: refusedItem(shown, 0, 'folder', problem), paths: shards };
  }
  let isIndex = shards.length > 0;
  const taken = new Set([index, ...shards]);
  const item = await orRefused(
    shown,
    'folder',
    async () => {
      const source = await folder.open(index);
      const json = await readJson(source, signal);
      isIndex ||= isMdsIndex(json);
      const { columns, samples, shards: list } = parseMdsIndex(source.name, json);
      const here = new Set(paths);
      let bytes = source.size;
      for (const { raw, zip } of list) {
        const files = [raw, ...(zip ? [zip] : [])].map((file) => ({
          ...file,
          at: joinPath(root, file.path),
        }));
        const found = files.find(({ at }) => here.has(at));
        if (!found) {
          throw new NotFoundError(
            `${source.name}: every shard must be in the folder: ${files.at(-1)!.path} is not`,
          );
        }
        bytes += found.bytes;
        for (const { at } of files) {
          taken.add(at);
          taken.add(joinPath(folderOf(at), 'index.json'));
        }
      }
      const names = columns.map(({ name, encoding }) => `${name} (${encoding})`).join(', ');
      const counts = `${counted(samples, 'sample')} in ${counted(list.length, 'shard')}`;
      return plainItem(shown, bytes, {
        kind: 'mds',
        format: 'folder',
        words: `Training set (MDS), ${counts}, columns ${names || 'none'}. Training data are used in the Data panel.`,
      });
    },
    signal,
  );
  return isIndex ? { item, paths: [...taken] } : null;
}

const counted = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;

// ---- Shards ---------------------------------------------------------------------------------------------------------

/** Most files of a model that its names may promise. */
const maxShards = 1000;

/** Models in several files: those that an index lists, then those whose names are numbered. */
export async function identifyShards(
  folder: SourceFolder,
  paths: readonly string[],
  near: (path: string) => ReturnType<NearbyConfigs>,
  shownAs: (path: string) => string,
  signal?: AbortSignal,
): Promise<Group[]> {
  const groups: Group[] = [];
  const taken = new Set<string>();
  const add = async (path: string, files: readonly string[], index: string | null, map?: WeightMap) => {
    const make = async (): Promise<Identified> => {
      const missing = files.find((file) => !paths.includes(file));
      if (missing !== undefined) {
        throw new NotFoundError(
          `${shownAs(path)}: all ${files.length} files of the model must be there: ${baseName(missing)} is not`,
        );
      }
      return openShards(folder, path, files, map, shownAs, () => near(path), signal);
    };
    const item = await orRefused(shownAs(path), formatOfShards(path), make, signal);
    const own = [...files, ...(index === null ? [] : [index])].filter((file) => paths.includes(file));
    for (const file of own) taken.add(file);
    groups.push({ item, paths: own });
  };

  for (const index of paths.filter((path) => /\.index(\.[^./]+)?\.json$/.test(path))) {
    const source = await folder.open(index);
    let map: WeightMap;
    try {
      map = parseWeightMap(source.name, await readJson(source, signal));
    } catch (error) {
      if (!(error instanceof TabditError)) throw error;
      continue; // JSON of another kind, or told where it is looked at by itself
    }
    const files = [...new Set(map.values())].sort().map((file) => joinPath(folderOf(index), file));
    await add(index.replace(/\.index(\.[^./]+)?\.json$/, ''), files, index, map);
  }
  for (const path of paths) {
    const place = taken.has(path) ? null : shardPlace(baseName(path));
    if (!place || place.count < 2) continue;
    const { stem, count, extension } = place;
    const digits = (value: number): string => String(value).padStart(5, '0');
    const files = Array.from({ length: Math.min(count, maxShards) }, (_, index) =>
      joinPath(folderOf(path), `${stem}-${digits(index + 1)}-of-${digits(count)}.${extension}`),
    );
    await add(joinPath(folderOf(path), `${stem}.${extension}`), files, null);
  }
  return groups;
}

const formatOfShards = (path: string): string =>
  extensionOf(path) === '.safetensors' ? 'safetensors' : 'torch zip';

async function openShards(
  folder: SourceFolder,
  path: string,
  files: readonly string[],
  map: WeightMap | undefined,
  shownAs: (path: string) => string,
  nearby: NearbyConfigs,
  signal?: AbortSignal,
): Promise<Identified> {
  const opened = new Map<string, TensorFile>();
  let bytes = 0;
  for (const file of files) {
    const source = await folder.open(file);
    bytes += source.size;
    opened.set(baseName(file), await openTensorFile(source, signal));
  }
  if (opened.size < 1) throw new FormatError(`${shownAs(path)}: the index must list files: it lists none`);
  const joined = joinTensorFiles(shownAs(path), opened, map);
  const item = await identifyTensors(shownAs(path), formatOfShards(path), joined, bytes, nearby);
  return { ...item, facts: { ...item.facts, notes: [...item.facts.notes, `in ${files.length} files`] } };
}

// ---- The rest -------------------------------------------------------------------------------------------------------

/** Files that nobody looked into, as one item. */
export function unusedFiles(shown: string, paths: readonly string[], what: string): Identified {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const extension = extensionOf(path) || 'without extension';
    counts.set(extension, (counts.get(extension) ?? 0) + 1);
  }
  const list = [...counts].sort((a, b) => b[1] - a[1]).map(([extension, count]) => `${count} ${extension}`);
  const shortened = list.length > 6 ? [...list.slice(0, 6), '...'] : list;
  return plainItem(shown, 0, {
    kind: 'other',
    format: 'folder',
    words: `${counted(paths.length, 'file')} ${what}: ${shortened.join(', ')}`,
  });
}

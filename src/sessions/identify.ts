/**
 * What the files of a drop are, file by file and folder by folder: bundles are one item, everything else is looked at by
 * itself, with the JSON files beside it. Reads indices and small files only.
 */
import { messageOf, TabditError } from '../core/errors';
import { readBundle } from '../formats/bundle';
import { readJson } from '../formats/json';
import { manifestName } from '../formats/manifest';
import type { SourceFolder } from '../sources/byteSource';
import { identifyFile, plainItem, refusedItem } from './identifyFiles';
import type { ConfigCandidate } from './identifyParts';
import type { Identified, OpenedFile } from './identifyTypes';
import { openBundleParts } from './modelSet';

/** Largest JSON file that is looked at as a configuration of the weights beside it: such are a few kB. */
const maxConfigBytes = 1024 * 1024;
/** Most JSON files beside a weight file that are looked at. */
const maxNearby = 16;
/** Usual names of configurations, the better one first. */
const configNames = ['open_clip_config.json', 'config.json'];

/** Everything in a folder. Never throws for bad files. */
export async function identify(folder: SourceFolder, signal?: AbortSignal): Promise<Identified[]> {
  const paths = (await folder.list()).filter((path) => !isHidden(path));
  const near = nearbyIn(folder, paths, signal);
  const items: Identified[] = [];
  const taken = new Set<string>();
  for (const manifest of paths.filter((path) => baseName(path) === manifestName)) {
    const root = folderOf(manifest);
    if (taken.has(manifest)) continue;
    const item = await identifyBundle(subFolder(folder, root), root || folder.name, signal);
    items.push(item);
    // Of a damaged bundle the files may still be of use.
    if (item.facts.kind === 'bundle') {
      for (const path of paths) if (isBelow(path, root)) taken.add(path);
    } else taken.add(manifest);
  }
  for (const path of paths) {
    if (taken.has(path)) continue;
    signal?.throwIfAborted();
    items.push(await identifyFile(path, await folder.open(path), () => near(path), signal));
  }
  return items;
}

/** Hidden files, and what macOS puts beside files in archives. */
export function isHidden(path: string): boolean {
  return path.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
/** The folder that a path lies in; '' at the top. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
const isBelow = (path: string, root: string): boolean => root === '' || path.startsWith(`${root}/`);

/** A folder inside another. */
export function subFolder(folder: SourceFolder, root: string): SourceFolder {
  if (root === '') return folder;
  return {
    name: `${folder.name}/${root}`,
    list: async () =>
      (await folder.list()).filter((path) => isBelow(path, root)).map((path) => path.slice(root.length + 1)),
    open: (path) => folder.open(`${root}/${path}`),
  };
}

/** The JSON files beside a weight file. */
export function nearbyIn(
  folder: SourceFolder,
  paths: readonly string[],
  signal?: AbortSignal,
): (path: string) => Promise<readonly ConfigCandidate[]> {
  const read = new Map<string, Promise<object | null>>();
  const jsonOf = (path: string): Promise<object | null> => {
    let json = read.get(path);
    if (!json) read.set(path, (json = smallJson(folder, path, signal)));
    return json;
  };
  return async (path) => {
    const own = `${path.replace(/\.[^./]*$/, '')}.json`;
    const root = folderOf(path);
    const beside = paths.filter(
      (other) => folderOf(other) === root && /\.json$/i.test(other) && other !== own && other !== path,
    );
    const rank = (other: string): number => (configNames.indexOf(baseName(other)) + 3) % 3;
    const names = beside.sort((a, b) => order(rank(a)) - order(rank(b))).slice(0, maxNearby);
    const candidates: ConfigCandidate[] = [];
    for (const name of paths.includes(own) ? [own, ...names] : names) {
      const json = await jsonOf(name);
      if (json) candidates.push({ name, json, rank: name === own ? 'own' : 'near' });
    }
    return candidates;
  };
}

const order = (rank: number): number => (rank === 2 ? 9 : rank);

async function smallJson(folder: SourceFolder, path: string, signal?: AbortSignal): Promise<object | null> {
  const source = await folder.open(path);
  if (source.size > maxConfigBytes) return null;
  try {
    const json = await readJson(source, signal);
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : null;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TabditError) return null; // told where the JSON file itself is looked at
    throw error;
  }
}

async function identifyBundle(folder: SourceFolder, path: string, signal?: AbortSignal): Promise<Identified> {
  try {
    const bundle = await readBundle(folder, signal);
    const parts = await openBundleParts(bundle, signal);
    const { manifest } = bundle;
    const all = [parts.dit, parts.vae, parts.text, parts.tokenizer];
    const files: OpenedFile[] = [];
    for (const { content } of all) {
      if (content && content.role !== 'tokenizer' && !files.some(({ file }) => file === content.file)) {
        files.push({ label: manifest[content.role].file, file: content.file });
      }
    }
    const bytes = all.reduce((sum, part) => sum + part.facts.bytes, 0);
    return {
      ...plainItem(path, bytes, {
        kind: 'bundle',
        format: 'folder',
        words: `${manifest.title}: a whole model for ${manifest.image_size} px`,
        notes: all.flatMap(({ notes }) => notes),
      }),
      parts: all,
      files,
      bundle,
    };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof TabditError)) throw error;
    return refusedItem(path, 0, 'folder', messageOf(error));
  }
}

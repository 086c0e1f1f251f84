/** Paths of a drop, and the JSON files beside a weight file that may be its configuration. */
import { TabditError } from '../core/errors';
import { readJson } from '../formats/json';
import { manifestName, parseManifest } from '../formats/manifest';
import type { SourceFolder } from '../sources/byteSource';
import type { ConfigCandidate } from './identifyParts';

/** Hidden files, and what operating systems put beside the others. */
export function isHidden(path: string): boolean {
  return path
    .split('/')
    .some((part) => part.startsWith('.') || /^(__MACOSX|Thumbs\.db|desktop\.ini)$/.test(part));
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The folder that a path lies in; '' at the top. */
export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

export const joinPath = (folder: string, name: string): string =>
  folder === '' || name === '' ? folder + name : `${folder}/${name}`;

/** Whether a path lies in a folder or below it. */
export const isBelow = (path: string, folder: string): boolean =>
  folder === '' || path.startsWith(`${folder}/`);

/** The extension in lower case, with its dot; '' without one. */
export const extensionOf = (path: string): string => /\.[^./]*$/.exec(path)?.[0].toLowerCase() ?? '';

/** A folder inside another. */
export function subFolder(folder: SourceFolder, path: string): SourceFolder {
  if (path === '') return folder;
  return {
    name: `${folder.name}/${path}`,
    list: async () =>
      (await folder.list()).filter((file) => isBelow(file, path)).map((file) => file.slice(path.length + 1)),
    open: (file) => folder.open(`${path}/${file}`),
  };
}

/** Largest JSON file that is looked at as the configuration of weights: such are a few kB. */
const maxConfigBytes = 1024 * 1024;
/** Most JSON files beside a weight file that are looked at. */
const maxNearby = 16;
/** Usual names of configurations, the better one first. */
const usualNames: readonly string[] = ['open_clip_config.json', 'config.json'];

/**
 * Gives the candidates for a weight file: its own .json, what the manifest of its bundle names, those of the usual names,
 * others in the same folder.
 */
export function nearbyConfigs(
  folder: SourceFolder,
  paths: readonly string[],
  signal?: AbortSignal,
): (path: string) => Promise<readonly ConfigCandidate[]> {
  const byFolder = new Map<string, string[]>();
  for (const path of paths) {
    if (extensionOf(path) !== '.json') continue;
    const beside = byFolder.get(folderOf(path));
    if (beside) beside.push(path);
    else byFolder.set(folderOf(path), [path]);
  }
  const read = new Map<string, Promise<Omit<ConfigCandidate, 'rank'> | null>>();
  const candidate = (path: string): Promise<Omit<ConfigCandidate, 'rank'> | null> => {
    let json = read.get(path);
    if (!json) read.set(path, (json = readCandidate(folder, path, signal)));
    return json;
  };
  return async (path) => {
    const own = `${path.slice(0, path.length - extensionOf(path).length)}.json`;
    const beside = byFolder.get(folderOf(path)) ?? [];
    const usual = usualNames.map((name) => joinPath(folderOf(path), name)).filter((file) => file !== own);
    const others = beside.filter((file) => file !== own && !usual.includes(file)).slice(0, maxNearby);
    const wanted: { readonly file: string; readonly rank: ConfigCandidate['rank'] }[] = [
      { file: own, rank: 'own' as const },
      ...usual.map((file) => ({ file, rank: 'usual' as const })),
      ...others.map((file) => ({ file, rank: 'near' as const })),
    ].filter(({ file }) => beside.includes(file));
    const named = beside.includes(joinPath(folderOf(path), manifestName))
      ? await manifestConfig(folder, path, signal)
      : null;
    if (named !== null) wanted.splice(wanted[0]?.rank === 'own' ? 1 : 0, 0, { file: named, rank: 'own' });
    const candidates: ConfigCandidate[] = [];
    for (const { file, rank } of wanted) {
      const found = await candidate(file);
      if (found) candidates.push({ ...found, rank });
    }
    return candidates;
  };
}

/** The configuration that the bundle's manifest names for one of its weight files, opened by itself; null: none. */
async function manifestConfig(
  folder: SourceFolder,
  path: string,
  signal?: AbortSignal,
): Promise<string | null> {
  const root = folderOf(path);
  try {
    const source = await folder.open(joinPath(root, manifestName));
    const { dit, vae, text } = parseManifest(source.name, await readJson(source, signal));
    const part = [dit, vae, text].find(({ file }) => joinPath(root, file) === path);
    return part ? joinPath(root, part.config) : null;
  } catch (error) {
    if (error instanceof TabditError) return null; // told where the manifest itself is looked at
    throw error;
  }
}

async function readCandidate(
  folder: SourceFolder,
  path: string,
  signal?: AbortSignal,
): Promise<Omit<ConfigCandidate, 'rank'> | null> {
  try {
    const source = await folder.open(path);
    if (source.size > maxConfigBytes) return null;
    const json = await readJson(source, signal);
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    return isObject ? { name: source.name, json } : null;
  } catch (error) {
    if (error instanceof TabditError) return null; // told where the JSON file itself is looked at
    throw error;
  }
}

/**
 * What the files of a drop are: bundles, datasets and models in shards as one item each, archives as the folders that
 * they are, every other file by itself, with the JSON files beside it. Reads indices, small files and first bytes only.
 */
import { FormatError } from '../core/errors';
import { manifestName } from '../formats/manifest';
import { isTorchArchive, openZip, zipFolder } from '../formats/zipFolder';
import type { SourceFolder } from '../sources/byteSource';
import { identifyFile, isWeightName, orRefused, type NearbyConfigs } from './identifyFiles';
import { identifyBundle, identifyDataset, identifyShards, unusedFiles, type Group } from './identifyFolders';
import { baseName, extensionOf, folderOf, isHidden, joinPath, nearbyConfigs } from './identifyNearby';
import type { Identified } from './identifyTypes';

/** Extensions of files that are looked into however many there are. */
const usefulExtensions = new Set(['.safetensors', '.pt', '.pth', '.bin', '.ckpt', '.zip', '.json']);
/** Extensions of files that never hold anything used here: text, programs, pictures, films, sounds. */
const uselessExtensions = new Set(
  [
    '.txt .md .rst .html .htm .pdf .log .yaml .yml .toml .csv .tsv .jsonl .lock',
    '.py .ipynb .js .ts .css .sh',
    '.jpg .jpeg .webp .gif .bmp .tif .tiff .svg .avif .heic .mp4 .mov .avi .mkv .wav .mp3',
  ].flatMap((line) => line.split(' ')),
);
/** Useless files, and pictures, beyond these numbers are told in one item. */
const [maxUseless, maxPictures, maxUnknown] = [3, 32, 64];
/** Most files of a drop that are looked into. */
const maxFiles = 2000;

/**
 * One file, or everything in it when it is an archive. JSON files beside it may be its configuration.
 * @param shown path of the item, or of the archive
 */
export async function identifyOne(
  folder: SourceFolder,
  path: string,
  shown: string,
  signal?: AbortSignal,
): Promise<Identified[]> {
  const near = nearbyConfigs(folder, await folder.list(), signal);
  return identifyPath(folder, path, shown, () => near(path), { archive: '', signal });
}

interface Place {
  /** Path of the archive that all lies in; '' outside. */
  readonly archive: string;
  readonly signal?: AbortSignal | undefined;
}

/** Everything in a folder. Never throws for bad files. */
export function identify(folder: SourceFolder, signal?: AbortSignal): Promise<Identified[]> {
  return identifyFolder(folder, { archive: '', signal });
}

async function identifyFolder(folder: SourceFolder, place: Place): Promise<Identified[]> {
  const { archive, signal } = place;
  const paths = (await folder.list()).filter((path) => !isHidden(path));
  const near = nearbyConfigs(folder, paths, signal);
  /** As items name it. */
  const shown = (path: string): string => joinPath(archive, path) || folder.name;
  const items: Identified[] = [];
  let left = paths;
  const take = ({ item, paths: own }: Group): void => {
    const taken = new Set(own);
    items.push(item);
    left = left.filter((path) => !taken.has(path));
  };

  for (const manifest of paths.filter((path) => baseName(path) === manifestName)) {
    if (!left.includes(manifest)) continue; // inside another bundle
    const format = archive === '' ? 'folder' : 'zip';
    take(await identifyBundle(folder, left, manifest, shown(folderOf(manifest)), format, signal));
  }
  // Outer folders first: a merged index covers those of its parts.
  const folders = [...new Set(left.map(folderOf))].sort((a, b) => a.length - b.length);
  for (const root of folders) {
    const group = await identifyDataset(folder, left, root, shown(root), signal);
    if (group) take(group);
  }
  for (const group of await identifyShards(folder, left, near, shown, signal)) take(group);

  const { look, unused } = sortOut(left);
  for (const path of look) {
    signal?.throwIfAborted();
    items.push(...(await identifyPath(folder, path, shown(path), () => near(path), place)));
  }
  for (const { what, files } of unused) {
    items.push(unusedFiles(files.length === 1 ? shown(files[0]!) : shown(commonFolder(files)), files, what));
  }
  return items;
}

/** Which files to look into, and which to tell in one sentence. */
function sortOut(paths: readonly string[]): {
  look: readonly string[];
  unused: readonly { readonly what: string; readonly files: readonly string[] }[];
} {
  const kinds = {
    useful: [] as string[],
    pictures: [] as string[],
    unknown: [] as string[],
    useless: [] as string[],
  };
  for (const path of paths) {
    const extension = extensionOf(path);
    if (usefulExtensions.has(extension)) kinds.useful.push(path);
    else if (extension === '.png') kinds.pictures.push(path);
    else if (uselessExtensions.has(extension)) kinds.useless.push(path);
    else kinds.unknown.push(path);
  }
  const look = [...kinds.useful];
  const useless: string[] = [];
  const unused: { what: string; files: readonly string[] }[] = [];
  const put = (files: readonly string[], most: number): void => {
    if (files.length > most) useless.push(...files);
    else look.push(...files);
  };
  if (kinds.pictures.length > maxPictures) unused.push({ what: 'are pictures', files: kinds.pictures });
  else look.push(...kinds.pictures);
  put(kinds.unknown, maxUnknown);
  put(kinds.useless, maxUseless);
  if (useless.length > 0) unused.push({ what: 'of no use here', files: useless });
  const beyond = look.splice(maxFiles);
  if (beyond.length > 0)
    unused.push({ what: `not looked into, beyond the first ${maxFiles}`, files: beyond });
  return { look: look.sort(), unused };
}

function commonFolder(paths: readonly string[]): string {
  let common = folderOf(paths[0] ?? '');
  for (const path of paths) {
    while (common !== '' && !path.startsWith(`${common}/`)) common = folderOf(common);
  }
  return common;
}

/** One file, or everything in it when it is an archive. An archive that cannot be read is one bad item. */
async function identifyPath(
  folder: SourceFolder,
  path: string,
  shown: string,
  nearby: NearbyConfigs,
  { archive: outer, signal }: Place,
): Promise<Identified[]> {
  const identifyContent = async (): Promise<Identified[]> => {
    const source = await folder.open(path);
    const head = await source.read(0, Math.min(4, source.size), signal);
    if (head[0] !== 0x50 || head[1] !== 0x4b || isWeightName(path)) {
      return [await identifyFile(shown, source, nearby, signal)];
    }
    const archive = await openZip(source, signal);
    const names = [...archive.members.keys()];
    if (isTorchArchive(archive) || (names.length > 0 && names.every((name) => name.endsWith('.npy')))) {
      return [await identifyFile(shown, source, nearby, signal)];
    }
    if (outer !== '') {
      throw new FormatError(
        `${source.name}: a ZIP archive must not lie inside another: unpack ${outer} first`,
      );
    }
    const items = await identifyFolder(zipFolder(archive), { archive: shown, signal });
    if (items.length === 0)
      throw new FormatError(`${source.name}: ZIP archive: must have files: it has none`);
    return items;
  };
  return [
    await orRefused(shown, extensionOf(path) === '.zip' ? 'zip' : 'file', identifyContent, signal),
  ].flat();
}

/**
 * A folder of pictures with captions, as training sets are commonly kept: a `metadata.jsonl` (lines with `file_name`,
 * relative to the folder that it lies in, and `text`), or beside each picture a .txt of the same name. A metadata line
 * comes before a .txt. Only names and captions are read here; pictures are decoded later, one by one.
 *
 * One bad file or line does not spoil the rest: it is passed over, and told with its reason.
 */
import { FormatError, messageOf } from '../core/errors';
import { formatBytes } from '../core/units';
import type { ByteSource, SourceFolder } from '../sources/byteSource';
import { maxChunkBytes } from '../sources/byteSource';
import { checkRelativePath } from '../sources/range';

export interface CaptionedPicture {
  /** In the folder. */
  readonly path: string;
  /** Its caption on one line, never empty. */
  readonly text: string;
}

/** Why something was passed over; the same for every file that it happened to. */
export type SkipReason =
  | 'no caption'
  | 'empty caption'
  | 'caption cannot be read'
  | 'metadata cannot be read'
  | 'metadata line is not understood'
  | 'metadata names a file that is not there'
  | 'metadata names a file that is not a picture'
  | 'metadata names a file twice'
  | 'caption without a picture'
  | 'not a picture or caption';

export interface SkippedFile {
  readonly path: string;
  readonly reason: SkipReason;
  /** What is wrong, beginning with the path (and the line, where it has one). */
  readonly message: string;
}

export interface ImageFolderIndex {
  /** By path. */
  readonly pictures: readonly CaptionedPicture[];
  /** By path; a metadata file comes once for every line passed over. */
  readonly skipped: readonly SkippedFile[];
}

/** What browsers decode, by the end of its name. */
const pictureEnding = /\.(png|jpe?g|webp|avif|gif|bmp)$/i;
const textEnding = /\.txt$/i;
const metadataName = 'metadata.jsonl';
/** Files that systems leave behind, and folders whose name says that they are nobody's business. */
const litter = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/i;

/** A caption far longer than any text tower reads: 16 KiB. */
const maxTextBytes = 16 * 1024;
/** Captions of two million pictures. */
const maxMetadataBytes = 512 * 1024 * 1024;
/** Caption files read at the same time. */
const readTogether = 32;

/**
 * Pictures and captions of a folder and the folders in it.
 * @throws what the folder throws when it cannot be listed, and the signal's reason
 */
export async function indexImageFolder(
  folder: SourceFolder,
  signal?: AbortSignal,
): Promise<ImageFolderIndex> {
  const paths = (await folder.list()).filter((path) => !litter.test(path)).sort();
  const skipped: SkippedFile[] = [];
  const skip: Skip = (path, reason, rule, line) => {
    const place = line === undefined ? path : `${path}: line ${line}`;
    skipped.push({ path, reason, message: `${place}: ${rule}` });
  };
  const captions = new Map<string, string>();
  const present = new Set(paths);
  for (const path of paths.filter(isMetadata)) {
    await readMetadata(folder, path, present, captions, skip, signal);
  }

  const textFiles = new Map(
    paths.filter((path) => textEnding.test(path)).map((path) => [stemOf(path), path]),
  );
  const pictures = paths.filter((path) => pictureEnding.test(path));
  const texts = new Map<string, string | null>();
  const wanted = pictures.flatMap((path) => (captions.has(path) ? [] : (textFiles.get(stemOf(path)) ?? [])));
  await readTexts(folder, [...new Set(wanted)], texts, skip, signal);

  const captioned: CaptionedPicture[] = [];
  for (const path of pictures) {
    const textPath = textFiles.get(stemOf(path));
    const text = captions.get(path) ?? (textPath === undefined ? undefined : texts.get(textPath));
    if (text) captioned.push({ path, text });
    else if (text === undefined) {
      skip(path, 'no caption', `must have a line in ${metadataName} or a .txt beside it: it has neither`);
    } else if (text === '') skip(path, 'empty caption', 'must have a caption: it is empty');
    // null: its caption file could not be read, which has been told.
  }
  const stems = new Set(pictures.map(stemOf));
  for (const path of paths) {
    if (pictureEnding.test(path) || isMetadata(path)) continue;
    if (!textEnding.test(path)) {
      skip(path, 'not a picture or caption', 'must be a picture or a caption: its name says it is neither');
    } else if (!stems.has(stemOf(path))) {
      skip(path, 'caption without a picture', 'must lie beside a picture of the same name: there is none');
    }
  }
  // Stable: lines of one file stay in their order.
  return { pictures: captioned, skipped: skipped.sort((a, b) => compare(a.path, b.path)) };
}

/** One line for each reason, the most frequent first: `3 files: no caption: a.png, b.png and 1 more`. */
export function skipSummary({ skipped }: Pick<ImageFolderIndex, 'skipped'>): string[] {
  const byReason = new Map<SkipReason, string[]>();
  for (const { reason, path } of skipped) {
    const paths = byReason.get(reason);
    if (paths) paths.push(path);
    else byReason.set(reason, [path]);
  }
  return [...byReason]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([reason, paths]) => {
      const distinct = [...new Set(paths)];
      const noun = reason.startsWith('metadata') ? 'line' : 'file';
      const shown = distinct.slice(0, 2).join(', ');
      const more = distinct.length > 2 ? ` and ${distinct.length - 2} more` : '';
      return `${paths.length} ${noun}${paths.length === 1 ? '' : 's'}: ${reason}: ${shown}${more}`;
    });
}

type Skip = (path: string, reason: SkipReason, rule: string, line?: number) => void;

/** Adds the captions of a metadata file to `captions`, by the picture's path in the folder. */
async function readMetadata(
  folder: SourceFolder,
  path: string,
  present: ReadonlySet<string>,
  captions: Map<string, string>,
  skip: Skip,
  signal?: AbortSignal,
): Promise<void> {
  const base = path.slice(0, path.length - metadataName.length);
  let number = 0;
  const read = (line: string): void => {
    number++;
    if (line.trim() === '') return;
    const row = parseLine(line);
    if (typeof row === 'string') return skip(path, 'metadata line is not understood', row, number);
    const picture = base + row.file;
    if (!present.has(picture)) {
      const rule = `file_name must be a file in the folder: ${JSON.stringify(row.file)}`;
      skip(path, 'metadata names a file that is not there', rule, number);
    } else if (!pictureEnding.test(picture)) {
      const rule = `file_name must be a picture: ${JSON.stringify(row.file)}`;
      skip(path, 'metadata names a file that is not a picture', rule, number);
    } else if (captions.has(picture)) {
      const rule = `file_name must come once, the first caption is kept: ${JSON.stringify(row.file)}`;
      skip(path, 'metadata names a file twice', rule, number);
    } else captions.set(picture, oneLine(row.text));
  };
  try {
    let rest = '';
    const source = await folder.open(path);
    for await (const piece of readText(source, maxMetadataBytes, signal)) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(read);
    }
    if (rest !== '') read(rest);
  } catch (error) {
    signal?.throwIfAborted();
    skip(path, 'metadata cannot be read', withoutPath(path, error));
  }
}

/** The two fields of a metadata line, or what is wrong with it. */
function parseLine(line: string): { readonly file: string; readonly text: string } | string {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    return `must be JSON: ${shown(line)}`;
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    return `must be an object with file_name and text: ${shown(line)}`;
  }
  const { file_name: file, text } = row as Record<string, unknown>;
  if (typeof file !== 'string') return `file_name must be a text: ${shown(JSON.stringify(file))}`;
  if (typeof text !== 'string') return `text must be a text: ${shown(JSON.stringify(text))}`;
  const relative = file.replace(/^\.\//, '');
  try {
    checkRelativePath('file_name', relative);
  } catch (error) {
    return messageOf(error);
  }
  return { file: relative, text };
}

/** Reads caption files into `texts`; null for one that cannot be read. */
async function readTexts(
  folder: SourceFolder,
  paths: readonly string[],
  texts: Map<string, string | null>,
  skip: Skip,
  signal?: AbortSignal,
): Promise<void> {
  const read = async (path: string): Promise<void> => {
    try {
      let text = '';
      for await (const piece of readText(await folder.open(path), maxTextBytes, signal)) text += piece;
      texts.set(path, oneLine(text));
    } catch (error) {
      signal?.throwIfAborted();
      texts.set(path, null);
      skip(path, 'caption cannot be read', withoutPath(path, error));
    }
  };
  for (let at = 0; at < paths.length; at += readTogether) {
    signal?.throwIfAborted();
    await Promise.all(paths.slice(at, at + readTogether).map(read));
  }
}

/** A text file piece by piece; a byte-order mark is passed over. @throws FormatError when it is too large or not UTF-8 */
async function* readText(source: ByteSource, most: number, signal?: AbortSignal): AsyncGenerator<string> {
  if (source.size > most) {
    throw new FormatError(
      `${source.name}: must be at most ${formatBytes(most)}: it has ${formatBytes(source.size)}`,
    );
  }
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = 0; at < source.size; at += maxChunkBytes) {
    const length = Math.min(maxChunkBytes, source.size - at);
    const bytes = await source.read(at, length, signal);
    let piece: string;
    try {
      piece = decoder.decode(bytes, { stream: at + length < source.size });
    } catch (error) {
      throw new FormatError(`${source.name}: must be UTF-8: it is not`, { cause: error });
    }
    yield piece;
  }
}

const isMetadata = (path: string): boolean => path === metadataName || path.endsWith(`/${metadataName}`);
/** Path without the ending. */
const stemOf = (path: string): string => path.replace(/\.[^./]*$/, '');
const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const shown = (text: string | undefined): string =>
  text === undefined ? 'it is missing' : text.length > 80 ? `${text.slice(0, 79)}…` : text;

/** What was thrown, without the name of the file when it begins with that. */
function withoutPath(path: string, error: unknown): string {
  const message = messageOf(error);
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}

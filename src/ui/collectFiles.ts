/**
 * Files out of a drop, a paste or a file field, with the folders they came in. Folders are walked to the end, hidden
 * files and what systems leave behind are passed over, and an enormous tree is given up with its size said. Nothing is
 * read: a file stays a reference until the engine asks for bytes of it.
 */
import type { DroppedFile } from '../protocol/messages';

/** More files than this are no model. */
export const fileLimit = 20_000;

/** What a drop holds, taken from its event. */
export interface Gathered {
  /** Files and folders as the browser's file system shows them. */
  readonly entries: readonly FileSystemEntry[];
  /** Files that come without an entry. */
  readonly files: readonly File[];
}

export interface Collected {
  readonly files: readonly DroppedFile[];
  /** Paths that could not be opened. */
  readonly unreadable: readonly string[];
  /** Whether there were more than `fileLimit` files; `files` is then cut off there. */
  readonly tooMany: boolean;
}

/** Whether a name is of a file that nobody meant to drop. */
export function isHidden(path: string): boolean {
  return path
    .split('/')
    .some((name) => name.startsWith('.') || /^(__MACOSX|Thumbs\.db|desktop\.ini)$/i.test(name));
}

/** What an event carries. Must be called within the event: the browser takes it away afterwards. */
export function gather(transfer: DataTransfer): Gathered {
  const entries: FileSystemEntry[] = [];
  const files: File[] = [];
  for (const item of transfer.items) {
    if (item.kind !== 'file') continue;
    const entry = item.webkitGetAsEntry();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    else if (file) files.push(file);
  }
  return { entries, files };
}

/** What a file field holds; with `webkitdirectory`, the files of a folder. */
export function gatherFiles(files: Iterable<File>): Gathered {
  return { entries: [], files: [...files] };
}

/** Walks what was gathered. `onFile` hears how many files there are so far. */
export async function collectFiles(
  { entries, files }: Gathered,
  onFile: (count: number) => void = () => {},
): Promise<Collected> {
  const found: DroppedFile[] = [];
  const unreadable: string[] = [];
  let tooMany = false;
  const add = (path: string, file: File): void => {
    if (isHidden(path)) return;
    if (found.length === fileLimit) tooMany = true;
    if (tooMany) return;
    found.push({ path, file });
    onFile(found.length);
  };
  for (const file of files) add(file.webkitRelativePath || file.name, file);

  // a stack, not a recursion: a level of folders costs no memory of the others
  const waiting = [...entries].reverse();
  for (let entry = waiting.pop(); entry && !tooMany; entry = waiting.pop()) {
    const path = entry.fullPath.replace(/^\/+/, '');
    if (isHidden(path)) continue;
    try {
      if (isDirectory(entry)) waiting.push(...(await readDirectory(entry)).reverse());
      else if (isFile(entry)) add(path, await readFile(entry));
    } catch {
      unreadable.push(path);
    }
  }
  return { files: found, unreadable, tooMany };
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function readFile(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A folder's own entries by name: a reader gives them in parts (Chromium 100 at a time) until one is empty. */
async function readDirectory(entry: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = entry.createReader();
  const all: FileSystemEntry[] = [];
  while (all.length <= fileLimit) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) break;
    all.push(...some);
  }
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

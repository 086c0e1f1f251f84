/**
 * A ZIP archive as a folder: what somebody packed a model or a repository into. Only the directory is read; stored
 * members are ranges of the archive, deflated ones are inflated when they are read.
 *
 * Weights are read in any order and deflate only forwards, so a deflated member's beginning (where formats have their
 * index) is held, and its first read beyond that inflates it once, piece by piece, into a Blob, which browsers keep on
 * disk. What may be held in that way is bounded.
 */
import { FormatError, NotFoundError } from '../core/errors';
import { formatBytes } from '../core/units';
import { blobSource } from '../sources/blob';
import type { ByteSource, SourceFolder } from '../sources/byteSource';
import { maxChunkBytes } from '../sources/byteSource';
import { checkRange, checkRelativePath } from '../sources/range';
import { nameText } from './tensorFile';
import { memberSpace, readMember } from './torch/members';
import { readZip, type ZipArchive, type ZipMember } from './torch/zip';

/** Longest deflated member that is read. */
export const maxInflatedBytes = 2 * 1024 ** 3;
/** Deflated members of one archive together. */
const maxInflatedTotal = 2 * maxInflatedBytes;
/** Most members. */
const maxMembers = 50_000;
/** A deflated member's beginning that is held. */
const headBytes = 4 * 1024 * 1024;

const label = 'ZIP archive';

/** Whether the members of an archive are those of a file that torch.save wrote (or torch.jit.save). */
export function isTorchArchive({ members }: ZipArchive): boolean {
  const [first = ''] = members.keys();
  const prefix = first.slice(0, first.indexOf('/') + 1);
  return prefix !== '' && (members.has(`${prefix}data.pkl`) || members.has(`${prefix}constants.pkl`));
}

/** Reads the directory of an archive. @throws FormatError when it is damaged */
export function openZip(source: ByteSource, signal?: AbortSignal): Promise<ZipArchive> {
  return readZip(source, signal, label);
}

/**
 * The folder of an archive.
 * @throws FormatError when a name leads out of the folder, or there are too many members
 */
export function zipFolder(archive: ZipArchive): SourceFolder {
  const { source, members } = archive;
  if (members.size > maxMembers) {
    throw new FormatError(
      `${source.name}: ${label}: must have at most ${maxMembers} members: ${members.size}`,
    );
  }
  const files = new Map<string, ZipMember>();
  for (const [name, member] of members) {
    checkRelativePath(`${source.name}: ${label}`, name.replace(/\/$/, ''));
    if (!name.endsWith('/')) files.set(name, member);
  }
  const budget = { left: maxInflatedTotal };
  const opened = new Map<string, ByteSource>();
  return {
    name: source.name,
    list: async () => [...files.keys()].sort(),
    open: async (path) => {
      const member = files.get(path);
      if (!member) {
        throw new NotFoundError(`${source.name}: the file must be in the archive: ${JSON.stringify(path)}`);
      }
      let file = opened.get(path);
      if (!file) opened.set(path, (file = memberSource(archive, member, budget)));
      return file;
    },
  };
}

/** A member as a source. @throws FormatError when it is encrypted, packed in another way, or too large to inflate */
function memberSource(archive: ZipArchive, member: ZipMember, budget: { left: number }): ByteSource {
  const name = `${archive.source.name}/${member.name}`;
  const space = memberSpace(archive);
  space.place(member); // at 0; says when it cannot be read
  const content = space.source();
  const size = member.bytes;
  if (member.method === 0) {
    return {
      name,
      size,
      read: async (offset, length, signal) => {
        signal?.throwIfAborted();
        checkRange(name, size, offset, length);
        return length === 0 ? new Uint8Array(0) : content.read(offset, length, signal);
      },
    };
  }
  if (size > maxInflatedBytes) {
    throw new FormatError(
      `${archive.source.name}: ${label}: compressed member ${nameText(member.name)} must have at most ${formatBytes(maxInflatedBytes)}: it has ${formatBytes(size)} (pack it without compression, or add the file itself)`,
    );
  }
  let head: Promise<Uint8Array<ArrayBuffer>> | undefined;
  let whole: Promise<ByteSource> | undefined;
  // A failure is not kept: the next read tries again.
  const once = <T>(made: Promise<T>, forget: () => void): Promise<T> => {
    made.catch(forget);
    return made;
  };
  return {
    name,
    size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(name, size, offset, length);
      if (length === 0) return new Uint8Array(0);
      if (offset + length <= headBytes) {
        head ??= once(
          size <= headBytes
            ? readMember(archive, member, headBytes, signal)
            : content.read(0, headBytes, signal),
          () => (head = undefined),
        );
        return (await head).slice(offset, offset + length);
      }
      whole ??= once(inflateWhole(name, content, budget, signal), () => (whole = undefined));
      return (await whole).read(offset, length, signal);
    },
  };
}

/** Inflates a member into a Blob, a piece at a time in the heap. */
async function inflateWhole(
  name: string,
  content: ByteSource,
  budget: { left: number },
  signal?: AbortSignal,
): Promise<ByteSource> {
  if (content.size > budget.left) {
    throw new FormatError(
      `${name}: compressed members of an archive must have at most ${formatBytes(maxInflatedTotal)} together: it has more (pack it without compression)`,
    );
  }
  budget.left -= content.size;
  const pieces: Blob[] = [];
  try {
    for (let at = 0; at < content.size; at += maxChunkBytes) {
      const length = Math.min(maxChunkBytes, content.size - at);
      pieces.push(new Blob([await content.read(at, length, signal)]));
    }
  } catch (error) {
    budget.left += content.size;
    throw error;
  }
  return blobSource(name, new Blob(pieces));
}

/**
 * Contents of ZIP members: small ones whole, and those that hold tensor data as one ByteSource.
 *
 * That source is an address space of its own: each member's content begins at a multiple of 64, one after another in the
 * order in which they were placed. A read turns into a read of the file (stored members) or goes on inflating (deflated
 * ones, for which reading on is cheap and reading backwards begins anew). Nothing is held beyond what is asked for.
 */
import { FormatError, TabditError, messageOf } from '../../core/errors';
import { formatBytes } from '../../core/units';
import type { ByteSource } from '../../sources/byteSource';
import { crc32 } from '../png/chunks';
import { nameText } from '../tensorFile';
import type { ZipArchive, ZipMember } from './zip';
import { dataOffset, localBytes } from './zip';

/** Deflate packs at most 258 bytes into 2 bits, 1032 to 1: a size beyond that is a lie. */
const maxRatio = 1032;
/** Largest member whose local header and content are read at once. */
const joinedBytes = 1024 * 1024;
/** Room for a local header's extra field in such a read: torch pads by at most 91 bytes. */
const extraRoom = 128;
const inflateStep = 256 * 1024;

/**
 * A member's content, whole, with its checksum checked (0 stands for "none", as torch may write).
 * @throws FormatError when it is longer than `maxBytes`, damaged or not readable
 */
export async function readMember(
  archive: ZipArchive,
  member: ZipMember,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const what = `${archive.source.name}: ${archive.label}: ZIP member ${nameText(member.name)}`;
  if (member.bytes > maxBytes) {
    throw new FormatError(
      `${what} must have at most ${formatBytes(maxBytes)}: it has ${formatBytes(member.bytes)}`,
    );
  }
  const bytes = await memberReader(archive, member)(0, member.bytes, signal);
  const crc = crc32(bytes);
  if (member.crc !== 0 && crc !== member.crc) {
    throw new FormatError(
      `${what} must have checksum ${member.crc.toString(16)}: it has ${crc.toString(16)} (the file is damaged)`,
    );
  }
  return bytes;
}

/**
 * Checks the local headers that lie in the archive's held tail, which costs no request: all of them in a small file.
 * @throws FormatError when one is not its member's
 */
export async function checkHeldHeaders(archive: ZipArchive): Promise<void> {
  for (const member of archive.members.values()) {
    if (member.headerOffset >= archive.tailStart) await locate(archive, member);
  }
}

/** Members as one source. */
export interface MemberSpace {
  /** Where the member's content begins in the source; the first call for a member gives it its place. */
  place(member: ZipMember): number;
  /** The source over every member placed so far. */
  source(): ByteSource;
}

/** An empty space. */
export function memberSpace(archive: ZipArchive): MemberSpace {
  const places = new Map<ZipMember, number>();
  let end = 0;
  return {
    place: (member) => {
      const known = places.get(member);
      if (known !== undefined) return known;
      checkReadable(archive, member);
      const start = Math.ceil(end / 64) * 64;
      places.set(member, start);
      end = start + member.bytes;
      return start;
    },
    source: () => spaceSource(archive, [...places], end),
  };
}

type MemberReader = (
  offset: number,
  length: number,
  signal?: AbortSignal,
) => Promise<Uint8Array<ArrayBuffer>>;

function spaceSource(
  archive: ZipArchive,
  places: readonly (readonly [ZipMember, number])[],
  size: number,
): ByteSource {
  const name = archive.source.name;
  const readers = new Map<ZipMember, MemberReader>();
  return {
    name,
    size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      const found = memberAt(places, offset, length);
      if (!found || length < 0) {
        throw new FormatError(
          `${name}: ${archive.label}: bytes ${offset} to ${offset + length} must lie inside one storage: they do not`,
        );
      }
      const [member, start] = found;
      let reader = readers.get(member);
      if (!reader) readers.set(member, (reader = memberReader(archive, member)));
      return reader(offset - start, length, signal);
    },
  };
}

/** The member that holds [offset, offset + length); places ascend. */
function memberAt(
  places: readonly (readonly [ZipMember, number])[],
  offset: number,
  length: number,
): readonly [ZipMember, number] | undefined {
  let low = 0;
  let high = places.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((places[middle]?.[1] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  // Empty members share their place with the next one: nothing is ever read from them.
  const found = places[low];
  return found && offset >= found[1] && offset + length <= found[1] + found[0].bytes ? found : undefined;
}

function memberReader(archive: ZipArchive, member: ZipMember): MemberReader {
  checkReadable(archive, member);
  return member.method === 0 ? storedReader(archive, member) : inflatingReader(archive, member);
}

function storedReader(archive: ZipArchive, member: ZipMember): MemberReader {
  let start: number | undefined;
  return async (offset, length, signal) => {
    const { source } = archive;
    if (start === undefined && member.bytes <= joinedBytes) {
      const room = localBytes + member.nameBytes + extraRoom + member.bytes;
      const end = Math.min(member.headerOffset + room, member.limit);
      const bytes = await source.read(member.headerOffset, end - member.headerOffset, signal);
      start = dataOffset(archive, member, bytes);
      if (start + offset + length <= end) {
        const from = start + offset - member.headerOffset;
        return bytes.slice(from, from + length);
      }
    }
    start ??= await locate(archive, member, signal);
    return source.read(start + offset, length, signal);
  };
}

/** Reads a member's local header and gives where its data begins. */
async function locate(archive: ZipArchive, member: ZipMember, signal?: AbortSignal): Promise<number> {
  const { source } = archive;
  const head = await source.read(member.headerOffset, localBytes + member.nameBytes, signal);
  return dataOffset(archive, member, head);
}

/** Reads a deflated member; one read at a time, the others wait. */
function inflatingReader(archive: ZipArchive, member: ZipMember): MemberReader {
  let stream: InflateStream | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  const read: MemberReader = async (offset, length, signal) => {
    signal?.throwIfAborted();
    if (!stream || stream.position > offset) {
      await stream?.close();
      stream = openInflateStream(archive, member, await locate(archive, member, signal));
    }
    try {
      await stream.skip(offset - stream.position);
      return await stream.take(length);
    } catch (error) {
      stream = undefined;
      throw error;
    }
  };
  return (offset, length, signal) => {
    const result = turn.then(() => read(offset, length, signal));
    turn = result.catch(() => undefined);
    return result;
  };
}

interface InflateStream {
  /** Content bytes given so far. */
  readonly position: number;
  skip(length: number): Promise<void>;
  /** The next `length` bytes. */
  take(length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

function openInflateStream(archive: ZipArchive, member: ZipMember, start: number): InflateStream {
  const what = `${archive.source.name}: ${archive.label}: ZIP member ${nameText(member.name)}`;
  let packedAt = 0;
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull: async (controller) => {
        const length = Math.min(inflateStep, member.packedBytes - packedAt);
        if (length === 0) return controller.close();
        const bytes = await archive.source.read(start + packedAt, length);
        packedAt += length;
        controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
  const reader = packed.pipeThrough(new DecompressionStream('deflate-raw')).getReader();
  let rest = new Uint8Array(0);
  let position = 0;
  const next = async (): Promise<void> => {
    try {
      const { done, value } = await reader.read();
      if (done) throw new FormatError(`${what} must hold ${member.bytes} bytes: it holds ${position}`);
      rest = value;
    } catch (error) {
      if (error instanceof TabditError) throw error;
      throw new FormatError(`${what} must be soundly deflated: ${messageOf(error)}`, { cause: error });
    }
  };
  /** Passes over `length` bytes, piece by piece. */
  const pass = async (length: number, onPiece: (piece: Uint8Array, at: number) => void): Promise<void> => {
    for (let done = 0; done < length;) {
      if (rest.length === 0) await next();
      const piece = rest.subarray(0, length - done);
      onPiece(piece, done);
      rest = rest.subarray(piece.length);
      done += piece.length;
      position += piece.length;
    }
  };
  return {
    get position() {
      return position;
    },
    skip: (length) => pass(length, () => undefined),
    take: async (length) => {
      const out = new Uint8Array(length);
      await pass(length, (piece, at) => out.set(piece, at));
      return out;
    },
    close: () => reader.cancel().catch(() => undefined),
  };
}

function checkReadable(archive: ZipArchive, member: ZipMember): void {
  const what = `${archive.source.name}: ${archive.label}: ZIP member ${nameText(member.name)}`;
  if (member.encrypted) throw new FormatError(`${what} must not be encrypted: it is`);
  if (member.method !== 0 && member.method !== 8) {
    throw new FormatError(`${what} must be stored or deflated: its method is ${member.method}`);
  }
  if (member.bytes > member.packedBytes * maxRatio) {
    throw new FormatError(
      `${what} must hold ${member.bytes} bytes: its ${member.packedBytes} compressed bytes cannot`,
    );
  }
}

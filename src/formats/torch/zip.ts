/**
 * ZIP directory reader for torch files and for archives of whole folders: where each member lies, from the file's end and
 * nothing else.
 *
 * Only the central directory counts (torch leaves the sizes in local headers at zero); zip64 where it is used. Members
 * must lie one after another without overlapping, each inside the file and under its own name, so that no member can be
 * larger than the file says. A member's local header, whose length alone tells where its data begins, is read when the
 * member is first read; it costs no request when it lies in the tail that was read for the directory.
 */
import { FormatError } from '../../core/errors';
import { formatBytes } from '../../core/units';
import type { ByteSource } from '../../sources/byteSource';
import { maxChunkBytes } from '../../sources/byteSource';
import { nameText } from '../tensorFile';

/** Bytes at the file's end that are read first: at least the longest end record with its comment, 65,557 bytes. */
const tailBytes = 65 * 1024;
const endBytes = 22;
const locatorBytes = 20;
const end64Bytes = 56;
const centralBytes = 46;
/** Bytes of a local header before its name. */
export const localBytes = 30;

const endSignature = 0x06054b50;
const locatorSignature = 0x07064b50;
const end64Signature = 0x06064b50;
const centralSignature = 0x02014b50;
const localSignature = 0x04034b50;

/** A member as the central directory has it. */
export interface ZipMember {
  readonly name: string;
  /** 0: stored; 8: deflated; others cannot be read. */
  readonly method: number;
  readonly encrypted: boolean;
  readonly crc: number;
  /** Bytes in the file. */
  readonly packedBytes: number;
  /** Bytes of the content. */
  readonly bytes: number;
  readonly headerOffset: number;
  /** Bytes of the name in the file. */
  readonly nameBytes: number;
  /** Where the member must have ended: the next local header, or the directory. */
  readonly limit: number;
}

/** A ZIP file whose directory has been read. */
export interface ZipArchive {
  /** The file; reads inside the tail that is held cost nothing. */
  readonly source: ByteSource;
  /** By name, in the directory's order. */
  readonly members: ReadonlyMap<string, ZipMember>;
  /** Where the held tail begins. */
  readonly tailStart: number;
  /** What messages call the reading: "torch". */
  readonly label: string;
}

/**
 * Reads the directory.
 * @throws FormatError when it is damaged, cut short or larger than 16 MiB
 */
export async function readZip(
  source: ByteSource,
  signal?: AbortSignal,
  label = 'torch',
): Promise<ZipArchive> {
  const held = await holdTail(source, Math.min(source.size, tailBytes), signal);
  const what = `${source.name}: ${label}`;
  const directory = await findDirectory(what, held.source, held.tail, signal);
  const fail = failer(what);
  if (directory.start + directory.bytes > directory.limit) {
    fail(
      `the directory must end before byte ${directory.limit}: it takes ${directory.bytes} bytes from byte ${directory.start}`,
    );
  }
  if (directory.bytes > maxChunkBytes) {
    fail(
      `the directory must be at most ${formatBytes(maxChunkBytes)}: it has ${formatBytes(directory.bytes)}`,
    );
  }
  if (directory.count * centralBytes > directory.bytes) {
    fail(`${directory.count} entries must fit into the directory: it has ${directory.bytes} bytes`);
  }
  const bytes = await held.source.read(directory.start, directory.bytes, signal);
  const members = parseDirectory(what, bytes, directory.count, directory.start);
  return { source: held.source, members, tailStart: source.size - held.tail.length, label };
}

/**
 * Where a member's data begins, from its local header. `head` holds at least the header's fixed part and the name.
 * @throws FormatError when the header is another member's or none
 */
export function dataOffset(archive: ZipArchive, member: ZipMember, head: Uint8Array<ArrayBuffer>): number {
  const fail = failer(`${archive.source.name}: ${archive.label}`, member.name);
  const view = viewOf(head);
  if (view.getUint32(0, true) !== localSignature) {
    fail(`must have a local header at byte ${member.headerOffset}: there is none`);
  }
  const nameBytes = view.getUint16(26, true);
  const name = decodeName(head.subarray(localBytes, localBytes + member.nameBytes));
  if (nameBytes !== member.nameBytes || name !== member.name) {
    fail(`must have a local header of its name: byte ${member.headerOffset} has another's`);
  }
  const start = member.headerOffset + localBytes + nameBytes + view.getUint16(28, true);
  if (start + member.packedBytes > member.limit) {
    fail(
      `must end before byte ${member.limit}, where what follows begins: it ends at ${start + member.packedBytes}`,
    );
  }
  return start;
}

interface Directory {
  readonly start: number;
  readonly bytes: number;
  readonly count: number;
  /** Where the end records begin. */
  readonly limit: number;
}

async function findDirectory(
  what: string,
  source: ByteSource,
  tail: Uint8Array<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<Directory> {
  const fail = failer(what);
  const view = viewOf(tail);
  let at = tail.length - endBytes;
  while (
    at >= 0 &&
    !(
      view.getUint32(at, true) === endSignature &&
      at + endBytes + view.getUint16(at + 20, true) === tail.length
    )
  )
    at--;
  if (at < 0)
    return fail('a ZIP archive must end with its directory: there is none (is the file cut short?)');
  const end = source.size - tail.length + at;
  const disks = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
  const classic: Directory = {
    start: view.getUint32(at + 16, true),
    bytes: view.getUint32(at + 12, true),
    count: view.getUint16(at + 10, true),
    limit: end,
  };
  const saturated =
    classic.start === 0xffffffff ||
    classic.bytes === 0xffffffff ||
    classic.count === 0xffff ||
    disks.includes(0xffff);
  if (!saturated) {
    if (disks.some((disk) => disk !== 0) || view.getUint16(at + 8, true) !== classic.count) {
      fail(`a ZIP archive must be in one piece: it says disk ${disks.join(' of ')}`);
    }
    return classic;
  }
  if (end < locatorBytes) return fail('a zip64 archive must have a locator: there is none');
  const locator = viewOf(await source.read(end - locatorBytes, locatorBytes, signal));
  if (locator.getUint32(0, true) !== locatorSignature)
    return fail('a zip64 archive must have a locator: there is none');
  const start64 = wide(locator, 8);
  if (start64 + end64Bytes > end - locatorBytes)
    return fail(`the zip64 end record must lie before byte ${end}: it is at ${start64}`);
  const record = viewOf(await source.read(start64, end64Bytes, signal));
  if (record.getUint32(0, true) !== end64Signature)
    return fail(`the zip64 end record must stand at byte ${start64}: it does not`);
  return { start: wide(record, 48), bytes: wide(record, 40), count: wide(record, 32), limit: start64 };
}

function parseDirectory(
  what: string,
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
  start: number,
): Map<string, ZipMember> {
  const fail = failer(what);
  const view = viewOf(bytes);
  const found: Omit<ZipMember, 'limit'>[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + centralBytes > bytes.length || view.getUint32(at, true) !== centralSignature) {
      fail(`directory entry ${i + 1} of ${count} must stand at byte ${start + at}: it does not`);
    }
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const next = at + centralBytes + nameBytes + extraBytes + view.getUint16(at + 32, true);
    if (next > bytes.length)
      fail(`directory entry ${i + 1} of ${count} must end inside the directory: it does not`);
    const name = decodeName(bytes.subarray(at + centralBytes, at + centralBytes + nameBytes));
    const extraStart = at + centralBytes + nameBytes;
    const sizes = wideFields(view, extraStart, extraStart + extraBytes, [
      view.getUint32(at + 24, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 42, true),
    ]);
    if (!sizes) return fail(`member ${nameText(name)} must have its zip64 sizes: they are missing`);
    found.push({
      name,
      method: view.getUint16(at + 10, true),
      encrypted: (view.getUint16(at + 8, true) & 1) !== 0,
      crc: view.getUint32(at + 16, true),
      bytes: sizes[0],
      packedBytes: sizes[1],
      headerOffset: sizes[2],
      nameBytes,
    });
    at = next;
  }
  if (at !== bytes.length)
    fail(`the directory must end with its last entry: ${bytes.length - at} bytes follow`);
  return limitMembers(what, found, start);
}

/** Gives each member its limit and checks that none reaches beyond it. */
function limitMembers(
  what: string,
  found: readonly Omit<ZipMember, 'limit'>[],
  directoryStart: number,
): Map<string, ZipMember> {
  const sorted = [...found].sort((a, b) => a.headerOffset - b.headerOffset);
  const limits = new Map(sorted.map((member, i) => [member, sorted[i + 1]?.headerOffset ?? directoryStart]));
  const members = new Map<string, ZipMember>();
  for (const member of found) {
    const fail = failer(what, member.name);
    const limit = Math.min(limits.get(member) ?? 0, directoryStart);
    const least = member.headerOffset + localBytes + member.nameBytes + member.packedBytes;
    if (!Number.isSafeInteger(least) || !Number.isSafeInteger(member.bytes) || least > limit) {
      fail(
        `must end before byte ${limit}, where what follows begins: it takes ${member.packedBytes} bytes from byte ${member.headerOffset}`,
      );
    }
    if (member.method === 0 && member.bytes !== member.packedBytes) {
      fail(`must have one size, being stored: it has ${member.packedBytes} and ${member.bytes} bytes`);
    }
    if (members.has(member.name)) fail('must come once: it comes twice');
    members.set(member.name, { ...member, limit });
  }
  return members;
}

/** The three fields, each saturated one replaced from the zip64 extra field; undefined when that lacks one. */
function wideFields(
  view: DataView,
  from: number,
  to: number,
  fields: readonly [number, number, number],
): [number, number, number] | undefined {
  if (!fields.includes(0xffffffff)) return [...fields];
  for (let at = from; at + 4 <= to; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    let next = at + 4;
    const fieldEnd = Math.min(to, next + view.getUint16(at + 2, true));
    const out: [number, number, number] = [...fields];
    for (let i = 0; i < 3; i++) {
      if (out[i] !== 0xffffffff) continue;
      if (next + 8 > fieldEnd) return undefined;
      out[i] = wide(view, next);
      next += 8;
    }
    return out;
  }
  return undefined;
}

/** The source with its last bytes held: reads inside them give copies. */
async function holdTail(
  source: ByteSource,
  length: number,
  signal?: AbortSignal,
): Promise<{ source: ByteSource; tail: Uint8Array<ArrayBuffer> }> {
  const start = source.size - length;
  const tail = await source.read(start, length, signal);
  return {
    tail,
    source: {
      name: source.name,
      size: source.size,
      read: async (offset, bytes, readSignal) => {
        const inside = offset >= start && bytes >= 0 && offset + bytes <= source.size;
        if (!inside) return source.read(offset, bytes, readSignal);
        readSignal?.throwIfAborted();
        return tail.slice(offset - start, offset - start + bytes);
      },
    },
  };
}

function decodeName(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64-bit number; beyond 2^53 it is inexact, and refused by the checks on where things lie. */
function wide(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

function failer(what: string, member?: string): (rule: string) => never {
  const which = member === undefined ? '' : `ZIP member ${nameText(member)} `;
  return (rule) => {
    throw new FormatError(`${what}: ${which}${rule}`);
  };
}

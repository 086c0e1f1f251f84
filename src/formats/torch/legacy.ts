/**
 * The form in which torch.save wrote before version 1.6, and still does on request: four pickles one after another
 * (a magic number, a protocol version, facts about the machine, the object itself), a fifth with the keys of the
 * storages, then for each key a count of elements (64 bits) and the elements. All numbers are little-endian.
 *
 * Where a pickle ends is known only once it has been read, so the beginning of the file is read in growing pieces.
 */
import { FormatError } from '../../core/errors';
import { formatBytes } from '../../core/units';
import type { ByteSource } from '../../sources/byteSource';
import { maxChunkBytes } from '../../sources/byteSource';
import { PickleEndError } from './pickleBytes';
import type { PickleHost } from './pickle';
import { unpickle } from './pickle';
import type { TorchHost } from './rebuild';
import { torchHost } from './rebuild';
import type { PyValue } from './values';
import { PyGlobal, PyObject, clip, kindText } from './values';

const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;
const firstBytes = 64 * 1024;

/** A legacy file's object and storages. */
export interface LegacyContents {
  readonly root: PyValue;
  readonly host: TorchHost;
  /** Where each storage's first element is in the file. */
  readonly places: ReadonlyMap<string, number>;
}

/**
 * Reads the pickles and finds the storages.
 *
 * @param maxBytes longest that the pickles together may be
 * @throws FormatError when the file is not a sound one of this form
 */
export async function readLegacy(
  source: ByteSource,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<LegacyContents> {
  let bytes = new Uint8Array(0);
  let want = firstBytes;
  while (true) {
    const length = Math.min(want, source.size, maxBytes);
    bytes = await extend(source, bytes, length, signal);
    try {
      return await readParts(source, bytes, signal);
    } catch (error) {
      if (!(error instanceof PickleEndError) || length === source.size) throw error;
      if (length === maxBytes) {
        throw new FormatError(
          `${source.name}: torch: the pickles must have at most ${formatBytes(maxBytes)}: they have more`,
          { cause: error },
        );
      }
      want = length * 8;
    }
  }
}

async function readParts(
  source: ByteSource,
  bytes: Uint8Array<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<LegacyContents> {
  const file = source.name;
  const fail = (rule: string): never => {
    throw new FormatError(`${file}: torch: ${rule}`);
  };
  const header = plainHost(`${file}: torch: header`);
  const magic = unpickle(`${file}: torch: first pickle`, bytes, header);
  if (magic.value !== magicNumber) {
    fail(
      `a checkpoint in the old form must begin with torch.save's mark: it begins with ${kindText(magic.value)}`,
    );
  }
  const version = unpickle(`${file}: torch: version`, bytes, header, magic.end);
  if (version.value !== protocolVersion) {
    fail(`the old form must have version ${protocolVersion}: ${kindText(version.value)}`);
  }
  const machine = unpickle(`${file}: torch: machine facts`, bytes, header, version.end);

  const storages = new Map<string, { bytes: number; itemBytes: number }>();
  const host = torchHost(`${file}: torch`, {
    check: (key, size, itemBytes) => {
      const known = storages.get(key);
      if (known && (known.bytes !== size || known.itemBytes !== itemBytes)) {
        fail(`storage ${clip(key)} must have one size: it has ${known.bytes} and ${size} bytes`);
      }
      if (size > source.size)
        fail(`storage ${clip(key)} must lie inside the file of ${source.size} bytes: it has ${size}`);
      storages.set(key, { bytes: size, itemBytes });
    },
  });
  const object = unpickle(`${file}: torch: pickle`, bytes, host, machine.end);
  const keys = unpickle(`${file}: torch: storage keys`, bytes, header, object.end);
  if (!Array.isArray(keys.value)) return fail(`the storage keys must be a list: ${kindText(keys.value)}`);

  const places = new Map<string, number>();
  let at = keys.end;
  for (const key of keys.value) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (typeof key !== 'string' || !storage)
      return fail(`storages must be those of the object: ${kindText(key)} is none`);
    if (places.has(key)) fail(`each storage must come once: ${clip(key)} comes twice`);
    if (at + 8 + storage.bytes > source.size) {
      fail(
        `storage ${clip(key)} must lie inside the file of ${source.size} bytes: it ends at ` +
          `${at + 8 + storage.bytes} (is the file cut short?)`,
      );
    }
    const count = await readCount(source, bytes, at, signal);
    if (count * storage.itemBytes !== storage.bytes) {
      fail(`storage ${clip(key)} must have ${storage.bytes / storage.itemBytes} elements: it has ${count}`);
    }
    places.set(key, at + 8);
    at += 8 + storage.bytes;
  }
  for (const key of storages.keys()) {
    if (!places.has(key)) fail(`storage ${clip(key)} must be in the file: it is not`);
  }
  return { root: object.value, host, places };
}

/** The first `length` bytes of the file, of which `bytes` are there already. */
async function extend(
  source: ByteSource,
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(length);
  out.set(bytes);
  for (let at = bytes.length; at < length; at += maxChunkBytes) {
    out.set(await source.read(at, Math.min(maxChunkBytes, length - at), signal), at);
  }
  return out;
}

/** The count of elements at byte `at`: from `held`, the file's first bytes, or from the file. */
async function readCount(
  source: ByteSource,
  held: Uint8Array<ArrayBuffer>,
  at: number,
  signal?: AbortSignal,
): Promise<number> {
  const bytes = at + 8 <= held.length ? held.slice(at, at + 8) : await source.read(at, 8, signal);
  return Number(new DataView(bytes.buffer).getBigInt64(0, true));
}

/** The header's pickles hold plain data: no storage and no class. */
function plainHost(what: string): PickleHost {
  const safe = torchHost(what, { check: () => undefined });
  const none = (): never => {
    throw new FormatError(`${what}: must hold plain data: it holds storages`);
  };
  return {
    global: (module, name) => safe.global(module, name),
    persistent: none,
    call: (callable) => new PyObject(callable instanceof PyGlobal ? callable.path : '', []),
    create: (cls) => new PyObject(cls instanceof PyGlobal ? cls.path : '', []),
    build: () => undefined,
  };
}

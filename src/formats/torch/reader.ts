/**
 * torch reader: the index of a file that torch.save wrote (.pt, .pth, .bin, Composer's checkpoints), without its data.
 *
 * Today's form is a ZIP archive with the object's pickle and a member for each storage; the older one is read too. Of a
 * ZIP file only the end, the directory and the pickle are read. The entries' offsets count in the TorchFile's own
 * `source`, which gives the storages one after another (and inflates those that somebody packed again).
 */
import { fileDTypeBytes } from '../../core/dtype';
import { FormatError } from '../../core/errors';
import { elementCount } from '../../core/shape';
import type { ByteSource } from '../../sources/byteSource';
import { beginsAsSafetensors, knownKind } from '../fileKind';
import type { TensorEntry, TensorFile } from '../tensorFile';
import { nameText } from '../tensorFile';
import { collectTensors } from './collect';
import type { Collected } from './collect';
import { readLegacy } from './legacy';
import { checkHeldHeaders, memberSpace, readMember } from './members';
import { unpickle } from './pickle';
import type { TorchHost } from './rebuild';
import { torchHost } from './rebuild';
import type { PyValue, TorchTensor } from './values';
import { PyObject, TorchStorage, clip } from './values';
import type { ZipArchive, ZipMember } from './zip';
import { readZip } from './zip';

/** Longest pickle read. A checkpoint of 3,000 tensors has about 500 kB. */
const maxPickleBytes = 64 * 1024 * 1024;
/** Format versions of the ZIP form, all alike for plain data. */
const maxVersion = 10;

/** A torch file whose index has been read. */
export interface TorchFile extends TensorFile {
  readonly format: 'torch';
  readonly container: 'zip' | 'legacy';
  /** What was saved. Tensors in it lie in `tensors` by their paths. */
  readonly root: PyValue;
  /** The keys that lead to each tensor: text, or numbers for list places and integer keys. */
  readonly keys: ReadonlyMap<string, readonly (string | number)[]>;
  /** Path and reason of tensors in forms that are not read (quantized, sparse, complex128). */
  readonly unread: ReadonlyMap<string, string>;
  /** Every Python class and function that the file names, as `module.name`. */
  readonly globals: ReadonlySet<string>;
}

/**
 * Reads the index. Tensors come in the order of the saved object; their names are the keys joined with dots.
 * @throws FormatError when the file is not a sound torch file, is a TorchScript program or a whole module, or names
 *   anything that could run a program
 */
export async function readTorch(source: ByteSource, signal?: AbortSignal): Promise<TorchFile> {
  const head = await source.read(0, Math.min(source.size, 512), signal);
  if (!beginsAsSafetensors(head)) {
    if (head[0] === 0x50 && head[1] === 0x4b) return readZipForm(source, signal);
    if (head[0] === 0x80) return readLegacyForm(source, signal);
  }
  throw new FormatError(
    `${source.name}: torch: must be a checkpoint of torch.save, a ZIP archive or a pickle: it is ${knownKind(head) ?? 'neither'}`,
  );
}

async function readZipForm(source: ByteSource, signal?: AbortSignal): Promise<TorchFile> {
  const archive = await readZip(source, signal);
  const prefix = checkPrefix(source.name, archive);
  await checkHeldHeaders(archive);
  const bigEndian = await checkFacts(archive, prefix, signal);
  const space = memberSpace(archive);
  const what = `${source.name}: torch`;
  const storageMember = (key: string): ZipMember => {
    const member = archive.members.get(`${prefix}data/${key}`);
    if (!member) throw new FormatError(`${what}: storage ${clip(key)} must be in the file: it is not`);
    return member;
  };
  const host = torchHost(what, {
    check: (key, bytes) => {
      const member = storageMember(key);
      if (bytes > member.bytes) {
        throw new FormatError(
          `${what}: storage ${clip(key)} must have ${bytes} bytes: it has ${member.bytes} (is the file cut short?)`,
        );
      }
      space.place(member);
    },
  });
  const pickle = await readMember(
    archive,
    requireMember(archive, `${prefix}data.pkl`),
    maxPickleBytes,
    signal,
  );
  const { value: root, end } = unpickle(`${what}: data.pkl`, pickle, host);
  if (end !== pickle.length) {
    throw new FormatError(`${what}: data.pkl must end with its value: ${pickle.length - end} bytes follow`);
  }
  const places = (key: string): number => space.place(storageMember(key));
  return assemble(space.source(), 'zip', root, host, places, bigEndian);
}

async function readLegacyForm(source: ByteSource, signal?: AbortSignal): Promise<TorchFile> {
  const { root, host, places } = await readLegacy(source, maxPickleBytes, signal);
  return assemble(source, 'legacy', root, host, (key) => places.get(key) ?? 0, false);
}

/** The folder in which everything lies, with its slash. */
function checkPrefix(file: string, archive: ZipArchive): string {
  const names = [...archive.members.keys()];
  const [first] = names;
  if (first === undefined)
    throw new FormatError(`${file}: torch: the ZIP archive must have members: it is empty`);
  const prefix = first.slice(0, first.indexOf('/') + 1);
  if (archive.members.has(`${prefix}constants.pkl`)) {
    throw new FormatError(
      `${file}: torch: must be a state dict of torch.save: it is a TorchScript program (torch.jit.save); ` +
        'save model.state_dict() instead',
    );
  }
  if (prefix === '' || !archive.members.has(`${prefix}data.pkl`)) {
    throw new FormatError(
      `${file}: torch: the ZIP archive must have a data.pkl in its folder: it has ${describeMembers(names)}`,
    );
  }
  return prefix;
}

function describeMembers(names: readonly string[]): string {
  if (names.some((name) => name.endsWith('.npy'))) return 'NumPy arrays (an .npz file)';
  const shown = names.slice(0, 3).map(nameText).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Checks `version` and `byteorder`; whether numbers are big-endian. */
async function checkFacts(archive: ZipArchive, prefix: string, signal?: AbortSignal): Promise<boolean> {
  const text = async (name: string): Promise<string> => {
    const bytes = await readMember(archive, requireMember(archive, prefix + name), 64, signal);
    return new TextDecoder('latin1').decode(bytes).trim();
  };
  const version = await text('version');
  if (!/^\d{1,3}$/.test(version) || Number(version) < 1 || Number(version) > maxVersion) {
    throw new FormatError(
      `${archive.source.name}: torch: the format version must be 1 to ${maxVersion}: ${nameText(version)}`,
    );
  }
  if (!archive.members.has(`${prefix}byteorder`)) return false; // before torch 2.1
  const order = await text('byteorder');
  if (order !== 'little' && order !== 'big') {
    throw new FormatError(
      `${archive.source.name}: torch: byteorder must be "little" or "big": ${nameText(order)}`,
    );
  }
  return order === 'big';
}

function requireMember(archive: ZipArchive, name: string): ZipMember {
  const member = archive.members.get(name);
  if (member) return member;
  throw new FormatError(`${archive.source.name}: torch: the archive must have ${nameText(name)}: it has not`);
}

/** The file from its parts; `placeOf` tells where a storage's data begins in `source`. */
function assemble(
  source: ByteSource,
  container: 'zip' | 'legacy',
  root: PyValue,
  host: TorchHost,
  placeOf: (key: string) => number,
  bigEndian: boolean,
): TorchFile {
  const found = collectTensors(`${source.name}: torch`, root);
  checkState(source.name, root, host, found);
  const entries = [...found.tensors].map(
    ([name, tensor]) => [name, entryOf(name, tensor, placeOf(tensor.storage.key), bigEndian)] as const,
  );
  return {
    format: 'torch',
    container,
    source,
    root,
    tensors: new Map(entries),
    keys: found.keys,
    unread: found.unread,
    globals: host.globals,
    metadata: new Map(),
  };
}

/** Checks that the file is a tree of tensors rather than an object whose class would be needed. */
function checkState(file: string, root: PyValue, host: TorchHost, found: Collected): void {
  const fail = (rule: string): never => {
    throw new FormatError(`${file}: torch: ${rule}`);
  };
  const [unread] = found.unread;
  if (root instanceof PyObject && found.tensors.size === 0) {
    if (unread) fail(`must be a tensor in a form that is read: ${unread[1]}`);
    fail(`must be a state dict: it is a whole object of ${clip(root.type)}; save its state_dict() instead`);
  }
  if (root instanceof TorchStorage) fail(`must be a state dict: it is a bare ${root.type}`);
  if (found.tensors.size > 0) return;
  if (unread) fail(`must hold tensors in a form that is read: ${nameText(unread[0])}: ${unread[1]}`);
  if (host.tensorCount > 0) {
    const classes = [...found.objects].slice(0, 3).map(clip).join(', ');
    fail(
      `must hold tensors in dictionaries and lists: its ${host.tensorCount} tensors lie inside objects` +
        `${classes ? ` of ${classes}` : ''}; save state_dict() instead`,
    );
  }
}

function entryOf(name: string, tensor: TorchTensor, place: number, bigEndian: boolean): TensorEntry {
  const itemBytes = fileDTypeBytes(tensor.dtype);
  return {
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    offset: place + (tensor.storage.start + tensor.offset) * itemBytes,
    bytes: elementCount(tensor.shape) * itemBytes,
    ...(tensor.strides && { strides: tensor.strides }),
    ...(bigEndian && itemBytes > 1 && { bigEndian }),
  };
}

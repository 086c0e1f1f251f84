/**
 * The host of torch's pickles: gives meaning to the functions with which torch describes tensors and storages, and to a
 * few plain classes of Python. Every other class or function becomes a placeholder.
 *
 * Tensors are checked against their storage here, so that nothing later reads or allocates by a number that is not true.
 */
import type { FileDType } from '../../core/dtype';
import { fileDTypeBytes } from '../../core/dtype';
import { FormatError } from '../../core/errors';
import { shapeText } from '../../core/shape';
import { formatBytes } from '../../core/units';
import { dtypeOf, isRefused, moduleName, storageOf } from './globals';
import type { PickleHost } from './pickle';
import type { PyValue } from './values';
import {
  PyDict,
  PyGlobal,
  PyObject,
  PySet,
  PyTuple,
  TorchStorage,
  TorchTensor,
  clip,
  kindText,
} from './values';

/** As in torch. */
const maxRank = 64;
/** Most bytes of all tensors that repeat their storage (stride 0, overlapping rows): a few bytes may claim to be terabytes. */
const maxRepeatedBytes = 64 * 1024 * 1024;
/**
 * Most work in copying dictionaries and bytes, in characters and 1/64 entries: a small pickle may ask for copies of a
 * long value over and over.
 */
const maxCopied = 128 * 1024 * 1024;
/** Widest span of a tensor with gaps or another order of axes: it is read whole before it is put in order. */
const maxSpanBytes = 1024 * 1024 * 1024;

/** What a file's host has seen. */
export interface TorchHost extends PickleHost {
  /** Every class and function named, as `module.name`. */
  readonly globals: ReadonlySet<string>;
  /** Tensors that were made. */
  readonly tensorCount: number;
}

/** Tells where storages lie. */
export interface StorageFinder {
  /**
   * Called for each storage as it is named.
   *
   * @param key the storage's name
   * @param bytes what it must have
   * @param itemBytes size of one of its elements
   * @throws FormatError when there is no such storage or it is shorter
   */
  check(key: string, bytes: number, itemBytes: number): void;
}

/** The host of one file; `what` names it in messages. */
export function torchHost(what: string, finder: StorageFinder): TorchHost {
  return new Host(what, finder);
}

class Host implements TorchHost {
  readonly #what: string;
  readonly #finder: StorageFinder;
  readonly #globals = new Map<string, PyGlobal>();
  readonly globals = new Set<string>();
  tensorCount = 0;
  #copied = 0;
  #repeated = 0;

  constructor(what: string, finder: StorageFinder) {
    this.#what = what;
    this.#finder = finder;
  }

  global(module: string, name: string): PyValue {
    const found = new PyGlobal(moduleName(module), name);
    const known = this.#globals.get(found.path);
    if (known) return known;
    if (isRefused(found.module, found.name)) {
      this.#fail(
        `must hold data only: it names ${clip(found.path)}, which can run programs (a hostile file)`,
      );
    }
    this.#globals.set(found.path, found);
    this.globals.add(found.path);
    return found;
  }

  /** ('storage', class, key, location, elements[, view]), or in old files ('module', class, ...). */
  persistent(id: PyValue): PyValue {
    const [kind = null, cls = null, key, , count, view = null] = id instanceof PyTuple ? id.items : [];
    if (kind === 'module' && cls instanceof PyGlobal) return cls;
    if (kind !== 'storage' || !(cls instanceof PyGlobal)) {
      return this.#fail(
        `a persistent id must name a storage: it is ${kindText(id)} beginning with ${kindText(kind)}`,
      );
    }
    const type = storageOf(cls.module, cls.name);
    if (!type) return this.#fail(`a storage's class must be one of torch's: ${clip(cls.path)}`);
    if (typeof key !== 'string') return this.#fail(`a storage's key must be text: ${kindText(key)}`);
    const what = `storage ${clip(key)}`;
    const itemBytes = type.dtype ? fileDTypeBytes(type.dtype) : (type.itemBytes ?? 1);
    const whole = this.#count(count, `${what}: its size`);
    this.#finder.check(key, this.#exact(whole * itemBytes, `${what}: its size in bytes`), itemBytes);
    if (view === null)
      return new TorchStorage({ key, dtype: type.dtype, type: cls.name, count: whole, start: 0 });
    const [, viewStart, viewCount] = view instanceof PyTuple ? view.items : [];
    const start = this.#count(viewStart, `${what}: its view's start`);
    const part = this.#count(viewCount, `${what}: its view's size`);
    if (start + part > whole) {
      this.#fail(`${what}: its view must lie inside its ${whole} elements: ${start} to ${start + part}`);
    }
    return new TorchStorage({ key, dtype: type.dtype, type: cls.name, count: part, start });
  }

  call(callable: PyValue, args: PyValue): PyValue {
    return this.#call(callable, this.#tuple(args, 'arguments'), true);
  }

  create(cls: PyValue, args: PyValue, options: PyValue): PyValue {
    const items = this.#tuple(args, 'arguments');
    if (!(cls instanceof PyGlobal)) return this.#fail(`a new object must have a class: ${kindText(cls)}`);
    const plain = this.#plain(cls.path, items);
    if (plain !== undefined) return plain;
    return new PyObject(
      cls.path,
      options instanceof PyDict && options.size > 0 ? [...items, options] : items,
    );
  }

  build(target: PyValue, state: PyValue): void {
    // Attributes of dictionaries (a module's `_metadata`) and of tensors are not data that anybody here needs.
    if (target instanceof PyObject) target.state = state;
    else if (!(target instanceof PyDict || target instanceof TorchTensor || target instanceof PySet)) {
      this.#fail(`state must be given to an object: it is ${kindText(target)}`);
    }
  }

  #call(callable: PyValue, args: readonly PyValue[], mayNest: boolean): PyValue {
    if (callable instanceof PyObject) return new PyObject(`${clip(callable.type)}()`, args);
    if (!(callable instanceof PyGlobal))
      return this.#fail(`what is called must be a function: ${kindText(callable)}`);
    const path = callable.path;
    switch (path) {
      case 'torch._utils._rebuild_tensor':
      case 'torch._utils._rebuild_tensor_v2':
      case 'torch._utils._rebuild_tensor_v3':
        return this.#rebuild(path, args);
      case 'torch._utils._rebuild_parameter':
      case 'torch._utils._rebuild_parameter_with_state':
      case 'torch.nn.parameter.Parameter': {
        const [data, requiresGrad = true] = args;
        if (!(data instanceof TorchTensor)) return new PyObject(path, args, 'its data is no tensor');
        return new TorchTensor({ ...data, requiresGrad: requiresGrad === true, isParameter: true });
      }
      case 'torch._tensor._rebuild_from_type_v2': {
        const [inner = null, , innerArgs = null] = args;
        if (!mayNest) return this.#fail('_rebuild_from_type_v2 must not be called through itself: it is');
        return this.#call(inner, this.#tuple(innerArgs, 'arguments'), false);
      }
      default:
        return this.#plain(path, args) ?? new PyObject(path, args);
    }
  }

  /** (storage, offset, size, stride[, requires_grad, hooks[, dtype (v3), metadata]]) */
  #rebuild(path: string, args: readonly PyValue[]): PyValue {
    const [storage, offset, size, stride, requiresGrad = false] = args;
    if (!(storage instanceof TorchStorage))
      return this.#fail(`a tensor must have a storage: ${kindText(storage)}`);
    const isV3 = path.endsWith('_v3');
    const type = isV3 ? args[6] : undefined;
    const dtype =
      type instanceof PyGlobal ? dtypeOf(type.module, type.name) : isV3 ? undefined : storage.dtype;
    if (!dtype) {
      const name = type instanceof PyGlobal ? type.path : storage.type;
      return new PyObject(path, args, `elements of ${clip(name)} are not read`);
    }
    const metadata = args[isV3 ? 7 : 6];
    if (metadata instanceof PyDict && (metadata.get('conj') === true || metadata.get('neg') === true)) {
      return new PyObject(path, args, 'a conjugated or negated view is not read');
    }
    const what = `a tensor of storage ${clip(storage.key)}`;
    const shape = this.#counts(size, `${what}: its shape`);
    const strides = this.#counts(stride, `${what}: its strides`);
    const start = this.#count(offset, `${what}: its offset`);
    if (shape.length !== strides.length) {
      this.#fail(
        `${what}: must have a stride for each axis: it has ${shape.length} axes and ${strides.length} strides`,
      );
    }
    const kept = this.#checkPlace(what, storage, dtype, start, shape, strides);
    this.tensorCount++;
    return new TorchTensor({
      storage,
      dtype,
      shape,
      offset: start,
      strides: kept,
      requiresGrad: requiresGrad === true,
      isParameter: false,
    });
  }

  /** Checks that a tensor lies in its storage; gives its strides unless they are row-major. */
  #checkPlace(
    what: string,
    storage: TorchStorage,
    dtype: FileDType,
    start: number,
    shape: readonly number[],
    strides: readonly number[],
  ): readonly number[] | undefined {
    const itemBytes = fileDTypeBytes(dtype);
    const capacity = storage.dtype === undefined ? Math.floor(storage.count / itemBytes) : storage.count;
    let count = 1;
    let span = 1;
    let rowMajor = true;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const extent = shape[axis] ?? 0;
      const step = strides[axis] ?? 0;
      if (extent !== 1 && step !== count) rowMajor = false;
      count = this.#exact(count * extent, `${what}: its element count, shape ${shapeText(shape)}`);
      span = this.#exact(span + (extent - 1) * step, `${what}: its span, strides ${shapeText(strides)}`);
    }
    if (count === 0) span = 0;
    if (start + span > capacity) {
      this.#fail(
        `${what}: must lie inside its ${capacity} elements: offset ${start}, shape ${shapeText(shape)} and ` +
          `strides ${shapeText(strides)} reach ${start + span}`,
      );
    }
    if (count === 0 || rowMajor) return undefined;
    if (count > span) {
      this.#repeated += count * itemBytes;
      if (this.#repeated > maxRepeatedBytes) {
        this.#fail(
          `${what}: expanded tensors must have at most ${formatBytes(maxRepeatedBytes)} together: ` +
            `with shape ${shapeText(shape)} they have ${formatBytes(this.#repeated)}`,
        );
      }
    }
    if (span * itemBytes > maxSpanBytes) {
      this.#fail(
        `${what}: a strided tensor must span at most ${formatBytes(maxSpanBytes)}: ${formatBytes(span * itemBytes)}`,
      );
    }
    return strides;
  }

  #fail(rule: string): never {
    throw new FormatError(`${this.#what}: ${rule}`);
  }

  #tuple(value: PyValue, what: string): readonly PyValue[] {
    return value instanceof PyTuple ? value.items : this.#fail(`${what} must be a tuple: ${kindText(value)}`);
  }

  #counts(value: PyValue | undefined, what: string): number[] {
    const items = value instanceof PyTuple ? value.items : Array.isArray(value) ? value : undefined;
    if (!items || items.length > maxRank) {
      return this.#fail(`${what} must be a tuple of at most ${maxRank} numbers: ${kindText(value)}`);
    }
    return items.map((item) =>
      isCount(item)
        ? item
        : this.#fail(`${what} must be whole numbers below 2^53, not negative: ${kindText(item)}`),
    );
  }

  #count(value: PyValue | undefined, what: string): number {
    if (isCount(value)) return value;
    return this.#fail(`${what} must be a whole number below 2^53, not negative: ${kindText(value)}`);
  }

  #exact(value: number, what: string): number {
    return Number.isSafeInteger(value) ? value : this.#fail(`${what} must be below 2^53: ${value}`);
  }

  /** Plain classes of Python that have a form of their own here; undefined for every other. */
  #plain(path: string, args: readonly PyValue[]): PyValue | undefined {
    const [first = null, second = null] = args;
    switch (path) {
      case 'collections.OrderedDict':
        return this.#dict('OrderedDict', first);
      case 'collections.Counter':
        return this.#dict('Counter', first);
      case 'collections.defaultdict':
        return this.#dict('defaultdict', second);
      case 'builtins.dict':
        return this.#dict('dict', first);
      case 'builtins.set':
      case 'builtins.frozenset':
        return Array.isArray(first) ? new PySet(first) : undefined;
      case 'builtins.bytearray':
      case 'builtins.bytes':
        if (first instanceof Uint8Array) return first;
        return args.length === 0 ? new Uint8Array(0) : this.#encoded(first, second);
      case '_codecs.encode':
        return this.#encoded(first, second);
      case 'torch.Size':
        return first instanceof PyTuple ? first : Array.isArray(first) ? new PyTuple(first) : undefined;
      default:
        return undefined;
    }
  }

  /** A dictionary from another one, or from pairs; undefined from anything else. */
  #dict(type: string, from: PyValue): PyDict | undefined {
    const dict = new PyDict(type);
    if (from === null) return dict;
    if (from instanceof PyDict) {
      this.#spend(64 * from.size);
      for (const [key, value] of from.entries()) dict.set(key, value);
      return dict;
    }
    if (!Array.isArray(from)) return undefined;
    this.#spend(64 * from.length);
    for (const pair of from) {
      const items = pair instanceof PyTuple ? pair.items : Array.isArray(pair) ? pair : [];
      if (items.length !== 2) return undefined;
      dict.set(items[0] ?? null, items[1] ?? null);
    }
    return dict;
  }

  /** Bytes that protocol 2 writes as the text of their Latin-1 characters. */
  #encoded(text: PyValue, encoding: PyValue): Uint8Array | undefined {
    if (typeof text !== 'string' || (encoding !== 'latin1' && encoding !== 'latin-1')) return undefined;
    this.#spend(text.length);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0xff) return undefined;
      bytes[i] = code;
    }
    return bytes;
  }

  #spend(work: number): void {
    this.#copied += work;
    if (this.#copied > maxCopied) this.#fail('must not copy the same values over and over: it does');
  }
}

function isCount(value: PyValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

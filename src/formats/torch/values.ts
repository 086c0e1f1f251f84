/**
 * What a pickle holds, as inert data. Nothing here runs anything: a class or function of Python is its name, an object
 * is the name of its class with what it was made from.
 *
 * | Python | here |
 * | --- | --- |
 * | None, bool, str | null, boolean, string |
 * | int | number, or bigint beyond 2^53 |
 * | float | number |
 * | bytes, bytearray | Uint8Array |
 * | list | array |
 * | tuple, torch.Size | PyTuple |
 * | dict, OrderedDict, Counter, defaultdict | PyDict |
 * | set, frozenset | PySet |
 * | class, function, torch.dtype | PyGlobal |
 * | Tensor, Parameter | TorchTensor |
 * | any other object | PyObject |
 */
import type { FileDType } from '../../core/dtype';
import type { Shape } from '../../core/shape';

/** Anything a pickle can give. */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyValue[]
  | PyTuple
  | PyDict
  | PySet
  | PyGlobal
  | PyObject
  | TorchStorage
  | TorchTensor;

/** A tuple. */
export class PyTuple {
  readonly items: readonly PyValue[];

  constructor(items: readonly PyValue[]) {
    this.items = items;
  }
}

/** A dictionary in insertion order. Keys are compared as JavaScript compares them: tuples and objects by identity. */
export class PyDict {
  /** Its class: `dict`, `OrderedDict`, `Counter` or `defaultdict`. */
  readonly type: string;
  #map: Map<PyValue, PyValue> | undefined;

  constructor(type = 'dict') {
    this.type = type;
  }

  get size(): number {
    return this.#map?.size ?? 0;
  }

  get(key: PyValue): PyValue | undefined {
    return this.#map?.get(key);
  }

  /** As in Python, a key given again keeps its place and takes the new value. */
  set(key: PyValue, value: PyValue): void {
    (this.#map ??= new Map()).set(key, value);
  }

  entries(): IterableIterator<[PyValue, PyValue]> {
    return (this.#map ?? new Map<PyValue, PyValue>()).entries();
  }
}

/** A set or frozenset, its members in the file's order. */
export class PySet {
  readonly items: PyValue[];

  constructor(items: PyValue[]) {
    this.items = items;
  }
}

/** A class, function or constant of a Python module, by name. */
export class PyGlobal {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  /** `module.name`. */
  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** An object of a class that this program does not know, or the result of a function that it does not call. */
export class PyObject {
  /** The class or function, as `module.name`. */
  readonly type: string;
  /** What it was made from. */
  readonly args: readonly PyValue[];
  /** What it was then given as its state. */
  state: PyValue = null;
  /** Items it was then given, as a list or a dictionary is. */
  readonly items: PyValue[] = [];
  readonly entries: [PyValue, PyValue][] = [];
  /** Why it is not a tensor, where it would be one. */
  readonly unread: string | undefined;

  constructor(type: string, args: readonly PyValue[], unread?: string) {
    this.type = type;
    this.args = args;
    this.unread = unread;
  }
}

/** Numbers in the file that tensors view. Made from its fields, as TorchTensor is. */
export class TorchStorage {
  readonly key: string;
  /** Absent: bytes without a type, or of a type that this program does not read. */
  readonly dtype: FileDType | undefined;
  /** The class, for messages. */
  readonly type: string;
  /** Elements; bytes where the storage has no type. */
  readonly count: number;
  /** Elements of the stored data before this storage's first: older files store views of storages. */
  readonly start: number;

  constructor(storage: TorchStorage) {
    this.key = storage.key;
    this.dtype = storage.dtype;
    this.type = storage.type;
    this.count = storage.count;
    this.start = storage.start;
  }
}

/** A tensor: a view of a storage. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: FileDType;
  readonly shape: Shape;
  /** Elements from the storage's first to the tensor's first. */
  readonly offset: number;
  /** In elements; absent: row-major, contiguous. */
  readonly strides: readonly number[] | undefined;
  readonly requiresGrad: boolean;
  /** Whether it was a torch.nn.Parameter. */
  readonly isParameter: boolean;

  constructor(tensor: TorchTensor) {
    this.storage = tensor.storage;
    this.dtype = tensor.dtype;
    this.shape = tensor.shape;
    this.offset = tensor.offset;
    this.strides = tensor.strides;
    this.requiresGrad = tensor.requiresGrad;
    this.isParameter = tensor.isParameter;
  }
}

/**
 * The value at a path of dictionary keys and list places; undefined where there is none.
 * `valueAt(file.root, 'state', 'optimizers', 'AdamW', 'param_groups', 0, 'lr')`
 */
export function valueAt(root: PyValue, ...keys: readonly (string | number)[]): PyValue | undefined {
  let value: PyValue | undefined = root;
  for (const key of keys) {
    if (value instanceof PyDict) value = value.get(key);
    else if (value instanceof PyTuple && typeof key === 'number') value = value.items[key];
    else if (Array.isArray(value) && typeof key === 'number') value = value[key];
    else return undefined;
  }
  return value;
}

/** What a value is, for messages. */
export function kindText(value: PyValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'bigint') return numberText(value);
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof PyTuple) return `a tuple of ${value.items.length}`;
  if (value instanceof PyDict) return `a ${value.type}`;
  if (value instanceof PySet) return 'a set';
  if (value instanceof PyGlobal) return `the name ${clip(value.path)}`;
  if (value instanceof TorchStorage) return `a ${value.type}`;
  if (value instanceof TorchTensor) return 'a tensor';
  return `an object of ${clip(value.type)}`;
}

function numberText(value: number | bigint): string {
  // Printing a number of a thousand digits takes its time and tells nothing.
  if (typeof value === 'bigint' && (value >= 1n << 128n || value <= -(1n << 128n)))
    return 'a number beyond 2^128';
  return String(value);
}

/** A name cut to 100 characters, control characters escaped. */
export function clip(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 99)}…` : name).slice(1, -1);
}

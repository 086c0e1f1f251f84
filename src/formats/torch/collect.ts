/**
 * Tensors of an unpickled value by path: keys of dictionaries and places in lists and tuples, joined with dots, as Python
 * prints them. Tensors inside other objects are not found; of these, those that would be tensors are told apart.
 */
import { FormatError } from '../../core/errors';
import { nameText } from '../tensorFile';
import type { PyValue } from './values';
import { PyDict, PyObject, PyTuple, TorchTensor, clip } from './values';

const maxDepth = 100;
/** Most values looked at, an object that lies at several paths once for each: shared lists nest to any size. */
const maxVisits = 2_000_000;
const maxPathLength = 4096;
/** All paths together, in characters. */
const maxPathText = 64 * 1024 * 1024;

/** What was found. */
export interface Collected {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** The keys that lead to each tensor: text for text keys, numbers for integer keys and places. */
  readonly keys: ReadonlyMap<string, readonly (string | number)[]>;
  /** Path and reason of what torch would give as a tensor but this program does not read. */
  readonly unread: ReadonlyMap<string, string>;
  /** Classes of the objects that were not looked into. */
  readonly objects: ReadonlySet<string>;
}

/**
 * Finds every tensor below `root`.
 * @throws FormatError when values nest deeper than 100, lead back to themselves, or two tensors have one path
 */
export function collectTensors(what: string, root: PyValue): Collected {
  const tensors = new Map<string, TorchTensor>();
  const keys = new Map<string, readonly (string | number)[]>();
  const unread = new Map<string, string>();
  const objects = new Set<string>();
  const fail = (rule: string): never => {
    throw new FormatError(`${what}: ${rule}`);
  };
  let visits = 0;
  let pathText = 0;
  const trail: (string | number)[] = [];

  const pathOf = (): string => {
    const path = trail.join('.');
    if (path.length > maxPathLength)
      fail(`a tensor's path must have at most ${maxPathLength} characters: ${path.length}`);
    pathText += path.length;
    if (pathText > maxPathText) fail(`all paths must have at most ${maxPathText} characters: they have more`);
    return path;
  };
  const visitAt = (key: string | number, value: PyValue): void => {
    trail.push(key);
    visit(value);
    trail.pop();
  };
  const visit = (value: PyValue): void => {
    if (++visits > maxVisits) fail(`must hold at most ${maxVisits} values: it holds more`);
    if (trail.length > maxDepth) fail(`values must nest at most ${maxDepth} deep: they nest deeper`);
    if (value instanceof PyDict) {
      for (const [key, item] of value.entries()) visitAt(keyText(key), item);
    } else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) visitAt(i, value[i] ?? null);
    } else if (value instanceof PyTuple) {
      for (let i = 0; i < value.items.length; i++) visitAt(i, value.items[i] ?? null);
    } else if (value instanceof TorchTensor) {
      const path = pathOf();
      if (tensors.has(path)) fail(`tensors must have different paths: ${nameText(path)} comes twice`);
      tensors.set(path, value);
      keys.set(path, [...trail]);
    } else if (value instanceof PyObject) {
      const tensor = oldParameter(value);
      if (tensor) visit(tensor);
      else if (value.unread !== undefined) unread.set(pathOf(), value.unread);
      else if (/^torch\._(utils|tensor)\._rebuild/.test(value.type))
        unread.set(pathOf(), `${clip(value.type)} is not read`);
      else objects.add(value.type);
    }
  };
  visit(root);
  return { tensors, keys, unread, objects };
}

/** The tensor of a Parameter of old files, which was made empty and given its data as its state. */
function oldParameter(value: PyObject): TorchTensor | undefined {
  if (value.type !== 'torch.nn.parameter.Parameter') return undefined;
  const state = value.state;
  const [first] = state instanceof PyTuple ? state.items : Array.isArray(state) ? state : [];
  const data = state instanceof PyDict ? (state.get('data') ?? state.get('_data')) : (first ?? value.args[0]);
  return data instanceof TorchTensor ? data : undefined;
}

/** A dictionary's key as part of a path. */
function keyText(key: PyValue): string | number {
  if (typeof key === 'string' || typeof key === 'number') return key;
  if (typeof key === 'bigint') return key.toString();
  if (typeof key === 'boolean') return key ? 'True' : 'False';
  if (key === null) return 'None';
  if (key instanceof PyTuple && key.items.length <= 8) {
    const parts = key.items.map((item) => (typeof item === 'string' ? `'${item}'` : flatText(item)));
    return `(${parts.join(', ')}${parts.length === 1 ? ',' : ''})`;
  }
  return '?';
}

function flatText(value: PyValue): string {
  return value instanceof PyTuple ? '(…)' : String(keyText(value));
}

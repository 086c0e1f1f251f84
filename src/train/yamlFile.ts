/**
 * YAML as foreign data: YAML 1.2 with merge keys, plain values only, a bounded number of aliases, and OmegaConf's
 * references to other keys (`${seed}`), which the reference's files use.
 */
import { parseDocument } from 'yaml';
import { FormatError, messageOf } from '../core/errors';

/** Copies that aliases may make in all; the reference's files have none. */
const maxAliases = 100;
const maxLength = 1 << 20;
/** References through references. */
const maxDepth = 16;

/**
 * The value of a YAML document.
 * @param what names the file in messages
 * @throws FormatError with line and column for text that is no YAML, has tags of its own, or expands without bound
 */
export function parseYaml(text: string, what: string): unknown {
  if (text.length > maxLength) {
    throw new FormatError(`${what}: a configuration has at most ${maxLength} characters: ${text.length}`);
  }
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', merge: true, prettyErrors: true });
    // A warning is an unknown tag or directive: something whose meaning would be lost.
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem) {
      const place = problem.linePos?.[0];
      const rule = problem.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? '';
      const where = place ? `line ${place.line}, column ${place.col}: ` : '';
      throw new FormatError(`${what}: ${where}not YAML that is read here: ${rule}`);
    }
    return document.toJS({ maxAliasCount: maxAliases }) as unknown;
  } catch (thrown) {
    if (thrown instanceof FormatError) throw thrown;
    throw new FormatError(`${what}: not YAML that is read here: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** One value as YAML writes it: `1e-3`, `true`, `[0.9, 0.95]`; text that is nothing else stays text. */
export function parseScalar(text: string): unknown {
  try {
    return parseYaml(text, 'value');
  } catch {
    return text;
  }
}

/** Whether something is a mapping. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A node of a document by its keys, or undefined. */
export function nodeAt(root: unknown, keys: readonly string[]): unknown {
  let at = root;
  for (const key of keys) {
    if (Array.isArray(at)) at = /^\d+$/.test(key) ? (at as unknown[])[Number(key)] : undefined;
    else if (isMapping(at) && Object.hasOwn(at, key)) at = at[key];
    else return undefined;
  }
  return at;
}

/**
 * A value with the references in its texts replaced: a text that is one reference becomes what it refers to.
 * @param path of the value, for messages
 * @throws FormatError for a reference to nothing, in a circle, relative, or to a resolver such as `oc.env`
 */
export function resolveReferences(
  root: unknown,
  value: unknown,
  what: string,
  path: string,
  depth = 0,
): unknown {
  if (Array.isArray(value)) {
    return value.map((item, i) => resolveReferences(root, item, what, `${path}.${i}`, depth));
  }
  if (isMapping(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        resolveReferences(root, item, what, `${path}.${key}`, depth),
      ]),
    );
  }
  if (typeof value !== 'string' || !value.includes('${')) return value;
  if (depth >= maxDepth) {
    throw new FormatError(`${what}: ${path}: references must not lead in a circle: ${JSON.stringify(value)}`);
  }
  const follow = (name: string): unknown => {
    const key = name.trim();
    const target = /^[\w-]+(\.[\w-]+)*$/.test(key) ? nodeAt(root, key.split('.')) : undefined;
    if (target === undefined) {
      throw new FormatError(`${what}: ${path}: a reference names another key of the file: \${${name}}`);
    }
    return resolveReferences(root, target, what, path, depth + 1);
  };
  const whole = /^\$\{([^{}]*)\}$/.exec(value);
  if (whole) return follow(whole[1] ?? '');
  return value.replace(/\$\{([^{}]*)\}/g, (_, name: string) => String(follow(name)));
}

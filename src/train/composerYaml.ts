/**
 * Upstream's configuration files (Hydra, for Composer's trainer) taken as they are, and ours.
 *
 * Every key of the file ends in one of three places: a setting, the list of keys that have no meaning here (with the
 * reason), or the list of unknown keys. Nothing is dropped in silence. A key that is absent has upstream's default, which
 * is that of its first stage.
 */
import { FormatError } from '../core/errors';
import { parseTrainConfig, trainConfigIssue, type TrainConfig } from '../protocol/trainConfig';
import { ignoredKeys, settingKeys, type KeyRule } from './composerKeys';
import { withValue } from './overrides';
import { isMapping, nodeAt, parseYaml, resolveReferences } from './yamlFile';

/** A key of the file and why nothing comes of it. */
export interface UnusedKey {
  readonly path: string;
  readonly reason: string;
}

/** What a configuration file says. */
export interface ReadConfig {
  readonly config: TrainConfig;
  /** Understood, but without meaning here. */
  readonly unused: readonly UnusedKey[];
  /** Keys that nobody here knows, dotted. */
  readonly unknown: readonly string[];
  /** What a reader of the file should know. */
  readonly notes: readonly string[];
}

/**
 * Reads a run's configuration: upstream's form, or ours (trainConfig.ts), which is told by its sections.
 * @param what names the file in messages
 * @throws FormatError `<what>: <path in the file>: <rule>: <actual>`
 */
export function readTrainConfig(text: string, what = 'configuration'): ReadConfig {
  const root = parseYaml(text, what);
  if (!isMapping(root)) throw new FormatError(`${what}: a configuration is a mapping of keys: it is none`);
  const isComposer = ['trainer', 'optimizer', 'scheduler', 'dataset', 'algorithms', 'defaults'].some((key) =>
    Object.hasOwn(root, key),
  );
  if (isComposer) return readComposer(root, what);
  const resolved = resolveReferences(root, root, what, 'the file');
  return { config: parseTrainConfig(resolved, what), unused: [], unknown: [], notes: [] };
}

function readComposer(root: Record<string, unknown>, what: string): ReadConfig {
  if (Object.hasOwn(root, 'defaults') && JSON.stringify(root.defaults) !== '["_self_"]') {
    throw new FormatError(
      `${what}: defaults: one file is read, composed from no others: ${JSON.stringify(root.defaults)}`,
    );
  }
  const draft = new Draft(root, what);
  const unused: UnusedKey[] = [];
  const unknown: string[] = [];
  const visit = (node: unknown, keys: readonly string[]): void => {
    const path = keys.join('.');
    const ignored = ignoredKeys.find(({ pattern }) => pattern.test(path));
    if (ignored) unused.push({ path, reason: ignored.reason });
    else if (settingKeys.has(path)) draft.take(path, settingKeys.get(path) as KeyRule, node);
    else if (isMapping(node) && Object.keys(node).length > 0) {
      for (const [key, inner] of Object.entries(node)) visit(inner, [...keys, key]);
    } else unknown.push(path);
  };
  for (const [key, node] of Object.entries(root)) visit(node, [key]);
  return { ...draft.finish(), unused, unknown };
}

/** Settings in the making, which remember where in the file each came from. */
class Draft {
  readonly #root: unknown;
  readonly #what: string;
  /** Setting -> key of the file. */
  readonly #origins = new Map<string, string>();
  readonly #notes: string[] = [];
  #settings: unknown = {};

  constructor(root: unknown, what: string) {
    this.#root = root;
    this.#what = what;
  }

  /** Converts the value under `path` and puts it where it belongs. */
  take(path: string, rule: KeyRule, node: unknown): void {
    const value = resolveReferences(this.#root, node, this.#what, path);
    const context = {
      at: (other: string) =>
        resolveReferences(this.#root, nodeAt(this.#root, other.split('.')), this.#what, other),
      refuse: (text: string): never => {
        throw new FormatError(`${this.#what}: ${path}: ${text}: ${JSON.stringify(value) ?? 'nothing'}`);
      },
      note: (text: string) => void this.#notes.push(`${path}: ${text}`),
    };
    for (const [setting, converted] of Object.entries(rule(value, context))) {
      if (converted === undefined) continue;
      this.#settings = withValue(this.#settings, setting.split('.'), converted);
      this.#origins.set(setting, path);
    }
  }

  /** @throws FormatError naming the key of the file whose value breaks a rule */
  finish(): Pick<ReadConfig, 'config' | 'notes'> {
    const issue = trainConfigIssue(this.#settings);
    if (issue) {
      const path = issue.path.map(String);
      // The nearest setting that came from the file: an issue may lie inside it (an element of a list).
      for (let length = path.length; length > 0; length--) {
        const setting = path.slice(0, length).join('.');
        const origin = this.#origins.get(setting);
        if (origin === undefined) continue;
        throw new FormatError(`${this.#what}: ${origin}${issue.text.slice(setting.length)}`);
      }
      throw new FormatError(`${this.#what}: ${issue.text}`);
    }
    return { config: parseTrainConfig(this.#settings, this.#what), notes: this.#notes };
  }
}

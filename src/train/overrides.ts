/**
 * Single settings by dotted path, `train.lr=1e-3`: what `--set` takes. Values are read as YAML writes them and checked by
 * the same rules as whole files.
 */
import { InputError } from '../core/errors';
import { parseTrainConfig, trainConfigIssue, type TrainConfig } from '../protocol/trainConfig';
import { trainFields } from '../protocol/trainFields';
import { isMapping, parseScalar } from './yamlFile';

const paths = new Set(trainFields.map(({ path }) => path));

/**
 * Settings with one value changed. A part of the moving average, where there is none, starts one.
 * @throws InputError for a path that no setting has, or a value that breaks its rule
 */
export function setTrainField(config: TrainConfig, path: string, value: unknown): TrainConfig {
  if (!paths.has(path)) {
    const last = path.split('.').at(-1) ?? '';
    const near = [...paths].filter(
      (known) => known.split('.').at(-1) === last || known.startsWith(`${path}.`),
    );
    const hint = near.length > 0 ? ` (there is ${near.slice(0, 4).join(', ')})` : '';
    throw new InputError(`--set: a setting of the run, such as train.lr${hint}: ${path}`);
  }
  const changed = withValue(config, path.split('.'), value);
  const issue = trainConfigIssue(changed);
  if (issue) throw new InputError(`--set: ${issue.text}`);
  return parseTrainConfig(changed);
}

/**
 * Settings with `path=value` texts applied in order.
 * @throws InputError for a text without "=", and as setTrainField
 */
export function applyOverrides(config: TrainConfig, overrides: readonly string[]): TrainConfig {
  let result = config;
  for (const override of overrides) {
    const at = override.indexOf('=');
    if (at < 1) throw new InputError(`--set: a path, "=" and a value: ${JSON.stringify(override)}`);
    result = setFromText(result, override.slice(0, at).trim(), override.slice(at + 1).trim());
  }
  return result;
}

/** As a value of YAML where that fits, else as the text that it is: `name=2026` is a name. */
function setFromText(config: TrainConfig, path: string, text: string): TrainConfig {
  const value = parseScalar(text);
  try {
    return setTrainField(config, path, value);
  } catch (thrown) {
    if (typeof value === 'string' || value === null || !paths.has(path)) throw thrown;
    try {
      return setTrainField(config, path, text);
    } catch {
      throw thrown; // the value's own complaint says more than that of its text
    }
  }
}

/** A copy of `node` with one value at `keys`; null on the way becomes an object. */
export function withValue(node: unknown, keys: readonly string[], value: unknown): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  const object = isMapping(node) ? node : {};
  return { ...object, [key]: withValue(object[key], rest, value) };
}

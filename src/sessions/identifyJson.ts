/** A JSON file: a configuration of some model, a tokenizer, a manifest, or JSON of no use here. */
import { FormatError } from '../core/errors';
import { readJson } from '../formats/json';
import { parseManifest } from '../formats/manifest';
import { resolveDitConfig } from '../models/dit/config';
import { parseKlConfig, parseTextConfig } from '../protocol/schemas';
import type { ByteSource } from '../sources/byteSource';
import { configRole } from './identifyParts';
import { identifyTokenizer, isTokenizerJson } from './identifyTokenizer';
import type { Identified } from './identifyTypes';

const configs = {
  dit: {
    words: 'Configuration of a transformer',
    resolve: (name: string, json: object) => resolveDitConfig(json, name),
  },
  vae: { words: 'Configuration of an autoencoder', resolve: parseKlConfig },
  text: { words: 'Configuration of a text tower', resolve: parseTextConfig },
} as const;

/**
 * What a JSON file is.
 * @throws FormatError when it is no JSON, or of a known kind and breaks its rules
 */
export async function identifyJson(
  path: string,
  source: ByteSource,
  signal?: AbortSignal,
): Promise<Identified> {
  const { name, size: bytes } = source;
  const item = (
    kind: 'config' | 'model' | 'other',
    words: string,
    notes: readonly string[] = [],
  ): Identified => ({
    facts: { path, kind, format: 'JSON', words, bytes, notes, problem: null },
    parts: [],
    files: [],
  });
  let json: unknown;
  try {
    json = await readJson(source, signal);
  } catch (error) {
    if (error instanceof FormatError && !/\.json$/i.test(path)) return item('other', 'Text that is no JSON');
    throw error;
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return item('other', 'JSON of no use here');
  if (['dit', 'vae', 'text', 'latent'].every((field) => field in json)) {
    return { ...item('config', 'Manifest of a bundle'), content: parseManifest(name, json) };
  }
  if (isTokenizerJson(json)) {
    const part = identifyTokenizer(name, json, bytes);
    return { ...item('model', part.facts.words), parts: [part] };
  }
  const role = configRole(json);
  if (role === null) return item('other', otherWords(json));
  const { config, notes } = configs[role].resolve(name, json);
  return { ...item('config', configs[role].words, notes), content: config, loose: { role, name, json } };
}

/** What JSON of other programs is, where it says so. */
function otherWords(json: object): string {
  const text = (field: string): string | null => {
    const value = (json as Record<string, unknown>)[field];
    return typeof value === 'string' && value.length < 60 ? value : null;
  };
  if ('_diffusers_version' in json && !('_class_name' in json)) return 'JSON of diffusers, of no use here';
  const kind = text('_class_name') ?? text('model_type') ?? text('tokenizer_class');
  return kind === null ? 'JSON of no use here' : `Settings of ${kind}, of no use here`;
}

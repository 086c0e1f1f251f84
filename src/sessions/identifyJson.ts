/** A JSON file: a configuration of some model, a tokenizer, a manifest, or JSON of no use here. */
import { parseManifest } from '../formats/manifest';
import { resolveDitConfig } from '../models/dit/config';
import { parseKlConfig, parseTextConfig } from '../protocol/schemas';
import { configRole } from './identifyParts';
import { identifyTokenizer, isTokenizerJson } from './identifyTokenizer';
import type { Identified } from './identifyTypes';

const configWords = {
  dit: 'configuration of a transformer',
  vae: 'configuration of an autoencoder',
  text: 'configuration of a text tower',
} as const;

/**
 * What a JSON file is.
 * @throws FormatError when it is of a known kind and breaks its rules
 */
export function identifyJson(path: string, bytes: number, json: unknown): Identified {
  const item = (
    kind: 'config' | 'other',
    words: string,
    content?: object,
    notes: readonly string[] = [],
  ) => ({
    facts: { path, kind, format: 'JSON', words, bytes, notes, problem: null },
    parts: [],
    files: [],
    ...(content && { content }),
  });
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return item('other', 'JSON of no use here');
  if (['dit', 'vae', 'text', 'latent'].every((field) => field in json)) {
    return item('config', 'manifest of a bundle', parseManifest(path, json));
  }
  if (isTokenizerJson(json)) {
    const part = identifyTokenizer(path, json, bytes);
    return {
      ...item('config', part.facts.words),
      facts: { ...item('config', part.facts.words).facts, kind: 'model' },
      parts: [part],
    };
  }
  const role = configRole(json);
  if (role === null) return item('other', 'JSON of no use here');
  const { config, notes } = resolvers[role](path, json);
  return { ...item('config', configWords[role], config, notes), loose: { role, name: path, json } };
}

const resolvers = {
  dit: (name: string, json: object) => resolveDitConfig(json, name),
  vae: parseKlConfig,
  text: parseTextConfig,
} as const;

/**
 * Initial weights of a fresh transformer, as upstream's constructor draws them (specs: initialisation), tensor by tensor.
 *
 * Draws are counter-based: element i of a tensor is a function of (seed, name of the tensor, i) alone. So a tensor can be
 * made in any order and in pieces, and is the same in every model that has a tensor of that name and rule. It is not what
 * torch draws from the same seed.
 *
 * Normals are computed in float64 and rounded to f32. Browsers may differ in the last bit of log, sin and cos, so the
 * same seed may give values one f32 step apart there, rarely; within one they are equal.
 */
import { InternalError } from '../core/errors';
import { elementCount } from '../core/shape';
import { ditLayout, type DitLayout } from '../models/dit/config';
import { ditParameters, type DitParameter } from '../models/dit/parameters';
import { positionEmbedding } from '../models/dit/positions';
import { seedBits } from '../random/generator';
import { philoxInto } from '../random/philox';
import type { DitConfig } from '../protocol/schemas';

/** How a tensor begins. `bound`: uniform from -bound to bound; `std` of a normal with mean 0. */
export type InitRule =
  | { readonly kind: 'constant'; readonly value: 0 | 1 }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'positions' };

/** Normals beyond this many standard deviations are drawn again: torch's float32 draw ends there too. */
export const normalCut = 5.295;

const zero: InitRule = { kind: 'constant', value: 0 };
const one: InitRule = { kind: 'constant', value: 1 };
const std = 0.02;
const normal: InitRule = { kind: 'normal', std };

/** Layers that begin at nothing: the model starts as an identity with cross-attention. */
const zeroed =
  /(^|\.)adaLN_modulation\.1\.|^final_layer\.linear\.|^y_emb_preprocess\.(attn\.proj|mlp\.w3)\.|^mask_token$/;
const embedders = /^(t_embedder\.mlp\.[02]|pooled_y_emb_process\.fc[12]|y_embedder\.y_proj\.fc[12])\.weight$/;
const blockName = /^(blocks|patch_mixer)\.(\d+)\.(.+)$/;
/** Of a block: what reads its input. Its other matrices write to the residual stream or the inside of a feed-forward. */
const blockInputs = /^(attn\.qkv|cross_attn\.q_linear|cross_attn\.kv_linear|mlp\.w1|mlp\.gate)(\.weight)?$/;

/** How a tensor of a configuration begins. */
export function initRule(config: DitConfig, { name, role, shape }: DitParameter): InitRule {
  if (name === 'pos_embed') return { kind: 'positions' };
  if (zeroed.test(name)) return zero;
  if (role === 'norm') return one;
  if (name === 'x_embedder.proj.bias')
    return { kind: 'uniform', bound: 1 / Math.sqrt(config.in_channels * config.patch_size ** 2) };
  if (role === 'bias') return zero;
  const [out = 1] = shape;
  const into = elementCount(shape) / out;
  const block = blockName.exec(name);
  if (block) {
    const [, stack, index, rest = ''] = block;
    if (blockInputs.test(rest)) return normal;
    const depth = stack === 'blocks' && config.depth_init ? Number(index) + 1 : config.depth;
    return { kind: 'normal', std: std / Math.sqrt(2 * depth) };
  }
  if (embedders.test(name) || name.startsWith('y_emb_preprocess.')) return normal;
  return { kind: 'uniform', bound: Math.sqrt(6 / (into + out)) };
}

/** 64 bits of a tensor's name (FNV-1a), low word first: half of the counter. */
function nameWords(name: string): readonly [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

/**
 * Elements `from`, `from` + 1, ... of the tensor `name`, into `out`. Four of them share the words of the counter
 * (i / 4, attempt, hash of the name) under the seed as key; a normal beyond the cut takes those of the next attempt.
 * @throws InputError for a seed out of range
 */
export function drawInitial(
  out: Float32Array,
  rule: Extract<InitRule, { kind: 'uniform' | 'normal' }>,
  seed: bigint,
  name: string,
  from = 0,
): void {
  const bits = seedBits(seed);
  const key0 = Number(bits & 0xffffffffn);
  const key1 = Number(bits >> 32n);
  const [hash0, hash1] = nameWords(name);
  const words = new Uint32Array(4);
  const wordsOf = (group: number, attempt: number): void =>
    philoxInto(words, 0, group, attempt, hash0, hash1, key0, key1);
  const end = from + out.length;
  for (let group = Math.floor(from / 4); group * 4 < end; group++) {
    wordsOf(group, 0);
    const first = group * 4;
    for (let lane = 0; lane < 4; lane++) {
      const at = first + lane - from;
      if (at < 0 || at >= out.length) continue;
      if (rule.kind === 'uniform') {
        out[at] = (2 * unitOf(words[lane]!) - 1) * rule.bound;
        continue;
      }
      let value = normalOf(words, lane);
      for (let attempt = 1; Math.abs(value) > normalCut; attempt++) {
        wordsOf(group, attempt);
        value = normalOf(words, lane);
        wordsOf(group, 0);
      }
      out[at] = value * rule.std;
    }
  }
}

/** A word as a number inside (0, 1). */
const unitOf = (word: number): number => (word + 0.5) * 2 ** -32;

/** Box-Muller: lanes 0 and 1 are cosine and sine of the first two words, 2 and 3 of the others. */
function normalOf(words: Uint32Array, lane: number): number {
  const pair = lane & 2;
  const radius = Math.sqrt(-2 * Math.log(unitOf(words[pair]!)));
  const angle = 2 * Math.PI * unitOf(words[pair + 1]!);
  return radius * (lane & 1 ? Math.sin(angle) : Math.cos(angle));
}

/** Whose values: everything that a tensor's beginning depends on. */
export interface InitialSource {
  readonly config: DitConfig;
  readonly seed: bigint;
}

/**
 * Initial values of one tensor, in the file's order.
 * @param from first element, default 0
 * @param count elements, default to the end
 * @throws InputError for a seed out of range
 */
export function initialValues(
  { config, seed }: InitialSource,
  spec: DitParameter,
  from = 0,
  count = elementCount(spec.shape) - from,
): Float32Array<ArrayBuffer> {
  const size = elementCount(spec.shape);
  if (!(from >= 0 && count >= 0 && from + count <= size)) {
    throw new InternalError(`initial values: ${spec.name} has ${size}: ${count} from ${from} were asked for`);
  }
  const rule = initRule(config, spec);
  if (rule.kind === 'positions') {
    const { grid, dim, posScale }: DitLayout = ditLayout(config);
    return positionEmbedding(grid, dim, posScale).slice(from, from + count);
  }
  const out = new Float32Array(count);
  if (rule.kind === 'constant') out.fill(rule.value);
  else drawInitial(out, rule, seed, spec.name, from);
  return out;
}

/** One tensor of a fresh model. */
export interface InitialTensor {
  readonly spec: DitParameter;
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * A fresh model, buffers included, tensor by tensor in the order of upstream's state_dict: only one is in memory.
 * @throws InputError for a seed out of range
 */
export function* initialWeights(source: InitialSource): Generator<InitialTensor> {
  for (const spec of ditParameters(source.config)) yield { spec, values: initialValues(source, spec) };
}

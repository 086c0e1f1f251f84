/**
 * The CLIP text tower as MicroDiT uses it: hidden states of every position after ln_final; no pooling, no projection, no
 * mask for padding (upstream's DiT reads the padding positions too).
 *
 *   x = token_embedding[id] + positional_embedding
 *   x += out_proj(causal attention(ln_1 x));  x += c_proj(act(c_fc(ln_2 x)))    per layer
 *   ln_final(x)
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { add } from '../../ops/add';
import { attention } from '../../ops/attention';
import { gatherRows } from '../../ops/gatherRows';
import { layerNorm } from '../../ops/layerNorm';
import { linear } from '../../ops/linear';
import { splitColumns } from '../../ops/splitColumns';
import { reshape } from '../../ops/view';
import type { TextConfig } from '../../protocol/schemas';
import type { ParameterSpec, ParameterUse } from '../parameters';
import { scoped, type Tap, type Weights } from '../weights';

/**
 * Every tensor of the tower in open_clip's names and order; aliases are Hugging Face's. in_proj is stored in one piece
 * by open_clip and in three by Hugging Face.
 */
export function textParameters(config: TextConfig): ParameterSpec[] {
  const { width, vocab, context, layers } = config;
  const hidden = width * config.mlpRatio;
  const specs: ParameterSpec[] = [];
  const row = (name: string, shape: readonly number[], ...aliases: string[]): void => {
    specs.push({ name, shape, layout: 'plain', ...(aliases.length > 0 ? { aliases } : {}) });
  };
  const embedding = (name: string, use: ParameterUse, count: number, alias: string): void => {
    const aliases = [`text_model.embeddings.${alias}.weight`];
    specs.push({ name, shape: [count, width], layout: 'plain', use, aliases });
  };
  embedding('token_embedding.weight', 'rows', vocab, 'token_embedding');
  embedding('positional_embedding', 'positions', context, 'position_embedding');
  for (let i = 0; i < layers; i++) {
    const name = `transformer.resblocks.${i}`;
    const hf = `text_model.encoder.layers.${i}`;
    const norm = (ours: string, theirs: string): void => {
      row(`${name}.${ours}.weight`, [width], `${hf}.${theirs}.weight`);
      row(`${name}.${ours}.bias`, [width], `${hf}.${theirs}.bias`);
    };
    const thirds = (kind: string): readonly string[] =>
      ['q', 'k', 'v'].map((part) => `${hf}.self_attn.${part}_proj.${kind}`);
    norm('ln_1', 'layer_norm1');
    specs.push({
      name: `${name}.attn.in_proj_weight`,
      shape: [3 * width, width],
      layout: 'plain',
      stacked: thirds('weight'),
    });
    specs.push({
      name: `${name}.attn.in_proj_bias`,
      shape: [3 * width],
      layout: 'plain',
      stacked: thirds('bias'),
    });
    row(`${name}.attn.out_proj.weight`, [width, width], `${hf}.self_attn.out_proj.weight`);
    row(`${name}.attn.out_proj.bias`, [width], `${hf}.self_attn.out_proj.bias`);
    norm('ln_2', 'layer_norm2');
    row(`${name}.mlp.c_fc.weight`, [hidden, width], `${hf}.mlp.fc1.weight`);
    row(`${name}.mlp.c_fc.bias`, [hidden], `${hf}.mlp.fc1.bias`);
    row(`${name}.mlp.c_proj.weight`, [width, hidden], `${hf}.mlp.fc2.weight`);
    row(`${name}.mlp.c_proj.bias`, [width], `${hf}.mlp.fc2.bias`);
  }
  row('ln_final.weight', [width], 'text_model.final_layer_norm.weight');
  row('ln_final.bias', [width], 'text_model.final_layer_norm.bias');
  return specs;
}

/** ids u32 [N, L] to hidden states [N, L, width]. */
export function textTower(
  graph: Graph,
  weights: Weights,
  config: TextConfig,
  ids: Tensor,
  tap?: Tap,
): Tensor {
  const { width, heads, eps } = config;
  const [samples, length] = [ids.dim(0), ids.dim(1)];
  const flat = reshape(graph, ids, [samples * length]);
  const tokens = gatherRows(graph, weights('token_embedding.weight'), flat);
  let x = add(graph, reshape(graph, tokens, [samples, length, width]), weights('positional_embedding'));
  tap?.('embedded', x);
  for (let i = 0; i < config.layers; i++) {
    x = scoped(graph, weights, `transformer.resblocks.${i}`, (w) => {
      const h1 = layerNorm(graph, x, { weight: w('ln_1.weight'), bias: w('ln_1.bias'), eps });
      const qkv = linear(graph, h1, w('attn.in_proj_weight'), { bias: w('attn.in_proj_bias') });
      const part = { width, normalize: false };
      const [q, k, v] = splitColumns(graph, qkv, [part, part, part], eps);
      const o = attention(graph, q!, k!, v!, { heads, causal: true });
      const y = linear(graph, o, w('attn.out_proj.weight'), { bias: w('attn.out_proj.bias'), residual: x });
      const h2 = layerNorm(graph, y, { weight: w('ln_2.weight'), bias: w('ln_2.bias'), eps });
      const hidden = linear(graph, h2, w('mlp.c_fc.weight'), {
        bias: w('mlp.c_fc.bias'),
        act: config.act === 'quick_gelu' ? 'quick_gelu' : 'gelu_erf',
      });
      return linear(graph, hidden, w('mlp.c_proj.weight'), { bias: w('mlp.c_proj.bias'), residual: y });
    });
    tap?.(`block.${i}`, x);
  }
  return layerNorm(graph, x, { weight: weights('ln_final.weight'), bias: weights('ln_final.bias'), eps });
}

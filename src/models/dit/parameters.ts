/**
 * Every tensor of the diffusion transformer in the order of upstream's state_dict: two buffers, then the parameters.
 * Linear weights are [out, in]; experts are [E, in, out], as upstream multiplies them from the right.
 */
import type { Shape } from '../../core/shape';
import type { DitConfig } from '../../protocol/schemas';
import type { ParameterSpec, ParameterUse } from '../parameters';
import type { BlockLayout } from './config';
import { ditLayout } from './config';

/**
 * What a tensor is: `buffer` is saved but not trained, `linear` the weight of a matrix product (the router's gate
 * among them), `bias`, `norm` a layer norm's weight, `patch` the patch embedding's convolution, `expert` one of the two
 * weights of all experts.
 */
export type DitRole = 'buffer' | 'linear' | 'bias' | 'norm' | 'patch' | 'expert';

/** What reads tensors of a role, where that is not an ordinary product. */
const usesOfRoles: Partial<Record<DitRole, ParameterUse>> = { buffer: 'positions', expert: 'experts' };

/** One tensor of the transformer. */
export interface DitParameter extends ParameterSpec {
  readonly role: DitRole;
}

/** Channels of the sinusoidal time embedding. */
export const timeChannels = 512;

/** The table of a configuration. */
export function ditParameters(config: DitConfig): DitParameter[] {
  const layout = ditLayout(config);
  const { dim: width, channels, patchValues, captionHidden, mixerDim } = layout;
  const rows: DitParameter[] = [];
  const add = (name: string, role: DitRole, ...shape: Shape): void => {
    const use = usesOfRoles[role];
    rows.push({ name, shape, layout: 'plain', role, ...(use ? { use } : {}) });
  };
  /** A linear layer with a bias. */
  const affine = (name: string, out: number, into: number): void => {
    add(`${name}.weight`, 'linear', out, into);
    add(`${name}.bias`, 'bias', out);
  };
  const linear = (name: string, out: number, into: number): void =>
    add(`${name}.weight`, 'linear', out, into);
  const norm = (name: string, of: number): void => add(`${name}.weight`, 'norm', of);
  const gated = (name: string, of: number, hidden: number): void => {
    linear(`${name}.w1`, hidden, of);
    linear(`${name}.w2`, hidden, of);
    linear(`${name}.w3`, of, hidden);
  };
  const block = (b: BlockLayout): void => {
    norm(`${b.name}.norm1`, b.width);
    linear(`${b.name}.attn.qkv`, 3 * b.qkv, b.width);
    linear(`${b.name}.attn.proj`, b.width, b.qkv);
    linear(`${b.name}.cross_attn.q_linear`, b.width, b.width);
    linear(`${b.name}.cross_attn.kv_linear`, 2 * b.width, b.width);
    linear(`${b.name}.cross_attn.proj`, b.width, b.width);
    norm(`${b.name}.norm2`, b.width);
    norm(`${b.name}.norm3`, b.width);
    if (b.kind === 'dense') gated(`${b.name}.mlp`, b.width, b.hidden);
    else {
      add(`${b.name}.mlp.w1`, 'expert', config.num_experts, b.width, b.hidden);
      add(`${b.name}.mlp.w2`, 'expert', config.num_experts, b.hidden, b.width);
      const gate = { name: `${b.name}.mlp.gate.weight`, shape: [config.num_experts, b.width] };
      rows.push({ ...gate, layout: 'plain', role: 'linear', use: 'router' });
    }
    affine(`${b.name}.adaLN_modulation.1`, 6 * b.width, width); // the condition has the backbone's width everywhere
  };
  /** Norm and linear between the widths of backbone and mixer. */
  const map = (name: string, out: number, into: number): void => {
    norm(`${name}.0`, into);
    linear(`${name}.1`, out, into);
  };

  add('pos_embed', 'buffer', 1, layout.tokens, width);
  add('mask_token', 'buffer', 1, 1, patchValues);
  add('x_embedder.proj.weight', 'patch', width, channels, config.patch_size, config.patch_size);
  add('x_embedder.proj.bias', 'bias', width);
  affine('t_embedder.mlp.0', width, timeChannels);
  affine('t_embedder.mlp.2', width, width);
  affine('y_embedder.y_proj.fc1', width, config.caption_channels);
  norm('y_embedder.y_proj.norm', width);
  affine('y_embedder.y_proj.fc2', width, width);
  norm('y_emb_preprocess.norm1', width);
  linear('y_emb_preprocess.attn.qkv', 3 * width, width);
  linear('y_emb_preprocess.attn.proj', width, width);
  norm('y_emb_preprocess.norm2', width);
  gated('y_emb_preprocess.mlp', width, captionHidden);
  affine('pooled_y_emb_process.fc1', width, width);
  norm('pooled_y_emb_process.norm', width);
  affine('pooled_y_emb_process.fc2', width, width);
  layout.mixer.forEach(block);
  if (layout.mixerMaps) {
    map('patch_mixer_map_xin', mixerDim, width);
    map('patch_mixer_map_xout', width, mixerDim);
    map('patch_mixer_map_y', mixerDim, width);
  }
  layout.blocks.forEach(block);
  affine('final_layer.linear', patchValues, width);
  affine('final_layer.adaLN_modulation.1', 2 * width, width);
  norm('final_layer.norm_final', width);
  return rows;
}

/** The trained tensors only: the table without its buffers. */
export function trainedParameters(config: DitConfig): DitParameter[] {
  return ditParameters(config).filter(({ role }) => role !== 'buffer');
}

import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { elementCount } from '../../src/core/shape';
import type { DitArch } from '../../src/models/dit/config';
import { ditLayout, linspace, namedDitConfig, resolveDitConfig } from '../../src/models/dit/config';
import { ditParameters, trainedParameters } from '../../src/models/dit/parameters';
import { parameterCount } from '../../src/models/parameters';

/** Attention width, heads, kind and hidden width of every block, mixer first: recorded from the constructed models. */
const sizes: Record<DitArch, string> = {
  MicroDiT_Tiny_2:
    '512 16 dense 1536, 512 16 moe 2048, 512 16 dense 1536, 512 16 moe 2048, 256 8 dense 256, 320 10 moe 512, ' +
    '320 10 dense 512, 320 10 moe 768, 384 12 dense 512, 384 12 moe 1024, 384 12 dense 768, 384 12 moe 1280, ' +
    '448 14 dense 1024, 448 14 moe 1536, 448 14 dense 1024, 448 14 moe 1792, 512 16 dense 1280, 512 16 moe 2048, ' +
    '512 16 dense 1536, 512 16 dense 1536',
  MicroDiT_XL_2:
    '768 12 dense 2048, 768 12 moe 3072, 768 12 dense 2048, 768 12 moe 3072, 768 12 dense 2048, 768 12 moe 3072, ' +
    '512 8 dense 512, 640 10 moe 768, 640 10 dense 768, 640 10 moe 1024, 640 10 dense 768, 640 10 moe 1280, ' +
    '640 10 dense 1024, 768 12 moe 1536, 768 12 dense 1280, 768 12 moe 1792, 768 12 dense 1280, 768 12 moe 2048, ' +
    '768 12 dense 1536, 768 12 moe 2304, 896 14 dense 1792, 896 14 moe 2560, 896 14 dense 1792, 896 14 moe 2816, ' +
    '896 14 dense 2048, 896 14 moe 3072, 896 14 dense 2304, 1024 16 moe 3328, 1024 16 dense 2304, 1024 16 moe 3584, ' +
    '1024 16 dense 2560, 1024 16 moe 3840, 1024 16 dense 2816, 1024 16 dense 2816',
};

describe('named transformers', () => {
  it.each(Object.entries(sizes))('%s: the size of every block', (arch, expected) => {
    const layout = ditLayout(namedDitConfig(arch as DitArch));
    const blocks = [...layout.mixer, ...layout.blocks];
    expect(blocks.map((b) => `${b.qkv} ${b.heads} ${b.kind} ${b.hidden}`).join(', ')).toBe(expected);
    expect(blocks.map((b) => b.name).slice(0, 2)).toEqual(['patch_mixer.0', 'patch_mixer.1']);
    expect(layout.blocks.map((b) => b.width).every((width) => width === layout.dim)).toBe(true);
    expect(layout.mixer[0]?.crossHeads).toBe(layout.mixerDim / layout.headDim);
  });

  it('have the parameters of the released models', () => {
    const count = (arch: DitArch, in_channels: number): number =>
      parameterCount(trainedParameters(namedDitConfig(arch, { in_channels })));
    expect(count('MicroDiT_Tiny_2', 4)).toBe(200_692_752);
    expect(count('MicroDiT_Tiny_2', 16)).toBe(200_741_952);
    expect(count('MicroDiT_XL_2', 4)).toBe(1_165_442_320);
    expect(count('MicroDiT_XL_2', 16)).toBe(1_165_540_672);
    const experts = (arch: DitArch): number =>
      parameterCount(trainedParameters(namedDitConfig(arch)).filter(({ role }) => role === 'expert'));
    expect(experts('MicroDiT_Tiny_2')).toBe(106_954_752);
    expect(experts('MicroDiT_XL_2')).toBe(603_979_776);
  });

  it('have them in these groups', () => {
    const groups = (arch: DitArch): Record<string, number> => {
      const sums: Record<string, number> = {};
      for (const { name, shape } of trainedParameters(namedDitConfig(arch))) {
        const group = name.split('.')[0] ?? '';
        sums[group] = (sums[group] ?? 0) + elementCount(shape);
      }
      return sums;
    };
    expect(groups('MicroDiT_Tiny_2')).toEqual({
      ...{ x_embedder: 8704, t_embedder: 525_312, y_embedder: 787_968, y_emb_preprocess: 3_408_896 },
      ...{
        pooled_y_emb_process: 525_824,
        patch_mixer: 52_979_712,
        blocks: 141_922_304,
        final_layer: 534_032,
      },
    });
    expect(groups('MicroDiT_XL_2')).toEqual({
      ...{ x_embedder: 17_408, t_embedder: 1_574_912, y_embedder: 2_100_224, y_emb_preprocess: 12_847_104 },
      ...{ pooled_y_emb_process: 2_100_224, patch_mixer: 184_084_992, patch_mixer_map_xin: 787_456 },
      ...{
        patch_mixer_map_xout: 787_200,
        patch_mixer_map_y: 787_456,
        blocks: 958_238_720,
        final_layer: 2_116_624,
      },
    });
  });

  it('list tensors in upstream order', () => {
    const tiny = ditParameters(namedDitConfig('MicroDiT_Tiny_2'));
    expect(tiny.length).toBe(290);
    expect(tiny.slice(0, 4).map(({ name, shape, role }) => [name, shape, role])).toEqual([
      ['pos_embed', [1, 256, 512], 'buffer'],
      ['mask_token', [1, 1, 16], 'buffer'],
      ['x_embedder.proj.weight', [512, 4, 2, 2], 'patch'],
      ['x_embedder.proj.bias', [512], 'bias'],
    ]);
    const block = tiny.filter(({ name }) => name.startsWith('blocks.1.'));
    expect(block.map(({ name, shape }) => [name.slice(9), ...shape].join(' '))).toEqual([
      'norm1.weight 512',
      'attn.qkv.weight 960 512',
      'attn.proj.weight 512 320',
      'cross_attn.q_linear.weight 512 512',
      'cross_attn.kv_linear.weight 1024 512',
      'cross_attn.proj.weight 512 512',
      'norm2.weight 512',
      'norm3.weight 512',
      'mlp.w1 8 512 512',
      'mlp.w2 8 512 512',
      'mlp.gate.weight 8 512',
      'adaLN_modulation.1.weight 3072 512',
      'adaLN_modulation.1.bias 3072',
    ]);
    const xl = ditParameters(namedDitConfig('MicroDiT_XL_2', { input_size: 64 }));
    expect(xl.length).toBe(478);
    expect(xl[0]?.shape).toEqual([1, 1024, 1024]);
    expect(xl.find(({ name }) => name === 'blocks.25.mlp.w1')?.shape).toEqual([8, 1024, 3840]);
    expect(xl.at(-1)?.name).toBe('final_layer.norm_final.weight');
  });
});

describe('resolveDitConfig', () => {
  const small = {
    ...{ input_size: 8, patch_size: 2, in_channels: 4, dim: 64, depth: 4, head_dim: 16, multiple_of: 32 },
    ...{ caption_channels: 32, qkv_multipliers: [0.5, 1], ffn_multipliers: [0.5, 4], use_bias: false },
    ...{ patch_mixer_depth: 2, patch_mixer_dim: 48, num_experts: 4, expert_capacity: 2, experts_every_n: 2 },
  };

  it('completes from the constructor defaults and spreads multipliers', () => {
    const { config, notes } = resolveDitConfig(small);
    expect(config).toEqual({
      ...small,
      qkv_multipliers: [0.5, 0.5, 1, 1],
      ffn_multipliers: [0.5, 0.5, 4, 4],
      ...{ pos_interp_scale: 1, norm_eps: 1e-6, depth_init: true, use_patch_mixer: true },
      ...{ patch_mixer_qkv_ratio: 1, patch_mixer_mlp_ratio: 1 },
    });
    expect(notes).toEqual([]);
    expect(resolveDitConfig(config)).toEqual({ config, notes: [] });
    expect(resolveDitConfig({ config })).toEqual({ config, notes: [] });
  });

  it('takes named models with overrides, and their ranges', () => {
    const { config } = resolveDitConfig({
      arch: 'MicroDiT_XL_2',
      input_size: 64,
      pos_interp_scale: 2,
      in_channels: 16,
    });
    expect(config).toEqual(
      namedDitConfig('MicroDiT_XL_2', { input_size: 64, pos_interp_scale: 2, in_channels: 16 }),
    );
    expect([config.input_size, config.pos_interp_scale, config.dim, config.depth]).toEqual([64, 2, 1024, 28]);
    const narrow = resolveDitConfig({
      config: { arch: 'MicroDiT_Tiny_2', qkv_ratio: [1, 1], mlp_ratio: [2, 2] },
    }).config;
    expect(new Set([...narrow.qkv_multipliers, ...narrow.ffn_multipliers])).toEqual(new Set([1, 2]));
    const shallow = resolveDitConfig({ arch: 'MicroDiT_Tiny_2', depth: 4 }).config;
    expect(shallow.qkv_multipliers).toEqual(linspace(0.5, 1, 4));
  });

  it('notes fields that it does not know', () => {
    expect(resolveDitConfig({ ...small, caption_length: 7, xyz: 1 }, 'dit.json').notes).toEqual([
      'dit.json: fields that are not known and not used: caption_length, xyz',
    ]);
  });

  const refused: [string, Record<string, unknown>, string][] = [
    ['not a size', { dim: 64.5 }, 'dit.json: dim: '],
    ['a wrong type', { depth: '4' }, 'dit.json: depth: expected number, received string: "4"'],
    ['another patch', { patch_size: 4 }, 'dit.json: patch_size: must be 2: 4'],
    ['biases', { use_bias: true }, 'dit.json: use_bias: must be false'],
    ['upstream default of biases', { use_bias: undefined }, 'dit.json: use_bias: must be false'],
    ['no mixer', { use_patch_mixer: false }, 'dit.json: use_patch_mixer: must be true'],
    ['an unknown name', { arch: 'MicroDiT_S_2' }, 'dit.json: arch: '],
    [
      'uneven multipliers',
      { qkv_multipliers: [1, 1, 1], ffn_multipliers: [1, 1, 1] },
      'depth 4 or a divisor of it: 3 and 3',
    ],
    ['different counts', { ffn_multipliers: [1] }, '2 and 1'],
    ['width and heads', { dim: 72 }, 'dim: must be a multiple of head_dim 16: 72'],
    ['mixer and heads', { patch_mixer_dim: 50 }, 'patch_mixer_dim: must be a multiple of head_dim 16: 50'],
    ['odd input', { input_size: 9 }, 'input_size: must be a multiple of patch_size 2: 9'],
    [
      'nothing left',
      { ffn_multipliers: [0.001, 1] },
      'blocks.0: its multipliers must leave at least one channel',
    ],
    ['negative', { expert_capacity: -1 }, 'dit.json: expert_capacity: '],
  ];
  it.each(refused)('refuses %s', (_, change, message) => {
    const resolve = (): unknown => resolveDitConfig({ ...small, ...change }, 'dit.json');
    expect(resolve).toThrow(FormatError);
    expect(resolve).toThrow(message);
  });

  it('refuses what is no configuration', () => {
    expect(() => resolveDitConfig([], 'x')).toThrow('x: the file: expected object');
    expect(() => resolveDitConfig(null, 'x')).toThrow(FormatError);
  });

  it('spaces multipliers as numpy does', () => {
    expect(linspace(0.5, 4, 4)).toEqual([0.5, 1.6666666666666667, 2.8333333333333335, 4]);
    expect(linspace(0.5, 4, 1)).toEqual([0.5]);
    expect(linspace(0.5, 1, 28)[27]).toBe(1);
    // int() cuts these: a last-digit difference would change a width.
    expect(linspace(0.5, 1, 16).map((ratio) => Math.trunc(512 * ratio))).toEqual([
      256, 273, 290, 307, 324, 341, 358, 375, 392, 409, 426, 443, 460, 477, 494, 512,
    ]);
  });
});

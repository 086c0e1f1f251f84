/**
 * Weight files of models that this program does not run, by the names of their tensors: so that whoever drops one reads
 * what it is and what would serve instead.
 */
import { prefixesOf, type FoundModel, type TensorShapes } from './recognise';

/** A known model that is not supported. */
export interface OtherModel {
  /** "a T5 text encoder" */
  readonly words: string;
  /** What is supported in its place, as a sentence's end. */
  readonly instead: string;
}

interface OtherMark {
  readonly words: string | ((tensors: TensorShapes, prefix: string) => string | null);
  readonly instead: string;
  /** Names that all stand under one prefix, or a pattern that any name may have. */
  readonly names: readonly string[] | RegExp;
}

const dits = 'transformers must be MicroDiT: VSehwag24/MicroDiT has the released ones in ckpts/';
const towers =
  'text towers must be CLIP as MicroDiT takes it: apple/DFN5B-CLIP-ViT-H-14-378, open_clip_pytorch_model.bin';
const autoencoders =
  'autoencoders must be AutoencoderKL as diffusers saves it (a folder vae with diffusion_pytorch_model.safetensors and config.json) or TAESD';

/** Cross-attention width of the text encoder that a U-Net was made for. */
const unets: ReadonlyMap<number, string> = new Map([
  [768, 'Stable Diffusion 1'],
  [1024, 'Stable Diffusion 2'],
  [2048, 'Stable Diffusion XL'],
]);

const unetWords =
  (...keys: readonly string[]) =>
  (tensors: TensorShapes, prefix: string): string => {
    const width = keys
      .map((key) => tensors.get(prefix + key)?.shape[1])
      .find((extent) => extent !== undefined);
    const name = width === undefined ? undefined : unets.get(width);
    return `a U-Net of ${name ?? 'Stable Diffusion'}`;
  };

/** Tried in this order. */
const marks: readonly OtherMark[] = [
  {
    names: /(^|\.)(lora_(down|up|A|B|unet|te\d?)|hada_w\d_a|lokr_w\d)(\b|_|\.)/,
    words: 'a LoRA',
    instead: 'low-rank changes to a model are not read, only whole models are',
  },
  {
    names: ['model.diffusion_model.input_blocks.0.0.weight'],
    words: (tensors, prefix) =>
      `a whole checkpoint with ${unetWords(
        'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight',
        'model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight',
      )(tensors, prefix)}`,
    instead: dits,
  },
  {
    names: ['input_blocks.0.0.weight', 'time_embed.0.weight'],
    words: unetWords(
      'input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight',
      'input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight',
    ),
    instead: dits,
  },
  {
    names: ['controlnet_cond_embedding.conv_in.weight'],
    words: 'a ControlNet',
    instead: 'controls beside the prompt are not supported',
  },
  {
    names: [
      'conv_in.weight',
      'time_embedding.linear_1.weight',
      'down_blocks.0.resnets.0.time_emb_proj.weight',
    ],
    words: unetWords(
      'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight',
      'down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight',
    ),
    instead: dits,
  },
  {
    names: ['double_blocks.0.img_attn.qkv.weight'],
    words: 'a FLUX transformer',
    instead: dits,
  },
  {
    names: ['single_transformer_blocks.0.attn.to_q.weight'],
    words: 'a FLUX transformer',
    instead: dits,
  },
  {
    names: ['joint_blocks.0.x_block.attn.qkv.weight'],
    words: 'a Stable Diffusion 3 transformer',
    instead: dits,
  },
  {
    names: ['transformer_blocks.0.attn.add_k_proj.weight', 'pos_embed.proj.weight'],
    words: 'a Stable Diffusion 3 transformer',
    instead: dits,
  },
  { names: ['adaln_single.linear.weight'], words: 'a PixArt transformer', instead: dits },
  { names: ['t_block.1.weight', 'x_embedder.proj.weight'], words: 'a PixArt transformer', instead: dits },
  {
    names: ['x_embedder.proj.weight', 'final_layer.linear.weight'],
    words: 'a diffusion transformer other than MicroDiT',
    instead: dits,
  },
  {
    names: ['transformer_blocks.0.attn1.to_q.weight', 'proj_out.weight'],
    words: 'a diffusion transformer other than MicroDiT',
    instead: dits,
  },
  {
    names: ['encoder.block.0.layer.0.SelfAttention.q.weight'],
    words: (tensors, prefix) => {
      const width = tensors.get(`${prefix}encoder.block.0.layer.0.SelfAttention.q.weight`)?.shape[1];
      return width === 4096
        ? 'a T5 text encoder 4096 wide, as DeepFloyd/t5-v1_1-xxl'
        : `a T5 text encoder ${width ?? 0} wide`;
    },
    instead: `T5 is not supported: ${towers}`,
  },
  {
    names: ['text_model.embeddings.token_embedding.weight', 'text_model.final_layer_norm.weight'],
    words: stableDiffusionTower,
    instead: `Stable Diffusion's text encoders are not supported, as their prompts are padded in another way: ${towers}`,
  },
  {
    names: ['encoder.down.0.block.0.norm1.weight'],
    words: "an autoencoder in the original Stable Diffusion's naming",
    instead: autoencoders,
  },
  {
    names: ['decoder.up.0.block.0.norm1.weight'],
    words: "an autoencoder in the original Stable Diffusion's naming",
    instead: autoencoders,
  },
  {
    names: /(^|\.)(visual\.conv1\.weight|vision_model\.embeddings\.patch_embedding\.weight)$/,
    words: "a CLIP image tower without the text's",
    instead: towers,
  },
  {
    names: /(^|\.)(string_to_param\.|emb_params$)/,
    words: 'a textual inversion',
    instead: 'learned words are not supported',
  },
  {
    names: ['model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight'],
    words: 'a language model',
    instead: towers,
  },
  {
    names: /(^|\.)exp_avg(_sq)?(\.|$)/,
    words: "an optimizer's state without its model",
    instead: 'take the file with the model (of a Composer run: ep*-ba*-rank0.pt whole)',
  },
];

/** Whether a text tower is one of Stable Diffusion's, which are not run although their layers are CLIP's. */
export function isForeignTower(tensors: TensorShapes, { kind, prefix }: FoundModel): boolean {
  return kind === 'clip-text' && stableDiffusionTower(tensors, prefix) !== null;
}

/** Text encoders of Stable Diffusion in Hugging Face's names, by width and number of layers; null for other towers. */
function stableDiffusionTower(tensors: TensorShapes, prefix: string): string | null {
  const width = tensors.get(`${prefix}text_model.embeddings.token_embedding.weight`)?.shape[1] ?? 0;
  const has = (layer: number): boolean =>
    tensors.has(`${prefix}text_model.encoder.layers.${layer}.layer_norm1.weight`);
  if (width === 768 && has(11) && !has(12)) {
    return 'a CLIP text tower 768 wide with 12 layers (CLIP ViT-L/14), as Stable Diffusion 1 and XL have';
  }
  if (width === 1024 && has(22) && !has(23)) {
    return 'a CLIP text tower 1024 wide with 23 layers (of OpenCLIP ViT-H), as Stable Diffusion 2 has';
  }
  if (width === 1280 && has(31) && !has(32)) {
    return 'a CLIP text tower 1280 wide with 32 layers (OpenCLIP ViT-bigG), as Stable Diffusion XL has';
  }
  return null;
}

/** What a file is that this program does not run; null when it is not known either. */
export function nameOther(tensors: TensorShapes): OtherModel | null {
  for (const { names, words, instead } of marks) {
    const prefix =
      names instanceof RegExp
        ? [...tensors.keys()].some((name) => names.test(name))
          ? ''
          : undefined
        : prefixesOf(tensors, names)[0];
    if (prefix === undefined) continue;
    const text = typeof words === 'string' ? words : words(tensors, prefix);
    if (text !== null) return { words: text, instead };
  }
  return null;
}

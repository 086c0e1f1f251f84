/** Published files that make a model, and where they lie. Shown as text and links; nothing is fetched. */
import type { Role } from '../../../protocol/library';

export interface ReleasedFile {
  readonly role: Role;
  readonly what: string;
  /** On huggingface.co. */
  readonly repository: string;
  /** Paths inside the repository; the first is the weights. */
  readonly files: readonly string[];
  /** Of the weights. */
  readonly bytes: number;
}

const huggingFace = 'https://huggingface.co/';

export const releasedFiles: readonly ReleasedFile[] = [
  {
    role: 'dit',
    what: 'MicroDiT for 512 px, 4 latent channels',
    repository: 'VSehwag24/MicroDiT',
    files: ['ckpts/dit_4_channel_37M_real_and_synthetic_data.pt'],
    bytes: 4.67e9,
  },
  {
    role: 'dit',
    what: 'MicroDiT for 512 px, 16 latent channels',
    repository: 'VSehwag24/MicroDiT',
    files: ['ckpts/dit_16_channel_37M_real_and_synthetic_data.pt'],
    bytes: 4.67e9,
  },
  {
    role: 'vae',
    what: 'SDXL’s autoencoder, for 4 latent channels',
    repository: 'stabilityai/stable-diffusion-xl-base-1.0',
    files: ['vae/diffusion_pytorch_model.safetensors', 'vae/config.json'],
    bytes: 335e6,
  },
  {
    role: 'vae',
    what: 'Ostris’ autoencoder, for 16 latent channels',
    repository: 'ostris/vae-kl-f8-d16',
    files: ['diffusion_pytorch_model.safetensors', 'config.json'],
    bytes: 115e6,
  },
  {
    role: 'text',
    what: 'The text tower of DFN5B CLIP ViT-H/14',
    repository: 'apple/DFN5B-CLIP-ViT-H-14-378',
    files: ['open_clip_pytorch_model.bin', 'open_clip_config.json'],
    bytes: 3.95e9,
  },
];

/** The page of a repository, at the folder of a file. */
export function repositoryPage({ repository, files }: Pick<ReleasedFile, 'repository' | 'files'>): string {
  const folder = files[0]?.split('/').slice(0, -1).join('/') ?? '';
  return `${huggingFace}${repository}${folder === '' ? '' : `/tree/main/${folder}`}`;
}

/** Named by the engine as well, where a part is missing. */
const alsoNamed = ['madebyollin/taesdxl'];

/** A text in pieces, the names of known repositories with their pages. */
export function withRepositories(text: string): readonly { readonly text: string; readonly page?: string }[] {
  const names = [...new Set([...releasedFiles.map(({ repository }) => repository), ...alsoNamed])];
  const pattern = new RegExp(
    `((?:${huggingFace.replace(/\W/g, '\\$&')})?(?:${names.map((name) => name.replace(/\W/g, '\\$&')).join('|')}))`,
  );
  return text.split(pattern).flatMap((piece, index) => {
    if (piece === '') return [];
    // split puts what the group caught at every other place
    if (index % 2 === 0) return [{ text: piece }];
    return [{ text: piece, page: huggingFace + piece.replace(huggingFace, '') }];
  });
}

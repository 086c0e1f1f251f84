/** The autoencoders between pictures and latents, as their sessions, the page and the command line name them. */
import type { KlConfig } from './schemas';

/** What TAESD's files do not say themselves. */
export interface TaesdConfig {
  readonly latent_channels: number;
}

/** An autoencoder: AutoencoderKL, or TAESD, whose latents need no scaling factor. */
export type VaeModel =
  | { readonly kind: 'kl'; readonly config: KlConfig }
  | { readonly kind: 'taesd'; readonly config: TaesdConfig };

/** Which direction of an autoencoder a file holds, or a job needs. */
export type VaeHalf = 'encoder' | 'decoder' | 'both';

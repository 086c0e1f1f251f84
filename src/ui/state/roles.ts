/** The places of a model in people's words, the same wherever they are named. */
import type { Role } from '../../protocol/library';

export interface RoleName {
  /** On a box. */
  readonly title: string;
  /** Inside a sentence. */
  readonly some: string;
  /** What it is there for. */
  readonly does: string;
}

export const roleNames: Readonly<Record<Role, RoleName>> = {
  dit: { title: 'Transformer', some: 'a transformer', does: 'Makes the picture out of noise.' },
  vae: { title: 'Autoencoder', some: 'an autoencoder', does: 'Turns what was made into pixels.' },
  text: { title: 'Text tower', some: 'a text tower', does: 'Reads the prompt.' },
  tokenizer: { title: 'Tokenizer', some: 'a tokenizer', does: 'Cuts the prompt into pieces.' },
};

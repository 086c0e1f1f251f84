/** What a generation takes, reports and gives: shared by page, worker, sessions and command line. */

/** Layout of torch's random numbers for the initial noise (specs: CUDA is what upstream's users have). */
export type NoiseLayout = 'cuda' | 'cpu';

/** How matrices are stored on the GPU; arithmetic is f32 in any case. int8 has one scale per output channel. */
export type WeightStorage = 'f32' | 'f16' | 'int8';

/** What a user asks for: a storage, or the finest that the memory budget allows (f16, else int8). */
export type WeightChoice = WeightStorage | 'auto';

export interface GenerateSettings {
  /** One picture per prompt. */
  readonly prompts: readonly string[];
  /** Heun steps; 2 steps - 1 evaluations. */
  readonly steps: number;
  /** Classifier-free guidance; active above 1. */
  readonly guidance: number;
  /** Decimal digits of a signed or unsigned 64-bit seed; '' or '0': the generator's default, as upstream. */
  readonly seed: string;
  readonly noiseLayout: NoiseLayout;
}

/** Where a generation stands. Times in milliseconds. */
export interface GenerateProgress {
  readonly stage: 'text' | 'sample' | 'decode';
  /** Steps finished. */
  readonly step: number;
  readonly steps: number;
  /** Noise level after this step. */
  readonly sigma: number;
  readonly elapsedMs: number;
  /** Estimate for the rest; null until there is a measurement. */
  readonly leftMs: number | null;
}

/** An RGB picture, 8 bits a channel, row-major, three bytes a pixel. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array<ArrayBuffer>;
}

/** Milliseconds per stage of one generation. */
export interface GenerateTimings {
  readonly textMs: number;
  readonly sampleMs: number;
  readonly decodeMs: number;
  readonly totalMs: number;
}

/** What is written into a picture's file so that it can be made again. */
export interface PictureSettings {
  readonly program: 'tabdit';
  readonly model: string;
  readonly prompt: string;
  readonly steps: number;
  readonly guidance: number;
  readonly seed: string;
  readonly noiseLayout: NoiseLayout;
  /** Position in the batch: the noise of a batch is drawn at once. */
  readonly index: number;
  readonly count: number;
}

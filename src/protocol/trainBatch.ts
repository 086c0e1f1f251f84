/** What one training step takes: samples with their draws. Made by the batcher or read from a recorded run. */

/** N samples, C channels, T tokens, L caption length. */
export interface TrainBatch {
  readonly samples: number;
  /** [N, C, h, w], scaled. */
  readonly latents: Float32Array;
  /** [N, L, caption width] */
  readonly captions: Float32Array;
  /** [N]: standard normal draw of the noise level. */
  readonly rndNormal: Float32Array;
  /** Unit normal, like latents. */
  readonly noise: Float32Array;
  /** [N, T]: uniform draw of the mask; not read at ratio 0. */
  readonly maskNoise: Float32Array;
  /** [N]: 0 drops the caption. */
  readonly drop: Float32Array;
}

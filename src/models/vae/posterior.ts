/**
 * The encoder's output as a distribution: a diagonal normal per latent value (diffusers' DiagonalGaussianDistribution).
 * Latents are small, so this is plain arithmetic on the CPU; every value is rounded to f32 as the reference rounds it.
 */
import { ShapeError } from '../../core/errors';
import { elementCount, shapeText, type Shape } from '../../core/shape';

/** Bounds of the log-variance. */
const minLogvar = -30;
const maxLogvar = 20;

export interface Posterior {
  /** [N, z, h, w], as every tensor here. */
  readonly shape: Shape;
  readonly mean: Float32Array<ArrayBuffer>;
  /** Clamped to [-30, 20]. */
  readonly logvar: Float32Array<ArrayBuffer>;
  /** exp(logvar / 2); exactly 0 where there is no variance. */
  readonly std: Float32Array<ArrayBuffer>;
}

/**
 * Mean and deviation from moments [N, 2z, h, w]: the first z channels are means, the others log-variances.
 * @throws ShapeError
 */
export function posteriorOf(moments: Float32Array, shape: Shape): Posterior {
  const [samples = 0, channels = 0, height = 0, width = 0] = shape;
  if (shape.length !== 4 || channels % 2 !== 0 || moments.length !== elementCount(shape)) {
    throw new ShapeError(
      `posterior: moments are [N, 2z, h, w]: ${moments.length} values as ${shapeText(shape)}`,
    );
  }
  const half = (channels / 2) * height * width;
  const mean = new Float32Array(samples * half);
  const logvar = new Float32Array(samples * half);
  for (let n = 0; n < samples; n++) {
    mean.set(moments.subarray(2 * n * half, (2 * n + 1) * half), n * half);
    logvar.set(moments.subarray((2 * n + 1) * half, (2 * n + 2) * half), n * half);
  }
  for (let i = 0; i < logvar.length; i++) logvar[i] = Math.min(maxLogvar, Math.max(minLogvar, logvar[i]!));
  const std = logvar.map((value) => Math.exp(value / 2));
  return { shape: [samples, channels / 2, height, width], mean, logvar, std };
}

/**
 * A distribution without variance: an encoder that gives latents, not moments. `mean` [N, z, h, w].
 * @throws ShapeError
 */
export function certainPosterior(mean: Float32Array, shape: Shape): Posterior {
  if (shape.length !== 4 || mean.length !== elementCount(shape)) {
    throw new ShapeError(`posterior: means are [N, z, h, w]: ${mean.length} values as ${shapeText(shape)}`);
  }
  return {
    shape,
    mean: Float32Array.from(mean),
    logvar: new Float32Array(mean.length).fill(minLogvar),
    std: new Float32Array(mean.length),
  };
}

/**
 * mean + std noise, `noise` being standard normal of the posterior's size.
 * @throws ShapeError
 */
export function samplePosterior(posterior: Posterior, noise: Float32Array): Float32Array<ArrayBuffer> {
  const { mean, std, shape } = posterior;
  if (noise.length !== mean.length) {
    throw new ShapeError(
      `posterior: noise is ${shapeText(shape)}, ${mean.length} values: ${noise.length} given`,
    );
  }
  return mean.map((value, i) => value + Math.fround(std[i]! * noise[i]!));
}

/** Latents as the diffusion model sees them: values of the autoencoder times its scaling factor. */
export function scaleLatents(values: Float32Array, scalingFactor: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value) => value * scalingFactor);
}

/**
 * The fixed embeddings of the diffusion transformer: where a patch is, and how noisy the picture is. Neither is
 * trained. Both are computed on the CPU and uploaded: WGSL promises its sin and cos only to 2^-11.
 */
import { InputError } from '../../core/errors';

/** Base of the frequencies of both embeddings. */
const maxPeriod = 10000;

/**
 * Sinusoidal position embedding, [gridSize^2, dim] row-major, tokens in reading order (upstream's `pos_embed`).
 *
 * The first half of a row encodes the column, the second half the row of the patch; each half is sin then cos of
 * dim / 4 frequencies. A coordinate is its index divided by `interpScale`, rounded to f32 as upstream; the rest is
 * float64.
 *
 * @param gridSize patches along one side of the picture
 * @param dim width of the model, a multiple of 4
 * @param interpScale `pos_interp_scale` of the model's config: 1 at 256 px, 2 at 512 px
 * @throws InputError when a size is not a positive whole number, or dim not a multiple of 4
 */
export function positionEmbedding(
  gridSize: number,
  dim: number,
  interpScale: number,
): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(gridSize) || gridSize < 1) {
    throw new InputError(`position embedding: the grid has a whole number of patches a side: ${gridSize}`);
  }
  if (!Number.isInteger(dim) || dim < 4 || dim % 4 !== 0) {
    throw new InputError(`position embedding: the width is a positive multiple of 4: ${dim}`);
  }
  if (!(interpScale > 0)) {
    throw new InputError(`position embedding: the interpolation scale is positive: ${interpScale}`);
  }
  const quarter = dim / 4;
  const table = new Float32Array(gridSize * gridSize * dim);
  for (let row = 0; row < gridSize; row++) {
    for (let column = 0; column < gridSize; column++) {
      const start = (row * gridSize + column) * dim;
      for (let k = 0; k < quarter; k++) {
        const frequency = 1 / maxPeriod ** (k / quarter);
        const across = Math.fround(column / interpScale) * frequency;
        const down = Math.fround(row / interpScale) * frequency;
        table[start + k] = Math.sin(across);
        table[start + quarter + k] = Math.cos(across);
        table[start + 2 * quarter + k] = Math.sin(down);
        table[start + 3 * quarter + k] = Math.cos(down);
      }
    }
  }
  return table;
}

/**
 * Sinusoidal embedding of one noise level: cos of dim / 2 angles, then sin of the same (upstream's `t_embedder` before
 * its layers). Frequencies and angles are rounded to f32 after every operation, as upstream computes them.
 *
 * @param t c_noise = ln(sigma) / 4; not scaled
 * @param dim an even number; upstream always uses 512
 * @throws InputError when dim is not a positive even number or t is not finite
 */
export function timestepEmbedding(t: number, dim = 512): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(dim) || dim < 2 || dim % 2 !== 0) {
    throw new InputError(`timestep embedding: the width is a positive even number: ${dim}`);
  }
  if (!Number.isFinite(t)) throw new InputError(`timestep embedding: the time is a finite number: ${t}`);
  const half = dim / 2;
  const embedding = new Float32Array(dim);
  for (let k = 0; k < half; k++) {
    const exponent = Math.fround(Math.fround(Math.fround(-Math.log(maxPeriod)) * k) / half);
    const angle = Math.fround(Math.fround(t) * Math.fround(Math.exp(exponent)));
    embedding[k] = Math.cos(angle);
    embedding[half + k] = Math.sin(angle);
  }
  return embedding;
}

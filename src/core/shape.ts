/**
 * Tensor shapes: plain lists of whole numbers, row-major, the last axis contiguous.
 *
 * Letters used in every comment, message and shape table of this project:
 *
 * | letter | meaning |
 * | --- | --- |
 * | B | batch: samples in one evaluation (N in fixtures and upstream's [N, C, h, w]) |
 * | T | tokens: patches of one picture |
 * | D | width of the block at hand |
 * | H | attention heads |
 * | E | experts |
 * | K | tokens per expert |
 * | F | hidden width of a feed-forward or expert |
 * | N | layers |
 * | L | caption length in tokens |
 * | C, h, w | latent channels, height, width |
 */

/** Extent of each axis, outermost first. [] is a single number. */
export type Shape = readonly number[];

/** Number of elements: the product of the extents, 1 for []. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const extent of shape) count *= extent;
  return count;
}

/** The shape as messages print it: `[2, 3]`. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Whether two shapes have the same rank and extents. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

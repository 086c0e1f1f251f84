/** From decoded images to 8-bit pictures and back. */
import type { Picture } from '../protocol/generate';

/** round-half-to-even of a non-negative number, as numpy and diffusers round. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest > 0.5) return floor + 1;
  if (rest < 0.5) return floor;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** 8-bit value of an image value in [-1, 1]: round-half-even(255 clamp(v / 2 + 0.5)). */
export function toByte(value: number): number {
  return roundHalfEven(255 * Math.min(1, Math.max(0, Math.fround(Math.fround(value / 2) + 0.5))));
}

/** [N, 3, H, W] values to N pictures. */
export function toPictures(values: Float32Array, samples: number, height: number, width: number): Picture[] {
  const plane = height * width;
  return Array.from({ length: samples }, (_, n) => {
    const rgb = new Uint8Array(plane * 3);
    for (let channel = 0; channel < 3; channel++) {
      const start = (n * 3 + channel) * plane;
      for (let i = 0; i < plane; i++) rgb[i * 3 + channel] = toByte(values[start + i]!);
    }
    return { width, height, rgb };
  });
}

/** Pictures of one size to [N, 3, H, W] values in [-1, 1]. */
export function fromPictures(pictures: readonly Picture[]): Float32Array<ArrayBuffer> {
  const { width, height } = pictures[0]!;
  const plane = width * height;
  const values = new Float32Array(pictures.length * 3 * plane);
  pictures.forEach(({ rgb }, n) => {
    for (let i = 0; i < plane; i++) {
      for (let channel = 0; channel < 3; channel++) {
        values[(n * 3 + channel) * plane + i] = rgb[i * 3 + channel]! / 127.5 - 1;
      }
    }
  });
  return values;
}

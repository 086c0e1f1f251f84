/** The settings inside a picture file as foreign data: what is accepted from a dropped PNG. */
import type { PictureSettings } from './generate';
import { z } from './schema';

/** Ranges that the page offers and accepts; a schedule needs two steps. */
export const maxCount = 16;
export const maxSteps = 200;
export const minSteps = 2;
export const maxGuidance = 20;
export const maxPromptLength = 2000;

const lowestSeed = -(2n ** 63n);
const highestSeed = 2n ** 64n - 1n;

/** Whether `text` is a seed: '' (the default) or a whole number of 64 bits, signed or unsigned. */
export function isSeed(text: string): boolean {
  if (text === '') return true;
  if (!/^[+-]?\d{1,20}$/.test(text)) return false;
  const value = BigInt(text.replace(/^\+/, ''));
  return value >= lowestSeed && value <= highestSeed;
}

const schema = z.object({
  program: z.literal('tabdit'),
  model: z.string().max(200),
  prompt: z.string().max(maxPromptLength),
  steps: z.int().min(minSteps).max(maxSteps),
  guidance: z.number().min(1).max(maxGuidance),
  seed: z.string().refine(isSeed),
  noiseLayout: z.enum(['cuda', 'cpu']),
  index: z.int().min(0),
  count: z.int().min(1),
});

/** Checked settings from anything, or null when it is not a picture of this program. */
export function parsePictureSettings(value: unknown): PictureSettings | null {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

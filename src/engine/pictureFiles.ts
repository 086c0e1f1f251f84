/** Finished pictures as PNG files that carry the settings they were made with, and the way back. */
import { encodePng, readPngSettings } from '../formats/png/png';
import type { GenerateSettings, Picture, PictureSettings } from '../protocol/generate';
import type { FinishedPicture } from '../protocol/messages';
import { parsePictureSettings } from '../protocol/pictureSettings';

/** Pictures of one generation as files, in order. */
export async function finishPictures(
  pictures: readonly Picture[],
  settings: GenerateSettings,
  model: string,
): Promise<FinishedPicture[]> {
  return Promise.all(
    pictures.map(async ({ width, height, rgb }, index) => {
      const own: PictureSettings = {
        program: 'tabdit',
        model,
        prompt: settings.prompts[index] ?? '',
        steps: settings.steps,
        guidance: settings.guidance,
        seed: settings.seed,
        noiseLayout: settings.noiseLayout,
        index,
        count: pictures.length,
      };
      const data = new Uint8Array(rgb);
      return {
        png: await encodePng({ width, height, channels: 3, data }, own),
        width,
        height,
        settings: own,
      };
    }),
  );
}

/**
 * The settings inside a PNG file; null when it carries none of this program's.
 * @throws FormatError when it is no PNG
 */
export async function settingsInside(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<PictureSettings | null> {
  return parsePictureSettings(await readPngSettings(name, bytes));
}

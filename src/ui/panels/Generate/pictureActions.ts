/** Taking a picture along: as a file with its settings inside, or to the clipboard. */
import type { App } from '../../app';
import type { GalleryPicture } from '../../state/gallery';
import { wireError } from '../../wireError';

/** `blue-heart-seed-7-3.png`: what a person can find again. */
export function fileName({ settings }: Pick<GalleryPicture, 'settings'>): string {
  const words = settings.prompt
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  const index = settings.count > 1 ? `-${settings.index + 1}` : '';
  return `${words || 'picture'}-seed-${settings.seed || '0'}${index}.png`;
}

export function downloadPicture(picture: GalleryPicture): void {
  const link = document.createElement('a');
  link.href = picture.url;
  link.download = fileName(picture);
  link.click();
}

/** Copies the picture. Browsers write it anew, so the copy carries no settings. */
export async function copyPicture(app: App, picture: GalleryPicture): Promise<void> {
  try {
    const blob = new Blob([picture.png], { type: 'image/png' });
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
    app.notices.say('Picture copied. A copy carries no settings; a downloaded file does.');
  } catch (thrown) {
    app.notices.complain('The browser did not let the picture be copied.', wireError(thrown));
  }
}

/** What the shown pictures are, and what can be done with them. */
import type { ReactElement } from 'react';
import { formatSeconds } from '../../../core/units';
import { useApp, useKept } from '../../appContext';
import type { GalleryPicture } from '../../state/gallery';
import { IconButton } from '../../widgets/IconButton';
import { copyPicture, downloadPicture } from './pictureActions';
import styles from './PictureBar.module.css';

export function PictureBar({
  pictures,
}: {
  readonly pictures: readonly GalleryPicture[];
}): ReactElement | null {
  const app = useApp();
  const first = pictures[0];
  if (!first) return null;
  const { prompt, steps, guidance, seed } = first.settings;
  const facts = [
    `${steps} steps`,
    `guidance ${guidance}`,
    `seed ${seed || '0'}`,
    ...(first.totalMs > 0 ? [formatSeconds(first.totalMs / 1000)] : []),
  ];
  return (
    <div className={styles.bar}>
      <div className={styles.text}>
        <span className={styles.prompt}>{prompt || 'No prompt'}</span>
        <span className={styles.facts}>{facts.join(' · ')}</span>
      </div>
      <PixelsButton />
      <IconButton
        icon="vary"
        label="Make it again with another seed"
        onClick={() => app.vary(first.settings)}
      />
      {pictures.length === 1 && (
        <>
          <IconButton icon="copy" label="Copy the picture" onClick={() => void copyPicture(app, first)} />
          <IconButton
            icon="download"
            label="Download, settings inside"
            onClick={() => downloadPicture(first)}
          />
        </>
      )}
    </div>
  );
}

export function PixelsButton(): ReactElement {
  const pixels = useKept((state) => state.view.pixels);
  const setView = useKept((state) => state.setView);
  return (
    <IconButton
      icon={pixels ? 'pixels' : 'smooth'}
      label={pixels ? 'Shown with hard pixels. Smooth them' : 'Shown smoothed. Show hard pixels'}
      onClick={() => setView({ pixels: !pixels })}
    />
  );
}

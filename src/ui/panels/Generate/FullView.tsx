/** One picture over everything: arrow keys to its neighbours, its settings at the side, what can be done with it. */
import { Button, Modal } from '@mantine/core';
import { useEffect, type ReactElement } from 'react';
import { formatSeconds } from '../../../core/units';
import { useApp, useGallery, useKept } from '../../appContext';
import type { GalleryPicture } from '../../state/gallery';
import { Facts } from '../../widgets/Facts';
import { Icon } from '../../widgets/Icon';
import { IconButton } from '../../widgets/IconButton';
import { PixelsButton } from './PictureBar';
import { copyPicture, downloadPicture } from './pictureActions';
import styles from './FullView.module.css';

export function FullView(): ReactElement {
  const app = useApp();
  const pictures = useGallery((state) => state.pictures);
  const open = useGallery((state) => state.open);
  const at = pictures.findIndex((picture) => picture.id === open);
  const picture = pictures[at];
  return (
    <Modal
      opened={picture !== undefined}
      onClose={() => app.gallery.open(null)}
      fullScreen
      withCloseButton={false}
      padding={0}
      // of the dialog itself: on the component it would stand on an element without a role
      attributes={{ content: { 'aria-label': 'Picture in full view' } }}
      transitionProps={{ transition: 'fade', duration: 150 }}
    >
      {picture && <Sheet picture={picture} before={pictures[at - 1]} after={pictures[at + 1]} />}
    </Modal>
  );
}

interface SheetProps {
  readonly picture: GalleryPicture;
  readonly before: GalleryPicture | undefined;
  readonly after: GalleryPicture | undefined;
}

function Sheet({ picture, before, after }: SheetProps): ReactElement {
  const app = useApp();
  const pixels = useKept((state) => state.view.pixels);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const to = event.key === 'ArrowLeft' ? before : event.key === 'ArrowRight' ? after : undefined;
      if (to) app.gallery.open(to.id);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [app, before, after]);
  const { settings } = picture;
  const close = (): void => app.gallery.open(null);
  return (
    <div className={styles.sheet}>
      <div className={styles.picture}>
        <img
          src={picture.url}
          width={picture.width}
          height={picture.height}
          alt={settings.prompt || 'Picture without a prompt'}
          data-pixels={pixels || undefined}
        />
        <span className={styles.before}>
          <IconButton
            icon="left"
            size="xl"
            label="Previous picture"
            disabled={!before}
            onClick={() => before && app.gallery.open(before.id)}
          />
        </span>
        <span className={styles.after}>
          <IconButton
            icon="right"
            size="xl"
            label="Next picture"
            disabled={!after}
            onClick={() => after && app.gallery.open(after.id)}
          />
        </span>
      </div>
      <aside className={styles.side} aria-label="Settings of this picture">
        <div className={styles.head}>
          <h2>{settings.prompt || 'No prompt'}</h2>
          <IconButton icon="close" label="Close" onClick={close} />
        </div>
        <Facts
          rows={[
            ['Steps', settings.steps],
            ['Guidance', settings.guidance],
            ['Seed', settings.seed || '0'],
            ...(settings.count > 1
              ? [['In its batch', `${settings.index + 1} of ${settings.count}`] as const]
              : []),
            ['Random numbers', settings.noiseLayout === 'cuda' ? 'as on a GPU' : 'as on a CPU'],
            ['Model', settings.model],
            ['Size', `${picture.width} × ${picture.height} pixels`],
            ...(picture.totalMs > 0 ? [['Took', formatSeconds(picture.totalMs / 1000)] as const] : []),
            ['Made', new Date(picture.createdAt).toLocaleString()],
          ]}
        />
        <div className={styles.buttons}>
          <Button
            leftSection={<Icon name="use" size={18} />}
            onClick={() => {
              app.useSettings(settings, 'this picture');
              close();
            }}
          >
            Use these settings
          </Button>
          <Button
            variant="default"
            leftSection={<Icon name="vary" size={18} />}
            onClick={() => {
              app.vary(settings);
              close();
            }}
          >
            Vary with a new seed
          </Button>
        </div>
        <div className={styles.tools}>
          <IconButton
            icon="download"
            label="Download, settings inside"
            onClick={() => downloadPicture(picture)}
          />
          <IconButton icon="copy" label="Copy the picture" onClick={() => void copyPicture(app, picture)} />
          <PixelsButton />
          <IconButton
            icon="remove"
            label="Remove from the filmstrip"
            onClick={() => {
              const next = after ?? before;
              void app.removePicture(picture.id);
              app.gallery.open(next ? next.id : null);
            }}
          />
        </div>
      </aside>
    </div>
  );
}

/** Everything that was dropped: models as cards; configurations, pictures and what nothing uses as names behind a fold. */
import { Button } from '@mantine/core';
import { useState, type ReactElement } from 'react';
import { formatBytes } from '../../../core/units';
import type { LibraryItem } from '../../../protocol/library';
import { OwnFold } from '../../widgets/Fold';
import { ItemCard } from './ItemCard';
import styles from './ModelsPanel.module.css';

/** Cards shown before asking for all. */
const fewCards = 60;
/** Names listed of files that are no models. */
const fewNames = 200;

const isMinor = ({ kind }: LibraryItem): boolean =>
  kind === 'other' || kind === 'picture' || kind === 'config';

export function LibraryList({ items }: { readonly items: readonly LibraryItem[] }): ReactElement {
  const [all, setAll] = useState(false);
  const major = items.filter((item) => !isMinor(item));
  const minor = items.filter(isMinor);
  const shown = all ? major : major.slice(0, fewCards);
  const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  return (
    <section aria-labelledby="library" className={styles.library}>
      <div className={styles.libraryHead}>
        <h2 id="library">Library</h2>
        <p className={styles.small}>
          {items.length === 1 ? '1 file or folder' : `${items.length} files and folders`},{' '}
          {formatBytes(bytes)}. Read where they lie; after a reload they are to be dropped again.
        </p>
      </div>
      <ul className={styles.cards} aria-label="Library">
        {shown.map((item) => (
          <ItemCard key={item.id} item={item} />
        ))}
      </ul>
      {shown.length < major.length && (
        <Button variant="default" onClick={() => setAll(true)}>
          Show all {major.length}
        </Button>
      )}
      {minor.length > 0 && (
        <OwnFold title={minor.length === 1 ? '1 more file' : `${minor.length} more files`}>
          <ul className={styles.minor}>
            {minor.slice(0, fewNames).map((item) => (
              <li key={item.id}>
                <span className={styles.path}>{item.path}</span>
                <span className={styles.small}>{item.words}</span>
              </li>
            ))}
          </ul>
          {minor.length > fewNames && <p className={styles.small}>and {minor.length - fewNames} more</p>}
        </OwnFold>
      )}
    </section>
  );
}

/** Where published files are found: names to copy, links to their pages. */
import type { ReactElement } from 'react';
import { formatBytes } from '../../../core/units';
import { roleNames } from '../../state/roles';
import { CopyText } from '../../widgets/CopyText';
import styles from './ModelsPanel.module.css';
import { releasedFiles, repositoryPage, withRepositories } from './releasedFiles';

export function ReleasedFiles(): ReactElement {
  return (
    <>
      <p className={styles.lead}>
        A whole model is one transformer, the autoencoder for its latent channels, and the text tower. These
        are published on Hugging Face; download them there and drop them here as they are.
      </p>
      <ul className={styles.released}>
        {releasedFiles.map((released) => (
          <li key={released.files[0]! + released.repository}>
            <div className={styles.releasedHead}>
              <strong>{released.what}</strong>
              <span className={styles.small}>
                {roleNames[released.role].title}, {formatBytes(released.bytes)}
              </span>
            </div>
            <p>
              {released.files.map((file, index) => (
                <span key={file}>
                  {index > 0 && ' and '}
                  <CopyText text={file} />
                </span>
              ))}
            </p>
            <p className={styles.small}>
              from{' '}
              <a href={repositoryPage(released)} target="_blank" rel="noreferrer">
                {released.repository}
              </a>
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}

/** A sentence in which names of known repositories are links. */
export function Where({ text }: { readonly text: string }): ReactElement {
  return (
    <>
      {withRepositories(text).map(({ text: piece, page }, index) =>
        page === undefined ? (
          piece
        ) : (
          <a key={index} href={page} target="_blank" rel="noreferrer">
            {piece}
          </a>
        ),
      )}
    </>
  );
}

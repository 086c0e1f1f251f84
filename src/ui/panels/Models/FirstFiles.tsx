/** Before the first file: what to do, and what is taken. */
import type { ReactElement } from 'react';
import { Icon } from '../../widgets/Icon';
import { AddFiles } from './AddFiles';
import styles from './ModelsPanel.module.css';

/** What is taken: the kind, and what it looks like on disk. */
export const takenKinds: readonly (readonly [what: string, looks: string])[] = [
  ['MicroDiT transformers', '.pt or .safetensors, as released or as the trainer wrote them'],
  ['Autoencoders', 'a diffusers folder (config.json and weights), or TAESD'],
  ['CLIP text towers', 'open_clip’s or Hugging Face’s .bin or .safetensors'],
  ['Composer checkpoints', '.pt with up to all three parts inside'],
  ['Bundles', 'a folder or a zip with tabdit.json'],
  ['Zip files', 'with any of these inside'],
];

export function FirstFiles(): ReactElement {
  return (
    <section className={styles.first} aria-labelledby="first">
      <div className={styles.firstHead}>
        <span className={styles.firstIcon}>
          <Icon name="model" size={40} />
        </span>
        <h2 id="first">Bring your own model</h2>
        <p>
          Drop files or a folder anywhere on this page. They are read where they lie, piece by piece; nothing
          is uploaded and nothing is copied.
        </p>
        <AddFiles primary />
      </div>
      <dl className={styles.taken}>
        {takenKinds.map(([what, looks]) => (
          <div key={what}>
            <dt>{what}</dt>
            <dd>{looks}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

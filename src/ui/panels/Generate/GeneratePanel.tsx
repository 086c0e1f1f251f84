/** Prompt in, picture out: fields at the left, the picture as large as fits at the right, earlier ones below it. */
import type { ReactElement } from 'react';
import { Filmstrip } from './Filmstrip';
import { FullView } from './FullView';
import { GenerateControl } from './GenerateControl';
import styles from './GeneratePanel.module.css';
import { PromptField } from './PromptField';
import { SettingsBlock } from './SettingsBlock';
import { Stage } from './Stage';

export function GeneratePanel(): ReactElement {
  return (
    <div className={styles.panel}>
      <h1 className={styles.hidden}>Generate</h1>
      <section className={styles.form} aria-label="What to make">
        <div className={styles.fields}>
          <PromptField />
          <SettingsBlock />
        </div>
        <GenerateControl />
      </section>
      <section className={styles.result} aria-label="Pictures">
        <Stage />
        <Filmstrip />
      </section>
      <FullView />
    </div>
  );
}

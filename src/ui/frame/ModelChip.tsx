/** Which model is loaded: a chip in the top strip that leads to Models. */
import { UnstyledButton, VisuallyHidden } from '@mantine/core';
import type { ReactElement } from 'react';
import { useEngine } from '../appContext';
import { jobFraction, loadingJob } from '../state/engineView';
import { goTo } from '../state/panel';
import { Icon } from '../widgets/Icon';
import styles from './TopStrip.module.css';

export function ModelChip(): ReactElement {
  const model = useEngine((view) => view.model);
  const loading = useEngine(loadingJob);
  const fraction = loading && loading.phase !== 'queued' ? jobFraction(loading) : null;
  const percent = fraction === null ? '' : `${Math.round(100 * fraction)} %`;
  const text = model?.title ?? (loading ? 'Loading the model' : 'No model');
  return (
    <UnstyledButton className={styles.chip} title={`${text}. Go to Models`} onClick={() => goTo('models')}>
      <Icon name="model" size={18} />
      <VisuallyHidden>Model:</VisuallyHidden>
      <span className={styles.chipText}>{text}</span>
      {percent && <span className={styles.dim}>{percent}</span>}
    </UnstyledButton>
  );
}

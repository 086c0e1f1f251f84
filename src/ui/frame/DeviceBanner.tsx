/** Says that the GPU went away while it is being opened again, and afterwards that it is back. */
import { CloseButton, Loader } from '@mantine/core';
import { useState, type ReactElement } from 'react';
import { useEngine } from '../appContext';
import { Icon } from '../widgets/Icon';
import styles from './DeviceBanner.module.css';

export function DeviceBanner(): ReactElement | null {
  const state = useEngine((view) => view.state);
  const [read, setRead] = useState(0);
  if (state.name === 'device-lost') {
    const { attempt, attempts, message } = state;
    return (
      <div className={styles.banner} role="status">
        <Loader size="xs" />
        <p>
          <strong>The browser took the GPU away</strong> ({message}). Opening it again, attempt {attempt} of{' '}
          {attempts}. What you typed is unchanged.
        </p>
      </div>
    );
  }
  if (state.name !== 'ready' || state.rebuilt <= read) return null;
  return (
    <div className={styles.banner} role="status">
      <Icon name="check" />
      <p>
        <strong>The GPU is back.</strong> The browser had taken it away. The model loads again by itself; what
        you typed is unchanged.
      </p>
      <CloseButton aria-label="Close this note" onClick={() => setRead(state.rebuilt)} />
    </div>
  );
}

/** GPU memory that the loaded model holds, of its budget: the sum in the top strip, by purpose on asking. */
import { Popover, UnstyledButton, VisuallyHidden } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatBytes } from '../../core/units';
import { useEngine } from '../appContext';
import { classNames } from '../widgets/classNames';
import { Icon } from '../widgets/Icon';
import { MemoryBar, totalBytes } from '../widgets/MemoryBar';
import styles from './TopStrip.module.css';

export function MemoryGauge(): ReactElement | null {
  const model = useEngine((view) => view.model);
  if (!model) return null;
  const { memory, budget } = model;
  const total = formatBytes(totalBytes(memory));
  const allowed = formatBytes(budget);
  return (
    <Popover width={300} position="bottom-end" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={classNames(styles.gauge, styles.memory)}>
          <Icon name="memory" size={18} />
          <VisuallyHidden>GPU memory:</VisuallyHidden>
          <span>{total}</span>
          <span className={classNames(styles.dim, styles.budget)}>of {allowed}</span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <section aria-label="GPU memory">
          <p className={styles.cardTitle}>GPU memory of this model</p>
          <MemoryBar parts={memory} budget={budget} />
        </section>
      </Popover.Dropdown>
    </Popover>
  );
}

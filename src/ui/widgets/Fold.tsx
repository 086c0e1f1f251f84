/** What is rarely needed, behind a line that opens and closes it. */
import { Collapse, UnstyledButton } from '@mantine/core';
import { useId, useState, type ReactElement, type ReactNode } from 'react';
import styles from './Fold.module.css';
import { Icon } from './Icon';

export interface FoldProps {
  readonly open: boolean;
  readonly title: string;
  readonly onToggle: () => void;
  readonly children: ReactNode;
}

export function Fold({ open, title, onToggle, children }: FoldProps): ReactElement {
  const id = useId();
  return (
    <div className={styles.fold}>
      <UnstyledButton
        className={styles.foldButton}
        aria-expanded={open}
        aria-controls={id}
        onClick={onToggle}
      >
        <span>{title}</span>
        <span className={open ? styles.up : styles.down}>
          <Icon name="down" size={16} />
        </span>
      </UnstyledButton>
      <div id={id}>
        <Collapse expanded={open}>
          <div className={styles.foldBody}>{children}</div>
        </Collapse>
      </div>
    </div>
  );
}

/** A fold that starts closed and keeps its state to itself. */
export function OwnFold({ title, children }: Pick<FoldProps, 'title' | 'children'>): ReactElement {
  const [open, setOpen] = useState(false);
  return (
    <Fold open={open} title={title} onToggle={() => setOpen(!open)}>
      {children}
    </Fold>
  );
}

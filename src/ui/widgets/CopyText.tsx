/** A name or an address that is to be typed or pasted elsewhere, with a button that copies it. */
import { CopyButton } from '@mantine/core';
import type { ReactElement } from 'react';
import styles from './CopyText.module.css';
import { Icon } from './Icon';

export function CopyText({ text }: { readonly text: string }): ReactElement {
  return (
    <span className={styles.text}>
      <code>{text}</code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <button type="button" className={styles.copy} onClick={copy} aria-label={`Copy ${text}`}>
            <Icon name={copied ? 'check' : 'copy'} size={14} />
          </button>
        )}
      </CopyButton>
    </span>
  );
}

/**
 * An error beside its cause: what happened, why, at most one thing to do, and behind a fold everything that a report
 * needs, to copy.
 */
import { Button, Collapse, CopyButton } from '@mantine/core';
import { useId, useState, type ReactElement } from 'react';
import type { WireError } from '../../protocol/messages';
import styles from './ErrorNote.module.css';
import { Icon } from './Icon';

export interface ErrorNoteProps {
  /** What happened, as a sentence. */
  readonly title: string;
  readonly error: WireError;
  /** What helps; what usually does with such an error where not given. */
  readonly advice?: string | undefined;
  readonly action?: { readonly label: string; readonly run: () => void };
}

/** What helps, by kind of error; '' where the message says all. */
export function adviceFor(code: string): string {
  switch (code) {
    case 'network':
    case 'not-found':
      return 'Look whether this machine is online and the page was copied whole, then try again.';
    case 'out-of-memory':
    case 'limit':
      return 'Make fewer pictures at once, or close other tabs and programs that use the GPU.';
    case 'device-lost':
      return 'The GPU is being opened again; what you typed is unchanged.';
    case 'format':
      return 'The file is damaged or of another kind than expected.';
    case 'engine':
      return 'Reload the page; what you typed is kept.';
    default:
      return '';
  }
}

/** The copied text. */
export function errorReport({ name, code, message, stack }: WireError): string {
  return [`${name} (${code})`, message, stack].filter(Boolean).join('\n');
}

export function ErrorNote({
  title,
  error,
  advice = adviceFor(error.code),
  action,
}: ErrorNoteProps): ReactElement {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <div className={styles.note} role="alert">
      <span className={styles.icon}>
        <Icon name="alert" />
      </span>
      <div className={styles.body}>
        <p className={styles.title}>{title}</p>
        <p className={styles.why}>{error.message}</p>
        {advice && <p className={styles.why}>{advice}</p>}
        <div className={styles.actions}>
          {action && (
            <Button size="xs" onClick={action.run}>
              {action.label}
            </Button>
          )}
          <Button
            size="xs"
            variant="subtle"
            color="gray"
            onClick={() => setOpen(!open)}
            aria-expanded={open}
            aria-controls={id}
          >
            {open ? 'Hide details' : 'Details'}
          </Button>
        </div>
        <div id={id}>
          <Collapse expanded={open}>
            <pre className={styles.details} tabIndex={0}>
              {errorReport(error)}
            </pre>
            <CopyButton value={errorReport(error)}>
              {({ copied, copy }) => (
                <Button size="xs" variant="default" onClick={copy}>
                  {copied ? 'Copied' : 'Copy details'}
                </Button>
              )}
            </CopyButton>
          </Collapse>
        </div>
      </div>
    </div>
  );
}

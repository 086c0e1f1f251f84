/** Short notes at the bottom of the page. Notes go after a while, unless pointed at or focused; problems stay. */
import { Button, CloseButton } from '@mantine/core';
import { useEffect, useState, type ReactElement } from 'react';
import { useApp, useNotices } from '../appContext';
import type { Notice } from '../state/notices';
import { ErrorNote } from '../widgets/ErrorNote';
import styles from './NoticeList.module.css';

/** Long enough to read twice and to reach the button. */
const lifeMs = 12_000;

export function NoticeList(): ReactElement {
  const notices = useNotices((state) => state.notices);
  return (
    <div className={styles.list} role="region" aria-label="Notes" aria-live="polite">
      {notices.map((notice) => (
        <NoticeCard key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function NoticeCard({ notice }: { readonly notice: Notice }): ReactElement {
  const app = useApp();
  const { id, tone, text, action, error } = notice;
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (tone === 'problem' || held) return;
    const timer = setTimeout(() => app.notices.close(id), lifeMs);
    return () => clearTimeout(timer);
  }, [app, id, tone, held]);
  return (
    <div
      className={styles.card}
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      {error ? (
        <div className={styles.text}>
          <ErrorNote title={text} error={error} />
        </div>
      ) : (
        <p className={styles.text}>{text}</p>
      )}
      {action && (
        <Button
          size="compact-sm"
          variant="subtle"
          onClick={() => {
            action.run();
            app.notices.close(id);
          }}
        >
          {action.label}
        </Button>
      )}
      <CloseButton aria-label="Close this note" onClick={() => app.notices.close(id)} />
    </div>
  );
}

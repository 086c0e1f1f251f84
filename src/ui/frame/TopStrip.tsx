/** The strip that is always there: what runs where. Model, jobs, memory, theme, keys. */
import type { ReactElement } from 'react';
import { useKept } from '../appContext';
import type { Theme } from '../state/kept';
import { keysSheet } from '../state/sheet';
import type { IconName } from '../widgets/Icon';
import { IconButton } from '../widgets/IconButton';
import { JobsButton } from './JobsButton';
import { Logo } from './Logo';
import { MemoryGauge } from './MemoryGauge';
import { ModelChip } from './ModelChip';
import styles from './TopStrip.module.css';

export interface TopStripProps {
  /** Whether there is an engine to tell about. */
  readonly alive: boolean;
}

export function TopStrip({ alive }: TopStripProps): ReactElement {
  return (
    <header className={styles.strip}>
      <div className={styles.brand}>
        <Logo size={24} />
        <span className={styles.name}>tabdit</span>
      </div>
      {alive && <ModelChip />}
      <div className={styles.space} />
      {alive && <JobsButton />}
      {alive && <MemoryGauge />}
      <ThemeButton />
      <span className={styles.keys}>
        <IconButton icon="keys" label="Keys" onClick={() => keysSheet.setState({ open: true })} />
      </span>
    </header>
  );
}

const nextTheme: Readonly<
  Record<Theme, { readonly theme: Theme; readonly icon: IconName; readonly name: string }>
> = {
  auto: { theme: 'light', icon: 'auto', name: 'as the system' },
  light: { theme: 'dark', icon: 'sun', name: 'light' },
  dark: { theme: 'auto', icon: 'moon', name: 'dark' },
};

function ThemeButton(): ReactElement {
  const theme = useKept((state) => state.view.theme);
  const setView = useKept((state) => state.setView);
  const { icon, name, theme: next } = nextTheme[theme];
  const label = `Theme: ${name}. Change to ${nextTheme[next].name}`;
  return <IconButton icon={icon} label={label} onClick={() => setView({ theme: next })} />;
}

/** The panels: a rail at the left, a bar at the bottom of narrow screens. */
import type { MouseEvent, ReactElement } from 'react';
import { useStore } from 'zustand';
import { goTo, panelStore, searchFor, type Panel } from '../state/panel';
import { classNames } from '../widgets/classNames';
import { Icon, type IconName } from '../widgets/Icon';
import styles from './Rail.module.css';

const entries: readonly { readonly panel: Panel; readonly name: string; readonly icon: IconName }[] = [
  { panel: 'generate', name: 'Generate', icon: 'generate' },
  { panel: 'models', name: 'Models', icon: 'model' },
  { panel: 'device', name: 'Device', icon: 'device' },
];

export function Rail(): ReactElement {
  const current = useStore(panelStore, (state) => state.panel);
  const open = (event: MouseEvent, panel: Panel): void => {
    // a new tab or window is the browser's business
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goTo(panel);
  };
  return (
    <nav className={styles.rail} aria-label="Panels">
      {entries.map(({ panel, name, icon }) => (
        <a
          key={panel}
          href={searchFor(panel, window.location.search) || '?'}
          className={classNames(styles.entry, panel === current && styles.current)}
          aria-current={panel === current ? 'page' : undefined}
          onClick={(event) => open(event, panel)}
        >
          <Icon name={icon} size={22} />
          <span>{name}</span>
        </a>
      ))}
    </nav>
  );
}

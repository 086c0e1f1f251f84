/** The whole page: frame around the open panel, and what lies over it. */
import { MantineProvider } from '@mantine/core';
import { useSyncExternalStore, type ReactElement } from 'react';
import { useStore } from 'zustand';
import type { App } from './app';
import { AppProvider, useEngine, useKept } from './appContext';
import { DeviceBanner } from './frame/DeviceBanner';
import { DropZone } from './frame/DropZone';
import { KeysSheet } from './frame/KeysSheet';
import { NoticeList } from './frame/NoticeList';
import { ProgressVoice } from './frame/ProgressVoice';
import { Rail } from './frame/Rail';
import { TopStrip } from './frame/TopStrip';
import { Unavailable } from './frame/Unavailable';
import styles from './Page.module.css';
import { DevicePanel } from './panels/Device/DevicePanel';
import { GeneratePanel } from './panels/Generate/GeneratePanel';
import { ModelsPanel } from './panels/Models/ModelsPanel';
import { isUnavailable } from './state/engineView';
import { panelStore, type Panel } from './state/panel';
import type { Theme } from './state/kept';
import { cssVariables, theme as mantineTheme } from './theme';

export function Page({ app }: { readonly app: App }): ReactElement {
  return (
    <AppProvider value={app}>
      <Themed />
    </AppProvider>
  );
}

const systemDark = window.matchMedia('(prefers-color-scheme: dark)');

/** The scheme that a choice of theme gives on this system now. */
export function schemeOf(theme: Theme): 'light' | 'dark' {
  if (theme !== 'auto') return theme;
  return systemDark.matches ? 'dark' : 'light';
}

function Themed(): ReactElement {
  const theme = useKept((state) => state.view.theme);
  const scheme = useSyncExternalStore(followSystem, () => schemeOf(theme));
  return (
    // one element for everything: the provider puts its style sheet beside its children
    <div>
      <MantineProvider theme={mantineTheme} cssVariablesResolver={cssVariables} forceColorScheme={scheme}>
        <Framed />
      </MantineProvider>
    </div>
  );
}

function followSystem(onChange: () => void): () => void {
  systemDark.addEventListener('change', onChange);
  return () => systemDark.removeEventListener('change', onChange);
}

function Framed(): ReactElement {
  const state = useEngine((view) => view.state);
  const panel = useStore(panelStore, (open) => open.panel);
  const unavailable = isUnavailable(state);
  return (
    <div className={styles.frame}>
      <TopStrip alive={!unavailable} />
      {unavailable ? (
        <Unavailable state={state} />
      ) : (
        <>
          <Rail />
          <main className={styles.main}>
            <DeviceBanner />
            <OpenPanel panel={panel} />
          </main>
        </>
      )}
      <DropZone />
      <KeysSheet />
      <NoticeList />
      <ProgressVoice />
    </div>
  );
}

function OpenPanel({ panel }: { readonly panel: Panel }): ReactElement {
  switch (panel) {
    case 'generate':
      return <GeneratePanel />;
    case 'models':
      return <ModelsPanel />;
    case 'device':
      return <DevicePanel />;
    default:
      panel satisfies never;
      return <></>;
  }
}

/**
 * In place of the panels where nothing can be computed: what is missing, what that means, what to do. Addresses of
 * browser settings are text, because no page may link to them.
 */
import { Button } from '@mantine/core';
import type { ReactElement } from 'react';
import { useApp } from '../appContext';
import type { UnavailableState } from '../state/engineView';
import { CopyText } from '../widgets/CopyText';
import { ErrorNote } from '../widgets/ErrorNote';
import styles from './Unavailable.module.css';

export function Unavailable({ state }: { readonly state: UnavailableState }): ReactElement {
  return (
    <main className={styles.page}>
      <div className={styles.sheet}>
        <Reason state={state} />
      </div>
    </main>
  );
}

function Reason({ state }: { readonly state: UnavailableState }): ReactElement {
  switch (state.name) {
    case 'no-webgpu':
      return state.secure ? <NoWebGpu /> : <NotSecure />;
    case 'no-adapter':
      return <NoAdapter message={state.message} />;
    case 'failed':
      return (
        <>
          <h1>The engine stopped</h1>
          <ErrorNote
            title="Its worker ended and cannot go on in this page."
            error={state.error}
            action={{ label: 'Reload the page', run: () => window.location.reload() }}
          />
        </>
      );
    default:
      state satisfies never;
      return <></>;
  }
}

function NoWebGpu(): ReactElement {
  return (
    <>
      <h1>This browser does not offer WebGPU</h1>
      <p>
        tabdit makes pictures on the graphics chip of this machine, and WebGPU is how a page may use it.
        Without it nothing here can run. Your device and your data are fine; another browser, or a setting, is
        all it takes.
      </p>
      <h2>Browsers that have it</h2>
      <table>
        <tbody>
          <Browser
            name="Chrome, Edge"
            versions="113 or newer on Windows, macOS and ChromeOS; 121 on Android"
          />
          <Browser name="Safari" versions="26 or newer on macOS, iOS, iPadOS and visionOS" />
          <Browser name="Firefox" versions="141 or newer on Windows, 145 on macOS with Apple silicon" />
        </tbody>
      </table>
      <h2>Where it is there but switched off</h2>
      <ul>
        <li>
          Chrome or Edge on Linux: open <CopyText text="chrome://flags/#enable-unsafe-webgpu" />, choose
          Enabled, and start the browser again.
        </li>
        <li>
          Firefox: open <CopyText text="about:config" />, set <code>dom.webgpu.enabled</code> to true, and
          reload this page.
        </li>
        <li>
          Safari 18: Settings, Advanced, “Show features for web developers”; then Develop, Feature Flags,
          WebGPU.
        </li>
        <li>Everywhere: graphics acceleration must be on in the browser’s system settings.</li>
      </ul>
      <Reload />
    </>
  );
}

function NotSecure(): ReactElement {
  return (
    <>
      <h1>This address is not secure enough for WebGPU</h1>
      <p>
        Browsers offer WebGPU only to pages that come over https, or from this same machine as{' '}
        <code>localhost</code> or <code>127.0.0.1</code>. This page came from{' '}
        <code>{window.location.origin}</code>.
      </p>
      <p>Open it over https, or start tabdit on this machine and use the address that it prints.</p>
    </>
  );
}

function NoAdapter({ message }: { readonly message: string }): ReactElement {
  const app = useApp();
  return (
    <>
      <h1>No graphics chip can be used</h1>
      <p>The browser has WebGPU, but gave no device to compute on. In its words: {message}</p>
      <h2>What usually helps</h2>
      <ul>
        <li>
          Switch on graphics acceleration in the browser’s system settings, and start the browser again.
        </li>
        <li>
          After several crashes of the graphics driver a browser refuses until it is started again: close all
          of its windows.
        </li>
        <li>Update the graphics driver. Remote desktops and virtual machines often have none.</li>
        <li>
          Chrome or Edge: <CopyText text="chrome://gpu" /> says what is switched off and why. On Linux,{' '}
          <CopyText text="chrome://flags/#enable-unsafe-webgpu" /> may be needed.
        </li>
      </ul>
      <Button onClick={() => app.retryDevice()}>Try again</Button>
    </>
  );
}

function Reload(): ReactElement {
  return <Button onClick={() => window.location.reload()}>Try again</Button>;
}

function Browser({ name, versions }: { readonly name: string; readonly versions: string }): ReactElement {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{versions}</td>
    </tr>
  );
}

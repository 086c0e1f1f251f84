/** The sheet of keys, and the switch for those without Ctrl or Cmd. */
import { Kbd, Modal, Switch } from '@mantine/core';
import type { ReactElement } from 'react';
import { useStore } from 'zustand';
import { useKept } from '../appContext';
import { keyActions, keyLabels, localKeys } from '../keyActions';
import { keysSheet } from '../state/sheet';
import styles from './KeysSheet.module.css';

const isMac = /mac|iphone|ipad/i.test(navigator.platform);

export function KeysSheet(): ReactElement {
  const open = useStore(keysSheet, (state) => state.open);
  const singleKeys = useKept((state) => state.view.singleKeys);
  const setView = useKept((state) => state.setView);
  const rows = [
    ...keyActions.map((action) => ({
      what: action.what,
      keys: keyLabels(action, isMac),
      single: !action.mod,
    })),
    ...localKeys.map(({ what, keys }) => ({ what, keys, single: false })),
  ];
  return (
    <Modal
      opened={open}
      onClose={() => keysSheet.setState({ open: false })}
      title="Keys"
      centered
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <dl className={styles.keys}>
        {rows.map(({ what, keys, single }) => (
          <div key={what} className={single && !singleKeys ? styles.off : undefined}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <Kbd key={key}>{key}</Kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <Switch
        className={styles.switch}
        label="Keys without Ctrl or Cmd"
        description="Switch off if they get in the way of speech input or another tool."
        checked={singleKeys}
        onChange={(event) => setView({ singleKeys: event.currentTarget.checked })}
      />
    </Modal>
  );
}

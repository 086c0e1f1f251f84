/** The tensors of one file at the side: a list to filter, and what the chosen one's values are like. */
import { CloseButton, Drawer, Loader, TextInput } from '@mantine/core';
import type { ReactElement } from 'react';
import { useStore } from 'zustand';
import { formatBytes } from '../../../core/units';
import type { TensorFacts } from '../../../protocol/library';
import { useApp, useEngine } from '../../appContext';
import { filterTensors } from '../../state/inspector';
import { shortName } from '../../state/intakeWords';
import { ErrorNote } from '../../widgets/ErrorNote';
import styles from './TensorDrawer.module.css';
import { TensorStatisticsView } from './TensorStatisticsView';
import { TensorTable } from './TensorTable';

export function TensorDrawer(): ReactElement {
  const { inspector } = useApp().models;
  const open = useStore(inspector.store, (state) => state.item);
  const item = useEngine((view) => view.library?.items.find(({ id }) => id === open));
  return (
    <Drawer
      opened={open !== null}
      onClose={() => inspector.close()}
      position="right"
      size="min(720px, 100%)"
      title={item ? `Tensors of ${shortName(item.path, 44)}` : 'Tensors'}
      closeButtonProps={{ 'aria-label': 'Close' }}
      classNames={{ content: styles.content, body: styles.body, title: styles.title, header: styles.header }}
      transitionProps={{ duration: 150 }}
    >
      {open !== null && <Content key={open} />}
    </Drawer>
  );
}

function Content(): ReactElement {
  const { inspector } = useApp().models;
  const { tensors } = useStore(inspector.store);
  switch (tensors.state) {
    case 'reading':
      return (
        <p className={styles.reading} role="status">
          <Loader size="xs" /> Reading the list
        </p>
      );
    case 'failed':
      return <ErrorNote title="The list could not be read." error={tensors.error} />;
    case 'read':
      return <Tensors tensors={tensors.value} />;
    default:
      tensors satisfies never;
      return <></>;
  }
}

function Tensors({ tensors }: { readonly tensors: readonly TensorFacts[] }): ReactElement {
  const { inspector } = useApp().models;
  const { filter, chosen, statistics } = useStore(inspector.store);
  const shown = filterTensors(tensors, filter);
  const bytes = shown.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const facts = tensors.find(({ name }) => name === chosen);
  return (
    <>
      <TextInput
        aria-label="Filter tensors"
        placeholder="Filter by name, type or shape: blocks.3 qkv f32"
        value={filter}
        data-autofocus
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => inspector.setFilter(event.currentTarget.value)}
        rightSection={
          filter !== '' && (
            <CloseButton size="sm" aria-label="Clear the filter" onClick={() => inspector.setFilter('')} />
          )
        }
      />
      <p className={styles.count} role="status">
        {shown.length === tensors.length
          ? `${tensors.length.toLocaleString('en')} tensors`
          : `${shown.length.toLocaleString('en')} of ${tensors.length.toLocaleString('en')} tensors`}
        , {formatBytes(bytes)}
      </p>
      {shown.length > 0 ? (
        <TensorTable
          key={filter}
          tensors={shown}
          chosen={chosen}
          onChoose={(name) => void inspector.choose(name)}
        />
      ) : (
        <p className={styles.nothing}>No tensor has all of these words.</p>
      )}
      {facts ? (
        <TensorStatisticsView
          tensor={facts}
          reading={statistics.get(facts.name) ?? { state: 'reading' }}
          onRetry={() => void inspector.choose(facts.name)}
        />
      ) : (
        <p className={styles.hint}>Choose a tensor to read its values and see what they are like.</p>
      )}
    </>
  );
}

/** Models: which is loaded, which could be next, and every file that was dropped. */
import { useEffect, useRef, type ReactElement } from 'react';
import { useStore } from 'zustand';
import { useApp, useEngine } from '../../appContext';
import { intakeStatus } from '../../state/intake';
import { OwnFold } from '../../widgets/Fold';
import sheet from '../Panel.module.css';
import { AddFiles } from './AddFiles';
import { FirstFiles } from './FirstFiles';
import { LibraryList } from './LibraryList';
import { LoadedModel } from './LoadedModel';
import styles from './ModelsPanel.module.css';
import { NextModel } from './NextModel';
import { ReleasedFiles } from './ReleasedFiles';
import { TensorDrawer } from './TensorDrawer';

export function ModelsPanel(): ReactElement {
  const library = useEngine((view) => view.library);
  useShowArrivals();
  const empty = !library || library.items.length === 0;
  return (
    <div className={sheet.panel}>
      <div className={sheet.head}>
        <div>
          <h1>Models</h1>
          <p className={sheet.dim}>
            What makes the pictures: the model that is loaded, and the files you bring.
          </p>
        </div>
        {!empty && <AddFiles primary={false} />}
      </div>
      <IntakeLine />
      <LoadedModel />
      {empty ? (
        <FirstFiles />
      ) : (
        <>
          <NextModel library={library} />
          <LibraryList items={library.items} />
        </>
      )}
      <section className={sheet.card} aria-labelledby="released">
        <h2 id="released">Where released files are found</h2>
        {empty ? (
          <ReleasedFiles />
        ) : (
          <OwnFold title="Names, sizes and links">
            <ReleasedFiles />
          </OwnFold>
        )}
      </section>
      <TensorDrawer />
    </div>
  );
}

/** Brings the next model into sight when files have come into the library: it is what they are for. */
function useShowArrivals(): void {
  const arrivals = useStore(useApp().models.intake, (state) => state.arrivals);
  const shown = useRef(arrivals);
  useEffect(() => {
    if (shown.current === arrivals) return;
    shown.current = arrivals;
    document.getElementById('next')?.parentElement?.scrollIntoView({ block: 'start' });
  }, [arrivals]);
}

/** What goes on with files that were just added. */
function IntakeLine(): ReactElement {
  const intake = useStore(useApp().models.intake);
  const status = intakeStatus(intake);
  return (
    <div role="status" className={status ? styles.intake : undefined}>
      {status}
    </div>
  );
}

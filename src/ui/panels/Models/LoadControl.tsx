/** The button that loads the next model; while it is loaded, how far that is and how to end it. */
import { Button } from '@mantine/core';
import type { ReactElement } from 'react';
import type { LibraryView } from '../../../protocol/library';
import { useApp, useEngine, useKept } from '../../appContext';
import { loadingFrom } from '../../state/engineView';
import { loadProblem } from '../../state/nextModel';
import { ErrorNote } from '../../widgets/ErrorNote';
import { LoadProgress, loadAdvice } from '../../widgets/LoadProgress';
import { LoadButtons } from './LoadButtons';
import styles from './ModelsPanel.module.css';

export function LoadControl({ library }: { readonly library: LibraryView }): ReactElement {
  const app = useApp();
  const weights = useKept((state) => state.loading.weights);
  const job = useEngine((view) => loadingFrom(view, 'library'));
  const ready = useEngine((view) => view.state.name === 'ready');
  const busy = useEngine((view) => view.jobs.length > 0);
  const replaces = useEngine((view) => view.model !== null);
  const failure = useEngine((view) => view.errors.loadModel);
  const problem = ready ? loadProblem(library, weights) : 'Waiting for the graphics chip.';
  const error = failure?.source.kind === 'library' && !job ? failure.error : null;
  if (job) {
    return (
      <div className={styles.loading}>
        <LoadProgress job={job} />
        <LoadButtons job={job} />
      </div>
    );
  }
  return (
    <>
      <div className={styles.load}>
        <Button
          size="md"
          // not `disabled`: it can be reached, and says why
          aria-disabled={problem !== ''}
          data-blocked={problem !== '' || undefined}
          className={styles.loadButton}
          onClick={() => {
            if (problem === '') app.models.loadChosen();
          }}
        >
          Load
        </Button>
        <p className={styles.small}>
          {problem ||
            (busy
              ? 'Loads when the work before it is done.'
              : replaces
                ? 'It takes the place of the present one.'
                : '')}
        </p>
      </div>
      {error && (
        <ErrorNote
          title="The model was not loaded."
          error={error}
          advice={loadAdvice(error.code)}
          action={{ label: 'Try again', run: () => app.models.loadChosen() }}
        />
      )}
    </>
  );
}

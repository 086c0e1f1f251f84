/** The model that is loaded now: what it is, what it takes, and how to take it off. */
import { Button } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatCount, formatSeconds } from '../../../core/units';
import type { ModelDescription } from '../../../protocol/messages';
import { useApp, useEngine } from '../../appContext';
import { loadingFrom, modelChanges } from '../../state/engineView';
import { weightWords } from '../../state/nextModel';
import { ErrorNote } from '../../widgets/ErrorNote';
import { Facts } from '../../widgets/Facts';
import { OwnFold } from '../../widgets/Fold';
import { LoadProgress, loadAdvice } from '../../widgets/LoadProgress';
import { MemoryBar } from '../../widgets/MemoryBar';
import sheet from '../Panel.module.css';
import { LoadButtons } from './LoadButtons';
import styles from './ModelsPanel.module.css';
import { QuantizationTable } from './QuantizationTable';

export function LoadedModel(): ReactElement {
  const app = useApp();
  const model = useEngine((view) => view.model);
  const changing = useEngine(modelChanges);
  const unloading = useEngine((view) => view.jobs.some(({ job }) => job.kind === 'unloadModel'));
  const demoJob = useEngine((view) => loadingFrom(view, 'bundle'));
  const ready = useEngine((view) => view.state.name === 'ready');
  const unloadError = useEngine((view) => view.errors.unloadModel);
  const failure = useEngine((view) => view.errors.loadModel);
  const demoFailure = failure?.source.kind === 'bundle' && !demoJob ? failure.error : null;
  const offersDemo = model?.source.kind !== 'bundle' && !changing;
  return (
    <section className={sheet.card} aria-labelledby="loaded">
      <div className={sheet.cardHead}>
        <div>
          <h2 id="loaded">{model ? `Loaded: ${model.title}` : 'No model is loaded'}</h2>
          <p className={sheet.dim}>
            {model
              ? `Makes pictures of ${model.imageSize} × ${model.imageSize} pixels`
              : changing && !demoJob
                ? 'The next one is on its way.'
                : ready
                  ? 'Load the demo, or bring your own files.'
                  : 'The graphics chip is being opened.'}
          </p>
        </div>
        <div className={styles.buttons}>
          {offersDemo && (
            <Button variant="default" disabled={!ready} onClick={() => app.models.loadDemo()}>
              Load the demo
            </Button>
          )}
          {model && (
            <Button variant="default" disabled={unloading} onClick={() => app.models.unload()}>
              {unloading ? 'Unloading' : 'Unload'}
            </Button>
          )}
        </div>
      </div>
      {demoJob && (
        <div className={styles.loading}>
          <LoadProgress job={demoJob} />
          <LoadButtons job={demoJob} />
        </div>
      )}
      {demoFailure && (
        <ErrorNote
          title="The demo was not loaded."
          error={demoFailure}
          advice={loadAdvice(demoFailure.code)}
          action={{ label: 'Try again', run: () => app.models.loadDemo() }}
        />
      )}
      {unloadError && !unloading && <ErrorNote title="The model was not unloaded." error={unloadError} />}
      {model && <ModelFacts model={model} />}
    </section>
  );
}

/** Where the parts of a model are, as a sentence. */
export function residencyWords({ residency }: Pick<ModelDescription, 'residency'>): string {
  switch (residency) {
    case 'resident':
      return 'all parts stay on the device';
    case 'staged':
      return 'parts come and go, each when it is its turn';
    default:
      residency satisfies never;
      return '';
  }
}

function ModelFacts({ model }: { readonly model: ModelDescription }): ReactElement {
  const parameters = model.parameters.reduce((sum, { count }) => sum + count, 0);
  const evaluation = model.plans.find(({ name }) => name === 'one evaluation');
  const asked = model.weightChoice === 'auto' ? ', chosen by Auto' : '';
  return (
    <>
      <div className={styles.halves}>
        <Facts
          rows={[
            ['Parameters', formatCount(parameters)],
            ...model.parameters.map(({ part, count }) => [`of these: ${part}`, formatCount(count)] as const),
            ['Weights', `${model.weights}, ${weightWords[model.weights].what}${asked}`],
            ['Memory', residencyWords(model)],
            ...(evaluation ? [['Work per evaluation', `${formatCount(evaluation.macs)} MACs`] as const] : []),
            ['Loaded in', formatSeconds(model.loadMs / 1000)],
          ]}
        />
        <div>
          <h3 className={styles.subhead}>GPU memory</h3>
          <MemoryBar parts={model.memory} budget={model.budget} />
        </div>
      </div>
      {model.quantization.length > 0 && (
        <OwnFold title={`What int8 costs in exactness, ${formatCount(model.quantization.length)} tensors`}>
          <QuantizationTable rows={model.quantization} />
        </OwnFold>
      )}
      {model.licence && <p className={styles.small}>{model.licence}</p>}
    </>
  );
}

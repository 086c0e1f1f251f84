/** Which model is loaded, and what it is: a chip in the top strip that opens a card. */
import { Popover, UnstyledButton } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatBytes, formatCount, formatSeconds } from '../../core/units';
import type { ModelDescription } from '../../protocol/messages';
import { useEngine } from '../appContext';
import { jobFraction, loadingJob } from '../state/engineView';
import { Facts } from '../widgets/Facts';
import { Icon } from '../widgets/Icon';
import styles from './TopStrip.module.css';

export function ModelChip(): ReactElement {
  const model = useEngine((view) => view.model);
  const loading = useEngine(loadingJob);
  const fraction = loading && jobFraction(loading);
  const text = model?.title ?? (loading ? 'Loading the model' : 'No model');
  return (
    <Popover width={320} position="bottom-start" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={styles.chip} disabled={!model} aria-label={`Model: ${text}`}>
          <Icon name="model" size={18} />
          <span className={styles.chipText}>{text}</span>
          {fraction != null && <span className={styles.dim}>{Math.round(100 * fraction)} %</span>}
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>{model && <ModelCard model={model} />}</Popover.Dropdown>
    </Popover>
  );
}

function ModelCard({ model }: { readonly model: ModelDescription }): ReactElement {
  const parameters = model.parameters.reduce((sum, { count }) => sum + count, 0);
  const memory = model.memory.reduce((sum, { bytes }) => sum + bytes, 0);
  const evaluation = model.plans.find(({ name }) => name === 'one evaluation');
  const size = `${model.imageSize} × ${model.imageSize} pixels`;
  return (
    <section aria-label="Model">
      <p className={styles.cardTitle}>{model.title}</p>
      <Facts
        rows={[
          ['Pictures', size],
          ['Parameters', formatCount(parameters)],
          ...model.parameters.map(({ part, count }) => [`of these: ${part}`, formatCount(count)] as const),
          ['Weights stored as', model.weights],
          ['GPU memory', formatBytes(memory)],
          ...(evaluation ? [['Work per evaluation', `${formatCount(evaluation.macs)} MACs`] as const] : []),
          ['Loaded in', formatSeconds(model.loadMs / 1000)],
        ]}
      />
      <p className={styles.licence}>{model.licence}</p>
    </section>
  );
}

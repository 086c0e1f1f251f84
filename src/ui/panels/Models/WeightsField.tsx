/** How the next model's weights are stored: what each choice takes, and whether it fits the budget. */
import { Radio } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatBytes } from '../../../core/units';
import type { MemoryPlan } from '../../../protocol/library';
import { useApp, useKept } from '../../appContext';
import { weightChoices } from '../../state/kept';
import { fitWords, planFor, weightWords } from '../../state/nextModel';
import styles from './ModelsPanel.module.css';

export interface WeightsFieldProps {
  /** Empty while nothing can be planned. */
  readonly plans: readonly MemoryPlan[];
  readonly budget: number;
}

export function WeightsField({ plans, budget }: WeightsFieldProps): ReactElement {
  const app = useApp();
  const weights = useKept((state) => state.loading.weights);
  return (
    <Radio.Group
      label="Weights"
      value={weights}
      onChange={(value) => {
        const choice = weightChoices.find((candidate) => candidate === value);
        if (choice) app.models.chooseWeights(choice);
      }}
    >
      <div className={styles.weights}>
        {weightChoices.map((choice) => {
          const plan = planFor(plans, choice);
          const { name, what } = weightWords[choice];
          return (
            <Radio.Card key={choice} value={choice} className={styles.weight}>
              <Radio.Indicator size="xs" />
              <span className={styles.weightText}>
                <span>
                  <strong>{name}</strong> {choice === 'auto' && plan ? `now ${plan.weights}` : what}
                </span>
                {plan && (
                  <span className={plan.fit === 'none' ? styles.unfit : styles.small}>
                    {fitWords(plan, budget)}
                  </span>
                )}
              </span>
              {plan && plan.problem === null && (
                <span className={styles.weightBytes}>{formatBytes(plan.total)}</span>
              )}
            </Radio.Card>
          );
        })}
      </div>
    </Radio.Group>
  );
}

/** What a model may take on the device. A page cannot ask how much memory there is, so the user says it. */
import { NumberInput } from '@mantine/core';
import { useId, type ReactElement } from 'react';
import { formatBytes } from '../../../core/units';
import { useApp, useKept } from '../../appContext';
import { maxBudget, minBudget } from '../../state/kept';
import { IconButton } from '../../widgets/IconButton';
import { budgetFrom, gigabyte } from './figures';
import styles from './ModelsPanel.module.css';

export function BudgetField({ defaultBudget }: { readonly defaultBudget: number }): ReactElement {
  const app = useApp();
  const kept = useKept((state) => state.loading.budget);
  const id = useId();
  const bytes = kept ?? defaultBudget;
  return (
    <div className={styles.budget}>
      <div className={styles.budgetLine}>
        <label htmlFor={id}>Memory budget</label>
        {kept !== null && kept !== defaultBudget && (
          <IconButton
            icon="reset"
            size="sm"
            iconSize={14}
            label={`Set the budget back to ${formatBytes(defaultBudget)}`}
            onClick={() => app.models.setBudget(null)}
          />
        )}
        <NumberInput
          id={id}
          className={styles.budgetNumber}
          size="xs"
          suffix=" GB"
          min={minBudget / gigabyte}
          max={maxBudget / gigabyte}
          step={0.5}
          decimalScale={2}
          allowNegative={false}
          clampBehavior="blur"
          value={bytes / gigabyte}
          aria-describedby={`${id}-why`}
          onChange={(value) => {
            const budget = budgetFrom(value);
            if (budget !== null && budget !== bytes) {
              app.models.setBudget(budget === defaultBudget ? null : budget);
            }
          }}
        />
      </div>
      <p className={styles.small} id={`${id}-why`}>
        What a model may take of the graphics chip’s memory. A page cannot ask how much there is; say it here.
      </p>
    </div>
  );
}

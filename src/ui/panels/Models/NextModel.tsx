/** The next model: its parts in a line, the weights and what they take, the budget, and the button that loads it. */
import type { ReactElement } from 'react';
import type { LibraryView } from '../../../protocol/library';
import { useEngine, useKept } from '../../appContext';
import { fitAdvice, planFor, slotsOf } from '../../state/nextModel';
import { classNames } from '../../widgets/classNames';
import { Icon } from '../../widgets/Icon';
import { MemoryBar } from '../../widgets/MemoryBar';
import sheet from '../Panel.module.css';
import { BudgetField } from './BudgetField';
import { LoadControl } from './LoadControl';
import styles from './ModelsPanel.module.css';
import { PartLine } from './PartLine';
import { WeightsField } from './WeightsField';

export function NextModel({ library }: { readonly library: LibraryView }): ReactElement {
  const weights = useKept((state) => state.loading.weights);
  const defaultBudget = useEngine((view) => view.adapter?.defaultBudget ?? 0);
  const { conflicts, plans, budget } = library;
  const plan = planFor(plans, weights);
  const advice = fitAdvice(plans, weights, budget);
  return (
    <section className={classNames(sheet.card, styles.next)} aria-labelledby="next">
      <h2 id="next">The next model</h2>
      <PartLine slots={slotsOf(library)} />
      {conflicts.length > 0 && (
        <ul className={styles.conflicts} aria-label="What does not fit">
          {conflicts.map((sentence) => (
            <li key={sentence}>
              <Icon name="alert" size={18} />
              <span>{sentence}</span>
            </li>
          ))}
        </ul>
      )}
      <div className={styles.halves}>
        <div>
          <WeightsField plans={plans} budget={budget} />
          {advice && (
            <p className={styles.advice} role="status">
              {advice}
            </p>
          )}
        </div>
        <div>
          <BudgetField defaultBudget={defaultBudget} />
          {plan && plan.problem === null && (
            <>
              <h3 className={styles.subhead}>Memory with {plan.weights} weights</h3>
              <MemoryBar parts={plan.parts} budget={budget} />
            </>
          )}
        </div>
      </div>
      <LoadControl library={library} />
    </section>
  );
}

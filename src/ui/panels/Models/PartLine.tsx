/** The parts of the next model as connected boxes: what fills each place, or what is missing and where it is found. */
import { NativeSelect } from '@mantine/core';
import type { ReactElement } from 'react';
import { useApp } from '../../appContext';
import { shortName, withoutName } from '../../state/intakeWords';
import { choiceValue, valueChoice, type Candidate, type Slot } from '../../state/nextModel';
import { roleNames } from '../../state/roles';
import { Icon } from '../../widgets/Icon';
import styles from './PartLine.module.css';
import { Where } from './ReleasedFiles';

export function PartLine({ slots }: { readonly slots: readonly Slot[] }): ReactElement {
  const reads = slots.some(({ role, chosen }) => role === 'text' && chosen !== null);
  return (
    <ul className={styles.line} aria-label="Parts of the next model">
      {slots.map((slot) => (
        <Box key={slot.role} slot={slot} own={slot.role === 'tokenizer' && reads} />
      ))}
    </ul>
  );
}

interface BoxProps {
  readonly slot: Slot;
  /** Whether what comes with the program fills it where nothing else does. */
  readonly own: boolean;
}

function Box({ slot, own }: BoxProps): ReactElement {
  const { role, chosen, missing, unusable, candidates } = slot;
  const { title, does } = roleNames[role];
  const state = chosen ? 'filled' : missing ? 'missing' : own ? 'filled' : 'free';
  // one that is chosen needs no list; one that is not, does
  const choosable = candidates.length > 1 || (candidates.length === 1 && !chosen);
  return (
    <li className={styles.box} data-state={state}>
      <div className={styles.head}>
        <h3>{title}</h3>
        <span className={styles.mark}>
          {state === 'filled' && <Icon name="check" size={18} />}
          {state === 'missing' && <Icon name="alert" size={18} />}
        </span>
      </div>
      {chosen ? (
        <>
          <p>{chosen.part.words}</p>
          <p className={styles.path}>{pathWords(chosen)}</p>
        </>
      ) : missing ? (
        <>
          <p>
            <strong>Missing.</strong> {missing.words}
          </p>
          <p className={styles.small}>
            <Where text={missing.where} />
          </p>
        </>
      ) : (
        <p className={own ? undefined : styles.small}>
          {own ? 'CLIP’s, which comes with tabdit' : freeWords(slot, does)}
        </p>
      )}
      {!chosen &&
        unusable.map(({ value, item, part }) => (
          <p key={value} className={styles.problem}>
            “{shortName(item.path)}” cannot fill it: {withoutName(part.problem ?? '', item.path)}
          </p>
        ))}
      {choosable && <Choice slot={slot} />}
    </li>
  );
}

/** What stands in an empty place that is no lack. */
function freeWords({ candidates }: Slot, does: string): string {
  return candidates.length > 0 ? 'Nothing is chosen.' : does;
}

function pathWords({ item, part }: Candidate): string {
  return part.prefix === '' ? item.path : `${item.path}, names with ${part.prefix}`;
}

function Choice({ slot: { role, chosen, candidates } }: { readonly slot: Slot }): ReactElement {
  const app = useApp();
  return (
    <NativeSelect
      size="xs"
      className={styles.choice}
      aria-label={`${roleNames[role].title} to use`}
      value={choiceValue(chosen && chosen.choice)}
      data={[
        { value: '', label: 'None' },
        ...candidates.map(({ value, item, part }) => ({
          value,
          label: `${shortName(item.path)}: ${part.words}`,
        })),
      ]}
      onChange={(event) => app.models.choose(role, valueChoice(event.currentTarget.value))}
    />
  );
}

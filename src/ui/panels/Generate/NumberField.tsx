/**
 * A number with a slider: the two show one value. A mark beside the name sets it back where it differs from the model's
 * default. While a number is being typed it may be out of range; what is committed never is.
 */
import { NumberInput, Slider } from '@mantine/core';
import { useId, type ReactElement } from 'react';
import { IconButton } from '../../widgets/IconButton';
import styles from './SettingsBlock.module.css';

export interface NumberFieldProps {
  readonly name: string;
  /** Said under the name in small print; '' for nothing. */
  readonly hint: string;
  readonly value: number;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  /** Where the slider ends, if before `max`. */
  readonly sliderMax: number;
  readonly step: number;
  /** null: follow the model. */
  readonly onChange: (value: number | null) => void;
}

export function NumberField(props: NumberFieldProps): ReactElement {
  const { name, hint, value, fallback, min, max, sliderMax, step, onChange } = props;
  const id = useId();
  const decimals = step < 1 ? 1 : 0;
  const take = (given: number | string): void => {
    const number = typeof given === 'number' ? given : Number.parseFloat(given);
    if (!Number.isFinite(number) || number < min || number > max) return;
    const rounded = Number(number.toFixed(decimals));
    onChange(rounded === fallback ? null : rounded);
  };
  return (
    <div className={styles.field}>
      <div className={styles.line}>
        <label htmlFor={id} className={styles.name}>
          {name}
        </label>
        {value !== fallback && (
          <IconButton
            icon="reset"
            size="sm"
            iconSize={14}
            label={`Set ${name.toLowerCase()} back to ${fallback}`}
            onClick={() => onChange(null)}
          />
        )}
        <span className={styles.hint}>{hint}</span>
        <NumberInput
          id={id}
          className={styles.number}
          size="xs"
          min={min}
          max={max}
          step={step}
          decimalScale={decimals}
          clampBehavior="blur"
          allowNegative={false}
          allowDecimal={decimals > 0}
          value={value}
          onChange={take}
        />
      </div>
      <Slider
        size="sm"
        label={null}
        min={min}
        max={sliderMax}
        step={step}
        value={Math.min(value, sliderMax)}
        onChange={take}
        thumbLabel={name}
      />
    </div>
  );
}

/** Steps, guidance, seed and count in one block; what is rarely touched is folded away. */
import { Button, FileButton, NumberInput, SegmentedControl, TextInput } from '@mantine/core';
import { useId, useState, type ReactElement } from 'react';
import { maxCount, maxGuidance, maxSteps, minSteps } from '../../../protocol/pictureSettings';
import { useApp, useEngine, useKept } from '../../appContext';
import { gatherFiles } from '../../collectFiles';
import { modelChanges } from '../../state/engineView';
import { initialKept, seedProblem, weightChoices } from '../../state/kept';
import { weightWords } from '../../state/nextModel';
import { defaultsOf, randomSeed, valuesOf } from '../../state/settings';
import { Fold } from '../../widgets/Fold';
import { Icon } from '../../widgets/Icon';
import { IconButton } from '../../widgets/IconButton';
import { useNarrow } from '../../widgets/useNarrow';
import { NumberField } from './NumberField';
import styles from './SettingsBlock.module.css';

export function SettingsBlock(): ReactElement {
  const narrow = useNarrow();
  const [open, setOpen] = useState(false);
  const model = useEngine((view) => view.lastModel);
  const draft = useKept((state) => state.draft);
  if (!narrow) {
    return (
      <div className={styles.block}>
        <Fields />
      </div>
    );
  }
  const { steps, guidance } = valuesOf(draft, model);
  const count = draft.count > 1 ? ` · ${draft.count} pictures` : '';
  return (
    <Fold
      open={open}
      onToggle={() => setOpen(!open)}
      title={`${steps} steps · guidance ${guidance} · seed ${draft.seed || '0'}${count}`}
    >
      <Fields />
    </Fold>
  );
}

function Fields(): ReactElement {
  const model = useEngine((view) => view.lastModel);
  const draft = useKept((state) => state.draft);
  const setDraft = useKept((state) => state.setDraft);
  const view = useKept((state) => state.view);
  const setView = useKept((state) => state.setView);
  const keeps = useKept((state) => state.keeps);
  const defaults = defaultsOf(model);
  const { steps, guidance } = valuesOf(draft, model);
  return (
    <>
      <NumberField
        name="Steps"
        hint="more is finer, slower"
        value={steps}
        fallback={defaults.steps}
        min={minSteps}
        max={maxSteps}
        sliderMax={60}
        step={1}
        onChange={(value) => setDraft({ steps: value })}
      />
      <NumberField
        name="Guidance"
        hint={guidance <= 1 ? 'off' : 'more is closer'}
        value={guidance}
        fallback={defaults.guidance}
        min={1}
        max={maxGuidance}
        sliderMax={10}
        step={0.1}
        onChange={(value) => setDraft({ guidance: value })}
      />
      <SeedField />
      <NumberInput
        className={styles.field}
        label="Pictures at once"
        size="xs"
        min={1}
        max={maxCount}
        clampBehavior="blur"
        allowDecimal={false}
        allowNegative={false}
        value={draft.count}
        onChange={(value) => {
          if (typeof value === 'number' && value >= 1 && value <= maxCount) setDraft({ count: value });
        }}
        classNames={{ root: styles.inline, label: styles.name, wrapper: styles.number }}
      />
      <Fold open={view.moreOpen} onToggle={() => setView({ moreOpen: !view.moreOpen })} title="More">
        <More />
      </Fold>
      {!keeps && (
        <p className={styles.note}>
          This browser keeps nothing for this page: a reload will empty the fields.
        </p>
      )}
    </>
  );
}

function SeedField(): ReactElement {
  const seed = useKept((state) => state.draft.seed);
  const setDraft = useKept((state) => state.setDraft);
  const problem = seedProblem(seed);
  const plain = initialKept.draft.seed;
  const id = useId();
  return (
    <div className={styles.field}>
      <div className={styles.line}>
        <label htmlFor={id} className={styles.name}>
          Seed
        </label>
        {seed !== plain && (
          <IconButton
            icon="reset"
            size="sm"
            iconSize={14}
            label="Set the seed back to 0"
            onClick={() => setDraft({ seed: plain })}
          />
        )}
        <span className={styles.hint} />
        <TextInput
          id={id}
          className={styles.seed}
          size="xs"
          inputMode="numeric"
          autoComplete="off"
          spellCheck={false}
          value={seed}
          error={problem !== null}
          aria-describedby={problem ? `${id}-problem` : undefined}
          onChange={(event) => setDraft({ seed: event.currentTarget.value })}
          onBlur={() => setDraft({ seed: seed.trim() || plain })}
        />
        <IconButton
          icon="dice"
          variant="default"
          size={30}
          label="Draw a new seed"
          onClick={() => setDraft({ seed: randomSeed() })}
        />
      </div>
      {problem && (
        <p className={styles.problem} id={`${id}-problem`}>
          {problem}
        </p>
      )}
    </div>
  );
}

/** What is rarely touched. */
function More(): ReactElement {
  const app = useApp();
  const draft = useKept((state) => state.draft);
  const setDraft = useKept((state) => state.setDraft);
  return (
    <div className={styles.more}>
      <Choice
        name="Random numbers as on"
        hint="The same seed draws other noise in PyTorch on a GPU and on a CPU."
        value={draft.noiseLayout}
        options={[
          { value: 'cuda', label: 'GPU' },
          { value: 'cpu', label: 'CPU' },
        ]}
        onChange={(noiseLayout) => setDraft({ noiseLayout })}
      />
      <WeightsField />
      <FileButton accept="image/png" onChange={(file) => file && void app.models.take(gatherFiles([file]))}>
        {(props) => (
          <Button {...props} size="xs" variant="default" leftSection={<Icon name="file" size={16} />}>
            Settings from a picture
          </Button>
        )}
      </FileButton>
    </div>
  );
}

/** How weights are stored: the same choice as in Models, taken when a model is loaded. */
function WeightsField(): ReactElement {
  const app = useApp();
  const weights = useKept((state) => state.loading.weights);
  const model = useEngine((view) => view.model);
  const changing = useEngine(modelChanges);
  const stale = model !== null && model.weightChoice !== weights && !changing;
  return (
    <div>
      <Choice
        name="Weights"
        hint={
          model
            ? `Now stored as ${model.weights}, ${weightWords[model.weights].what}; the arithmetic has 32 bits either way.`
            : 'How numbers are stored; the arithmetic has 32 bits either way.'
        }
        value={weights}
        options={weightChoices.map((value) => ({ value, label: weightWords[value].name }))}
        onChange={(choice) => app.models.chooseWeights(choice)}
      />
      {stale && (
        <Button size="compact-sm" variant="default" mt={8} onClick={() => app.models.loadAgain()}>
          Load the model again with this
        </Button>
      )}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly name: string;
  readonly hint: string;
  readonly value: T;
  readonly options: { value: T; label: string }[];
  readonly onChange: (value: T) => void;
}

function Choice<T extends string>({ name, hint, value, options, onChange }: ChoiceProps<T>): ReactElement {
  return (
    <div>
      <div className={styles.line}>
        <span className={styles.name}>{name}</span>
        <span className={styles.hint} />
        <SegmentedControl size="xs" aria-label={name} value={value} data={options} onChange={onChange} />
      </div>
      <p className={styles.small}>{hint}</p>
    </div>
  );
}

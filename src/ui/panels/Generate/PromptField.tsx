/** The prompt, and the model's own suggestions as chips. */
import { Textarea, UnstyledButton } from '@mantine/core';
import { useState, type ReactElement } from 'react';
import { maxPromptLength } from '../../../protocol/pictureSettings';
import { useEngine, useKept } from '../../appContext';
import { promptId } from '../../keyActions';
import { defaultsOf, valuesOf } from '../../state/settings';
import { useNarrow } from '../../widgets/useNarrow';
import { classNames } from '../../widgets/classNames';
import styles from './PromptField.module.css';

/** Suggestions shown before asking for more. */
const few = 6;

export function PromptField(): ReactElement {
  const model = useEngine((view) => view.lastModel);
  const draft = useKept((state) => state.draft);
  const setDraft = useKept((state) => state.setDraft);
  const [all, setAll] = useState(false);
  const narrow = useNarrow();
  const { prompt } = valuesOf(draft, model);
  const suggestions = model?.defaults.prompts ?? [];
  // a narrow screen has one row, to be pushed along
  const shown = all || narrow ? suggestions : suggestions.slice(0, few);
  const hidden = suggestions.length - shown.length;

  const choose = (suggestion: string): void => {
    // the first suggestion is the default: choosing it follows the model again
    setDraft({ prompt: suggestion === defaultsOf(model).prompt ? null : suggestion });
  };

  return (
    <div>
      <Textarea
        id={promptId}
        label="Prompt"
        placeholder="Describe a picture"
        autosize
        minRows={narrow ? 2 : 3}
        maxRows={8}
        maxLength={maxPromptLength}
        value={prompt}
        onChange={(event) => setDraft({ prompt: event.currentTarget.value })}
      />
      {suggestions.length > 0 && (
        <div className={styles.chips} role="group" aria-label="Suggestions">
          {shown.map((suggestion) => (
            <UnstyledButton
              key={suggestion}
              className={classNames(styles.chip, suggestion === prompt && styles.chosen)}
              aria-pressed={suggestion === prompt}
              onClick={() => choose(suggestion)}
            >
              {suggestion}
            </UnstyledButton>
          ))}
          {!narrow && suggestions.length > few && (
            <UnstyledButton
              className={classNames(styles.chip, styles.more)}
              aria-expanded={all}
              onClick={() => setAll(!all)}
            >
              {all ? 'fewer' : `${hidden} more`}
            </UnstyledButton>
          )}
        </div>
      )}
    </div>
  );
}

/** One thing of the library: what it is, what is in it, what is wrong with it, and what can be done with it. */
import { Button } from '@mantine/core';
import { useId, type ReactElement } from 'react';
import { formatBytes, formatCount } from '../../../core/units';
import type { LibraryItem, LibraryPart } from '../../../protocol/library';
import { useApp } from '../../appContext';
import { shortName, withoutName } from '../../state/intakeWords';
import { roleNames } from '../../state/roles';
import { Facts } from '../../widgets/Facts';
import { OwnFold } from '../../widgets/Fold';
import { Icon } from '../../widgets/Icon';
import { IconButton } from '../../widgets/IconButton';
import { configWords, dtypeWords } from './configWords';
import styles from './ItemCard.module.css';

export function ItemCard({ item }: { readonly item: LibraryItem }): ReactElement {
  const app = useApp();
  const id = useId();
  const name = shortName(item.path, 44);
  // a model file's words are those of its parts, which follow where there are several
  const partsSayIt = item.kind === 'model' && item.parts.length > 1;
  return (
    <li className={styles.card} aria-labelledby={id}>
      <div className={styles.head}>
        <h3 id={id} title={item.path}>
          {name}
        </h3>
        <IconButton
          icon="remove"
          size="md"
          label={`Remove ${name} from the library`}
          onClick={() => void app.models.remove(item)}
        />
      </div>
      <p className={styles.meta}>
        {item.format}, {formatBytes(item.bytes)}
        {item.tensors > 0 && `, ${item.tensors.toLocaleString('en')} tensors`}
      </p>
      {!partsSayIt && <p className={styles.words}>{item.words}</p>}
      {item.path !== name && <p className={styles.path}>{item.path}</p>}
      {item.problem !== null && (
        <p className={styles.problem}>
          <Icon name="alert" size={18} />
          <span>{withoutName(item.problem, item.path)}</span>
        </p>
      )}
      {item.parts.map((part, index) => (
        <Part key={index} part={part} path={item.path} alone={item.parts.length === 1} />
      ))}
      {item.notes.length > 0 && (
        <OwnFold title={item.notes.length === 1 ? '1 note' : `${item.notes.length} notes`}>
          <ul className={styles.notes}>
            {item.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </OwnFold>
      )}
      {item.tensors > 0 && (
        <div className={styles.actions}>
          <Button
            size="xs"
            variant="default"
            leftSection={<Icon name="table" size={16} />}
            onClick={() => void app.models.inspector.open(item.id)}
            aria-label={`Tensors of ${name}`}
          >
            Tensors
          </Button>
        </div>
      )}
    </li>
  );
}

interface PartProps {
  readonly part: LibraryPart;
  /** Of the file that it is in. */
  readonly path: string;
  /** Whether the file holds nothing else. */
  readonly alone: boolean;
}

function Part({ part, path, alone }: PartProps): ReactElement {
  const config = configWords(part);
  const { title } = roleNames[part.role];
  return (
    <div className={styles.part}>
      {!alone && <p className={styles.words}>{part.words}</p>}
      <Facts
        rows={[
          ['Part', part.prefix === '' ? title : `${title}, names with ${part.prefix}`],
          ...(config ? [['Configuration', config] as const] : []),
          ['Configuration from', part.configFrom || 'nothing says it'],
          ...(part.parameters > 0 ? [['Parameters', formatCount(part.parameters)] as const] : []),
          ...(part.half && part.half !== 'both' ? [['Half', `${part.half} only`] as const] : []),
          ...(part.bytes > 0
            ? [
                [
                  'In the file',
                  [formatBytes(part.bytes), dtypeWords(part.dtypes)].filter(Boolean).join(', '),
                ] as const,
              ]
            : []),
        ]}
      />
      {part.problem !== null && (
        <p className={styles.problem}>
          <Icon name="alert" size={18} />
          <span>{withoutName(part.problem, path)}</span>
        </p>
      )}
    </div>
  );
}

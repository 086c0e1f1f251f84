/**
 * A list of tensors of which only the visible rows exist, so that thousands scroll like ten. One stop for Tab: the arrow
 * keys go along the rows, Enter or a click chooses one.
 */
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactElement } from 'react';
import { formatBytes } from '../../../core/units';
import type { TensorFacts } from '../../../protocol/library';
import { shapeText } from '../../state/inspector';
import { useNarrow } from '../../widgets/useNarrow';
import { visibleRows } from './figures';
import styles from './TensorDrawer.module.css';

export interface TensorTableProps {
  readonly tensors: readonly TensorFacts[];
  readonly chosen: string | null;
  readonly onChoose: (name: string) => void;
}

export function TensorTable({ tensors, chosen, onChoose }: TensorTableProps): ReactElement {
  const id = useId();
  const narrow = useNarrow();
  const rowHeight = narrow ? 52 : 32;
  const box = useRef<HTMLDivElement>(null);
  const [scroll, setScroll] = useState(0);
  const [height, setHeight] = useState(600);
  const [current, setCurrent] = useState(() =>
    Math.max(
      0,
      tensors.findIndex(({ name }) => name === chosen),
    ),
  );
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const { first, end } = visibleRows(scroll, height, rowHeight, tensors.length);
  const rowId = (index: number): string => `${id}-${index}`;

  const goTo = (index: number): void => {
    const to = Math.max(0, Math.min(tensors.length - 1, index));
    setCurrent(to);
    const element = box.current;
    if (!element) return;
    if (to * rowHeight < element.scrollTop) element.scrollTop = to * rowHeight;
    const below = (to + 1) * rowHeight - element.clientHeight;
    if (below > element.scrollTop) element.scrollTop = below;
  };
  const onKey = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / rowHeight) - 1);
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: tensors.length - 1,
    };
    const to = moves[event.key];
    if (to !== undefined) goTo(to);
    else if (event.key === 'Enter' || event.key === ' ') {
      const tensor = tensors[current];
      if (tensor) onChoose(tensor.name);
    } else return;
    event.preventDefault();
  };

  return (
    <div className={styles.table}>
      {!narrow && (
        <div className={styles.columns} aria-hidden="true">
          <span>Name</span>
          <span>Shape</span>
          <span>Type</span>
          <span>Size</span>
        </div>
      )}
      <div
        ref={box}
        className={styles.box}
        role="listbox"
        aria-label="Tensors"
        tabIndex={0}
        aria-activedescendant={current >= first && current < end ? rowId(current) : undefined}
        onScroll={(event) => setScroll(event.currentTarget.scrollTop)}
        onKeyDown={onKey}
      >
        <div role="presentation" style={{ height: tensors.length * rowHeight, position: 'relative' }}>
          {tensors.slice(first, end).map((tensor, offset) => {
            const index = first + offset;
            return (
              <div
                key={tensor.name}
                id={rowId(index)}
                role="option"
                aria-selected={tensor.name === chosen}
                aria-setsize={tensors.length}
                aria-posinset={index + 1}
                className={styles.row}
                data-current={index === current || undefined}
                style={{ top: index * rowHeight, height: rowHeight }}
                onClick={() => {
                  setCurrent(index);
                  onChoose(tensor.name);
                }}
              >
                <span className={styles.name} title={tensor.name}>
                  {tensor.name}
                </span>
                <span>{shapeText(tensor.shape)}</span>
                <span>{tensor.dtype}</span>
                <span className={styles.bytes}>{formatBytes(tensor.bytes)}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** What a tensor's values are like: extremes, moments, and how they are spread. */
import { Loader } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatBytes, formatCount } from '../../../core/units';
import type { TensorFacts, TensorStatistics } from '../../../protocol/library';
import { shapeText, type Reading } from '../../state/inspector';
import { ErrorNote } from '../../widgets/ErrorNote';
import { Facts } from '../../widgets/Facts';
import { shareText, valueText } from './figures';
import styles from './TensorDrawer.module.css';

export interface TensorStatisticsViewProps {
  readonly tensor: TensorFacts;
  readonly reading: Reading<TensorStatistics>;
  readonly onRetry: () => void;
}

export function TensorStatisticsView({ tensor, reading, onRetry }: TensorStatisticsViewProps): ReactElement {
  return (
    <section className={styles.statistics} aria-label="Values of the chosen tensor">
      <h3>{tensor.name}</h3>
      <p className={styles.count}>
        {shapeText(tensor.shape)}, {tensor.dtype}, {formatBytes(tensor.bytes)}
      </p>
      <div aria-live="polite">
        <Values tensor={tensor} reading={reading} onRetry={onRetry} />
      </div>
    </section>
  );
}

function Values({ tensor, reading, onRetry }: TensorStatisticsViewProps): ReactElement {
  switch (reading.state) {
    case 'reading':
      return (
        <p className={styles.reading}>
          <Loader size="xs" /> Reading {formatBytes(tensor.bytes)}
        </p>
      );
    case 'failed':
      return (
        <ErrorNote
          title="Its values could not be read."
          error={reading.error}
          action={{ label: 'Try again', run: onRetry }}
        />
      );
    case 'read':
      return <Numbers statistics={reading.value} />;
    default:
      reading satisfies never;
      return <></>;
  }
}

function Numbers({ statistics }: { readonly statistics: TensorStatistics }): ReactElement {
  const { count, min, max, mean, deviation, zeros, notFinite } = statistics;
  return (
    <div className={styles.numbers}>
      <Facts
        rows={[
          ['Values', count.toLocaleString('en')],
          ['Least', valueText(min)],
          ['Greatest', valueText(max)],
          ['Mean', valueText(mean)],
          ['Standard deviation', valueText(deviation)],
          ['Zeros', shareText(zeros, count)],
          [
            'Not finite',
            notFinite > 0 ? <strong className={styles.bad}>{shareText(notFinite, count)}</strong> : '0',
          ],
        ]}
      />
      <Histogram statistics={statistics} />
    </div>
  );
}

const barSpace = { width: 240, height: 120 } as const;

/** Counts as bars from the least to the greatest value; a bin that is not empty is always seen. */
function Histogram({ statistics }: { readonly statistics: TensorStatistics }): ReactElement | null {
  const { histogram, min, max } = statistics;
  const most = Math.max(...histogram, 0);
  if (most === 0) return <p className={styles.count}>No finite values to draw.</p>;
  const { width, height } = barSpace;
  const step = width / histogram.length;
  return (
    <figure className={styles.histogram}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Histogram from ${valueText(min)} to ${valueText(max)} in ${histogram.length} bins, at most ${formatCount(most)} values in one`}
      >
        {histogram.map((count, index) => {
          const bar = count === 0 ? 0 : Math.max(1.5, (height * count) / most);
          return (
            <rect
              key={index}
              x={index * step}
              y={height - bar}
              width={Math.max(0.5, step - step / 6)}
              height={bar}
              fill="currentColor"
            />
          );
        })}
      </svg>
      <figcaption>
        <span>{valueText(min)}</span>
        <span>{valueText(max)}</span>
      </figcaption>
    </figure>
  );
}

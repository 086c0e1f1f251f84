/** The mark: a picture that settles out of noise, dots growing from faint to full. Also in public/favicon.svg. */
import type { ReactElement } from 'react';

const dots: readonly (readonly [x: number, y: number, radius: number, opacity: number])[] = [
  [5, 5, 1.4, 0.35],
  [12, 5, 1.9, 0.55],
  [19, 5, 2.4, 0.8],
  [5, 12, 1.9, 0.55],
  [12, 12, 2.6, 0.9],
  [19, 12, 3, 1],
  [5, 19, 2.4, 0.8],
  [12, 19, 3, 1],
  [19, 19, 3.4, 1],
];

export function Logo({ size }: { readonly size: number }): ReactElement {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {dots.map(([x, y, radius, opacity]) => (
        <circle key={`${x} ${y}`} cx={x} cy={y} r={radius} fill="currentColor" opacity={opacity} />
      ))}
    </svg>
  );
}

/** The page's icons: strokes on a 24-unit grid, in the colour of the text around them. Decoration: names are given beside. */
import type { ReactElement } from 'react';

const paths = {
  generate:
    'M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v11a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 17.5z M4.5 17l4.6-4.6a1.5 1.5 0 0 1 2.1 0L16 17.2 M14 15l1.6-1.6a1.5 1.5 0 0 1 2.1 0L20 15.6 M15.5 8.5h.01',
  device:
    'M7.5 6h9A1.5 1.5 0 0 1 18 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 6 16.5v-9A1.5 1.5 0 0 1 7.5 6z M10 10h4v4h-4z M9 3v3 M15 3v3 M9 18v3 M15 18v3 M3 9h3 M3 15h3 M18 9h3 M18 15h3',
  dice: 'M6.5 4h11A2.5 2.5 0 0 1 20 6.5v11a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 17.5v-11A2.5 2.5 0 0 1 6.5 4z M8.5 8.5h.01 M15.5 8.5h.01 M12 12h.01 M8.5 15.5h.01 M15.5 15.5h.01',
  reset: 'M4.5 12a7.5 7.5 0 1 0 2.3-5.4 M4.5 4.5v4h4',
  copy: 'M9 9h9.5A1.5 1.5 0 0 1 20 10.5V19a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 9 19z M5.5 15A1.5 1.5 0 0 1 4 13.5V5a1.5 1.5 0 0 1 1.5-1.5h8A1.5 1.5 0 0 1 15 5',
  download: 'M12 4v11 M7.5 11 12 15.5 16.5 11 M4.5 20h15',
  close: 'M6 6l12 12 M18 6 6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 8v5 M12 16.5h.01 M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z M12 3v2 M12 19v2 M3 12h2 M19 12h2 M5.6 5.6 7 7 M17 17l1.4 1.4 M5.6 18.4 7 17 M17 7l1.4-1.4',
  moon: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z',
  auto: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z M12 3.5v17 M12 8h5.5 M12 12h8.3 M12 16h5.5',
  keys: 'M5 6.5h14A1.5 1.5 0 0 1 20.5 8v8a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 16V8A1.5 1.5 0 0 1 5 6.5z M7 10h.01 M10.5 10h.01 M14 10h.01 M17 10h.01 M8 14h8',
  memory: 'M4 8.5h16v8H4z M7.5 8.5V6 M12 8.5V6 M16.5 8.5V6 M8 12h.01 M12 12h.01 M16 12h.01',
  smooth: 'M12 4.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15z',
  pixels: 'M4.5 9.5h3v-3h2v-2h5v2h2v3h3v5h-3v3h-2v2h-5v-2h-2v-3h-3z',
  left: 'M14.5 5.5 8 12l6.5 6.5',
  right: 'M9.5 5.5 16 12l-6.5 6.5',
  down: 'M5.5 9.5 12 16l6.5-6.5',
  use: 'M9.5 6 4 11.5 9.5 17 M4 11.5h10a6 6 0 0 1 6 6V19',
  vary: 'M5 5h4.5l6 14H20 M16.5 15.5 20 19l-3.5 3.5 M5 19h4.5l1.8-4.2 M13.7 9.2 15.5 5H20 M16.5 1.5 20 5l-3.5 3.5',
  remove:
    'M5 7h14 M10 7V4.5h4V7 M7 7l.8 12a1.5 1.5 0 0 0 1.5 1.5h5.4a1.5 1.5 0 0 0 1.5-1.5L17 7 M10.5 11v6 M13.5 11v6',
  file: 'M7 3.5h7L18.5 8v11A1.5 1.5 0 0 1 17 20.5H7A1.5 1.5 0 0 1 5.5 19V5A1.5 1.5 0 0 1 7 3.5z M13.5 3.5V8.5h5',
  folder:
    'M3.5 18V6A1.5 1.5 0 0 1 5 4.5h4.2l2.3 2.5H19A1.5 1.5 0 0 1 20.5 8.5V18a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 18z',
  table:
    'M5 4.5h14A1.5 1.5 0 0 1 20.5 6v12a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 18V6A1.5 1.5 0 0 1 5 4.5z M3.5 9.5h17 M3.5 14.5h17 M9.5 9.5v10',
  model: 'M12 3.5l8 4.25v8.5L12 20.5l-8-4.25v-8.5z M4 7.75l8 4.25 8-4.25 M12 12v8.5',
  jobs: 'M4 6h10 M4 12h16 M4 18h7',
} as const;

export type IconName = keyof typeof paths;

export interface IconProps {
  readonly name: IconName;
  /** Edge in pixels; default 20. */
  readonly size?: number;
}

export function Icon({ name, size = 20 }: IconProps): ReactElement {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.75}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}

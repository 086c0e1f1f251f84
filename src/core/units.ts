/**
 * Quantities as people read them, the same on the page and on the command line. Bytes are decimal (GB = 10^9), as
 * disks, downloads and most memory panels count them.
 */

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const countUnits = ['', ' K', ' M', ' B', ' T'];

/** `512 B`, `1.36 MB`, `4.66 GB`: three significant digits. */
export function formatBytes(bytes: number): string {
  return scaled(
    bytes,
    byteUnits.map((unit) => ` ${unit}`),
  );
}

/** `999`, `1.83 M`, `1.17 B`: three significant digits; below a thousand as it is. */
export function formatCount(count: number): string {
  return scaled(count, countUnits);
}

function scaled(value: number, units: readonly string[]): string {
  if (!Number.isFinite(value)) return `${value}${units[0] ?? ''}`;
  let magnitude = Math.abs(value);
  let unit = 0;
  // 999.5 and above would print as 1000 with three digits.
  while (magnitude >= 999.5 && unit < units.length - 1) {
    magnitude /= 1000;
    unit++;
  }
  const digits =
    unit === 0 && Number.isInteger(magnitude)
      ? 0
      : Math.max(0, magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0);
  return `${value < 0 ? '-' : ''}${magnitude.toFixed(digits)}${units[unit] ?? ''}`;
}

/** `820 µs`, `35 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return `${seconds} s`;
  if (seconds < 0) return `-${formatSeconds(-seconds)}`;
  if (seconds === 0) return '0 s';
  if (seconds < 0.9995e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

const unitBytes: Readonly<Record<string, number>> = {
  b: 1,
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** Bytes of "2.7 GB", "512MiB" or "1000"; null when it is none. Units are decimal, with an i binary. */
export function parseBytes(text: string): number | null {
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?\s*$/i.exec(text) ?? [];
  const scale = unitBytes[(unit ?? 'b').toLowerCase()];
  return number === undefined || scale === undefined ? null : Math.round(Number(number) * scale);
}

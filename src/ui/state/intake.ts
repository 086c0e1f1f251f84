/** Files on their way into the library: how many were found so far, and how many the engine is looking at. */
import { createStore, type StoreApi } from 'zustand/vanilla';

export interface IntakeState {
  /** Files found in the folders that are being walked; null when none is. */
  readonly finding: number | null;
  /** Files that the engine was asked about and has not answered for. */
  readonly reading: number;
  /** How often files became part of the library: the panel shows what comes of them. */
  readonly arrivals: number;
}

export type Intake = StoreApi<IntakeState>;

export function createIntake(): Intake {
  return createStore<IntakeState>()(() => ({ finding: null, reading: 0, arrivals: 0 }));
}

/** What goes on, as a sentence; '' when nothing does. */
export function intakeStatus({ finding, reading }: Pick<IntakeState, 'finding' | 'reading'>): string {
  if (finding !== null) return `Looking for files: ${finding.toLocaleString('en')} so far`;
  if (reading === 0) return '';
  return reading === 1
    ? 'Looking what the file is'
    : `Looking what ${reading.toLocaleString('en')} files are`;
}

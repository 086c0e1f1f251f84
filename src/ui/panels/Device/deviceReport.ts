/** Everything about device, model and self-check as plain text, for a bug report. */
import { formatBytes, formatCount, formatSeconds } from '../../../core/units';
import type { EngineView } from '../../state/engineView';
import { limitNames, limitText } from './limitNames';

/** An error of the self-check: `0`, `3.1e-7`, or a word where the device gave no number. */
export function errorText(error: number): string {
  if (error === 0) return '0';
  return Number.isFinite(error) ? error.toExponential(1) : 'not a number';
}

export function deviceReport(view: EngineView, browser: string): string {
  const { adapter, model, device, selfCheck } = view;
  const lines: string[] = ['tabdit device report', `browser: ${browser}`];
  if (adapter) {
    const names = [adapter.words, adapter.vendor, adapter.architecture, adapter.device, adapter.description];
    lines.push(
      `adapter: ${[...new Set(names.filter(Boolean))].join(' | ')}${adapter.software ? ' (software)' : ''}`,
      `features offered: ${adapter.features.join(', ') || 'none'}`,
      `features used: ${adapter.usedFeatures.join(', ') || 'none'}`,
      'limits (offered, asked for):',
      ...Object.keys(limitNames).map(
        (name) =>
          `  ${name}: ${limitText(name, adapter.limits[name])}, ${limitText(name, adapter.usedLimits[name])}`,
      ),
    );
  }
  if (device) lines.push(`pipelines compiled: ${device.pipelines}`);
  if (model) {
    lines.push(
      `model: ${model.title} (${model.name}), weights ${model.weights}, loaded in ${formatSeconds(model.loadMs / 1000)}`,
      ...model.memory.map(({ purpose, bytes }) => `  memory, ${purpose}: ${formatBytes(bytes)}`),
      ...model.plans.map(
        (plan) =>
          `  ${plan.name}: ${formatCount(plan.macs)} MACs, ${plan.dispatches} dispatches, ${plan.pipelines} pipelines, ` +
          `planned ${plan.plannedBytes} B, created ${plan.createdBytes} B`,
      ),
    );
  }
  if (selfCheck) {
    const bad = selfCheck.rows.filter((row) => !row.passed).length;
    lines.push(
      `self-check: ${selfCheck.rows.length - bad} right, ${bad} wrong${selfCheck.ms === null ? ', not finished' : ''}`,
      ...selfCheck.rows.map((row) =>
        [
          `  ${row.passed ? 'right' : 'WRONG'} ${row.stem}: ${row.what}`,
          `error ${errorText(row.error)} (allowed ${errorText(row.tolerance)})`,
          formatSeconds(row.ms / 1000),
          ...(row.problem ? [row.problem] : []),
        ].join(', '),
      ),
    );
  }
  return lines.join('\n');
}

import { describe, expect, test } from 'vitest';
import {
  choiceValue,
  fitAdvice,
  fitWords,
  loadProblem,
  planFor,
  slotsOf,
  valueChoice,
} from '../../src/ui/state/nextModel';
import { item, library, part, plan } from './libraryParts';

describe('places of the next model', () => {
  const composer = item('all.pt', { parts: [part('dit', { prefix: 'dit.' }), part('vae')] });
  const other = item('vae.safetensors', { parts: [part('vae')] });
  const half = item('encoder.safetensors', { parts: [part('vae', { problem: 'no decoder' })] });

  test('what fills them, what else could, what cannot', () => {
    const chosen = { ...library().chosen, vae: { item: other.id, part: 0 } };
    const missing = [{ role: 'text', words: 'A text tower.', where: 'somewhere' }] as const;
    const slots = slotsOf(library({ items: [composer, other, half], chosen, missing }));
    expect(slots.map(({ role }) => role)).toEqual(['dit', 'vae', 'text', 'tokenizer']);
    const [dit, vae, text, tokenizer] = slots;
    expect(dit).toMatchObject({ chosen: null, candidates: [{ part: { prefix: 'dit.' } }] });
    expect(vae?.chosen?.item).toBe(other);
    expect(vae?.candidates.map(({ item: { path } }) => path)).toEqual(['all.pt', 'vae.safetensors']);
    expect(vae?.unusable).toMatchObject([{ item: { path: 'encoder.safetensors' } }]);
    expect(text).toMatchObject({ chosen: null, missing: { words: 'A text tower.' } });
    expect(tokenizer).toMatchObject({ chosen: null, missing: null, candidates: [] });
  });

  test('a choice survives being the value of an option', () => {
    for (const choice of [{ item: 'a b 7', part: 2 }, { item: '', part: 0 }, null]) {
      expect(valueChoice(choiceValue(choice))).toEqual(choice);
    }
  });
});

describe('weights and the budget', () => {
  const fits = plan('f16', { staged: 2.5e9, total: 3.6e9 });
  const tight = plan('f16', { fit: 'staged', staged: 2.5e9 });
  const over = plan('f16', { fit: 'none', staged: 2.5e9 });
  const int8 = plan('int8', { staged: 1.4e9, total: 2.1e9 });

  test('auto is f16 where that fits in any way, else int8', () => {
    expect(planFor([fits, int8], 'auto')).toBe(fits);
    expect(planFor([tight, int8], 'auto')).toBe(tight);
    expect(planFor([over, int8], 'auto')).toBe(int8);
    expect(planFor([over, int8], 'f16')).toBe(over);
    expect(planFor([], 'auto')).toBeNull();
  });

  test('what each comes to, in words', () => {
    expect(fitWords(fits, 4e9)).toContain('all parts stay');
    expect(fitWords(tight, 3e9)).toContain('2.50 GB at a time');
    expect(fitWords(over, 2e9)).toBe('500 MB too much, even part by part');
    expect(fitWords(plan('f32', { fit: 'none', problem: 'x' }), 2e9)).toBe('cannot run here');
  });

  test('what to change where it does not fit', () => {
    expect(fitAdvice([fits, int8], 'f16', 4e9)).toBeNull();
    expect(fitAdvice([over, int8], 'auto', 2e9)).toBeNull();
    expect(fitAdvice([], 'auto', 2e9)).toBeNull();
    expect(fitAdvice([over, int8], 'f16', 2e9)).toBe(
      'f16 weights do not fit a budget of 2.00 GB; int8 weights do.',
    );
    const none = [over, plan('int8', { fit: 'none', staged: 1.4e9 })];
    expect(fitAdvice(none, 'auto', 1e9)).toContain('at least 1.40 GB, which is enough for int8 weights');
    const beyond = plan('f32', { fit: 'none', problem: 'a tensor is beyond the device' });
    expect(fitAdvice([beyond, fits], 'f32', 4e9)).toBe(
      'a tensor is beyond the device. f16 weights can run here.',
    );
  });

  test('why nothing can be loaded', () => {
    const chosen = { ...library().chosen, dit: { item: 'x', part: 0 } };
    const missing = [{ role: 'text', words: '', where: '' }] as const;
    expect(loadProblem(null, 'auto')).toContain('transformer');
    expect(loadProblem(library(), 'auto')).toContain('transformer');
    expect(loadProblem(library({ chosen, missing }), 'auto')).toBe('Parts are missing.');
    expect(loadProblem(library({ chosen, conflicts: ['no'] }), 'auto')).toContain('do not fit each other');
    expect(loadProblem(library({ chosen, plans: [over] }), 'auto')).toContain('budget');
    expect(loadProblem(library({ chosen, plans: [over, int8] }), 'auto')).toBe('');
  });
});

/** Quantised weights in a graph: two states, bytes, and what refuses them. */
import { expect, test } from 'vitest';
import { headerText } from '../../shaders/lib/header';
import { Graph } from '../../src/graph/graph';
import { planGraph, storageBytes } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import { linear } from '../../src/ops/linear';

test('a quantised weight is a state of integers and a state of scales', () => {
  const g = new Graph();
  const w = g.quantized('dit:w', [6, 5], 6);
  expect(w.describe()).toBe('i8 [6, 5]');
  expect(w.scale?.describe()).toBe('f32 [6]');
  expect([...g.states.keys()]).toEqual(['dit:w.scale', 'dit:w']);
  expect(g.quantized('dit:w', [6, 5], 6)).toBe(w);
  expect(() => g.quantized('dit:w', [6, 5], 3)).toThrow(
    'state dit:w.scale: one shape and dtype per name: f32 [6], then f32 [3]',
  );
  expect(() => g.quantized('dit:v', [6, 5], 4)).toThrow(
    'state dit:v: output channels are of equal size: 4 of them in [6, 5]',
  );
  expect(() => g.state('dit:u', [6, 5], 'i8')).toThrow(
    'state dit:u: int8 values are declared with their scales: i8 [6, 5]',
  );
});

test('bytes are whole words; a plan binds both states', () => {
  const sizes = [1, 4, 5, 30].map((count) => storageBytes({ shape: [count], dtype: 'i8' }));
  expect(sizes).toEqual([4, 4, 8, 32]);
  const g = new Graph();
  g.output('y', linear(g, g.input('x', [2, 5]), g.quantized('dit:w', [6, 5], 6)));
  const plan = planGraph(g, plainProfile);
  expect([...plan.states]).toEqual([
    ['dit:w.scale', { shape: [6], dtype: 'f32', written: false }],
    ['dit:w', { shape: [6, 5], dtype: 'i8', written: false }],
  ]);
  expect(plan.memory.state).toBe(24 + 32);
  // integers, scales, x and y once each: 30 + 24 + 40 + 48, and the pre-activation that nobody keeps
  expect(plan.bytesTouched).toBe(30 + 24 + 40 + 48);
});

test('integers are unpacked without optional features of the language', () => {
  const slots = [{ access: 'read', element: 'u32' }] as const;
  const operand = { name: 'w', slot: 0, dtype: 'i8', vector: 4, writable: false } as const;
  const text = headerText([{ name: 'wOffset', type: 'u32' }], slots, [operand]);
  expect(text).toContain('fn loadW(i: u32) -> f32');
  expect(text).toContain('fn loadW4(i: u32) -> vec4<f32>');
  expect(text).not.toMatch(/4xI8|dot4/);
});

/** Small pure parts of the page: keys, addresses, names, words, colours. */
import { describe, expect, test } from 'vitest';
import { actionFor, keyLabels } from '../../src/ui/keyActions';
import { deviceReport, errorText } from '../../src/ui/panels/Device/deviceReport';
import { limitText } from '../../src/ui/panels/Device/limitNames';
import { fileName } from '../../src/ui/panels/Generate/pictureActions';
import { initialEngineView } from '../../src/ui/state/engineView';
import { panelOf, searchFor } from '../../src/ui/state/panel';
import { cssVariables, theme } from '../../src/ui/theme';

describe('keys', () => {
  const press = (key: string, mod = false) => ({ key, ctrlKey: mod, metaKey: false, altKey: false });
  const free = { singleKeys: true, typing: false, dialog: false };

  test('with Ctrl or Cmd they act while typing, alone they do not', () => {
    expect(actionFor(press('Enter', true), { ...free, typing: true })?.what).toBe('Make the picture');
    expect(actionFor({ ...press('Enter'), metaKey: true }, free)?.what).toBe('Make the picture');
    expect(actionFor(press('d'), free)?.what).toBe('Go to Device');
    expect(actionFor(press('m'), free)?.what).toBe('Go to Models');
    expect(actionFor(press('D'), free)?.what).toBe('Go to Device');
    expect(actionFor(press('d'), { ...free, typing: true })).toBeUndefined();
    expect(actionFor(press('d'), { ...free, singleKeys: false })).toBeUndefined();
    expect(actionFor(press('d', true), free)).toBeUndefined();
    expect(actionFor({ ...press('d'), altKey: true }, free)).toBeUndefined();
    expect(actionFor(press('Enter', true), { ...free, dialog: true })).toBeUndefined();
  });

  test('they are written as on the keyboard', () => {
    const action = actionFor(press('Enter', true), free)!;
    expect(keyLabels(action, false)).toEqual(['Ctrl', 'Enter']);
    expect(keyLabels(action, true)).toEqual(['⌘', 'Enter']);
  });
});

test('addresses of panels', () => {
  expect(panelOf('')).toBe('generate');
  expect(panelOf('?panel=device&x=1')).toBe('device');
  expect(panelOf('?panel=models')).toBe('models');
  expect(panelOf('?panel=nowhere')).toBe('generate');
  expect(searchFor('device', '?x=1')).toBe('?x=1&panel=device');
  expect(searchFor('generate', '?x=1&panel=device')).toBe('?x=1');
  expect(searchFor('generate', '?panel=device')).toBe('');
});

test('file names can be found again', () => {
  const settings = {
    program: 'tabdit',
    model: 'm',
    prompt: '',
    steps: 2,
    guidance: 1,
    seed: '',
    noiseLayout: 'cuda',
    index: 2,
    count: 1,
  } as const;
  expect(fileName({ settings })).toBe('picture-seed-0.png');
  const named = { ...settings, prompt: ' A “blue” heart / ../x ', seed: '7', count: 4 };
  expect(fileName({ settings: named })).toBe('a-blue-heart-x-seed-7-3.png');
});

test('numbers of the Device panel carry units', () => {
  expect(limitText('maxBufferSize', 4294967296)).toBe('4.29 GB');
  expect(limitText('maxComputeInvocationsPerWorkgroup', 1024)).toBe('1,024');
  expect(limitText('maxBufferSize', undefined)).toBe('–');
  expect([errorText(0), errorText(3.14e-7), errorText(Infinity)]).toEqual(['0', '3.1e-7', 'not a number']);
  expect(deviceReport(initialEngineView, 'Browser 1')).toBe('tabdit device report\nbrowser: Browser 1');
});

describe('colours', () => {
  /** WCAG's contrast of two colours given as #rrggbb. */
  const contrast = (a: string, b: string): number => {
    const luminance = (colour: string): number => {
      const [r, g, b2] = [1, 3, 5].map((at) => {
        const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
        return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      }) as [number, number, number];
      return 0.2126 * r + 0.7152 * g + 0.0722 * b2;
    };
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
    return (light + 0.05) / (dark + 0.05);
  };
  const schemes = cssVariables({ ...theme } as never);

  for (const scheme of ['light', 'dark'] as const) {
    const colour = (name: string): string => schemes[scheme][`--${name}`]!;
    test(`${scheme}: text reaches 4.5 to 1, edges 3 to 1`, () => {
      const pairs: [front: string, back: string, least: number][] = [
        ...['page', 'panel', 'inset', 'bad-soft', 'warn-soft'].map((back): [string, string, number] => [
          'text',
          back,
          4.5,
        ]),
        ...['page', 'panel', 'inset'].map((back): [string, string, number] => ['dim', back, 4.5]),
        ...['good', 'bad', 'warn-text'].map((front): [string, string, number] => [front, 'panel', 4.5]),
        ['bad', 'bad-soft', 3],
        ['warn-text', 'warn-soft', 4.5],
        ['on-accent', 'accent', 4.5],
        ['on-accent-soft', 'accent-soft', 4.5],
        ['accent', 'page', 3],
        ['accent', 'panel', 3],
        ['edge', 'panel', 3],
      ];
      for (const [front, back, least] of pairs) {
        expect(contrast(colour(front), colour(back)), `${front} on ${back}`).toBeGreaterThanOrEqual(least);
      }
    });
  }
});

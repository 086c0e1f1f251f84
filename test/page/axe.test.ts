/** Every panel in both themes against WCAG A and AA, as far as axe can tell: contrast, names, roles, structure. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OpenedPage } from '../helpers/page';
import type { FakeOptions } from './fakeEngine';
import { axeProblems, dropFiles, openElsewhere, openStandIn } from './standIn';

let opened: OpenedPage;
beforeAll(async () => {
  opened = await openElsewhere();
});
afterAll(() => opened.close());

interface State {
  readonly name: string;
  readonly search?: string;
  readonly options?: Partial<FakeOptions>;
  /** Brings the page there. */
  readonly go: (page: Page) => Promise<unknown>;
}

const whole = ['dit_4.pt', 'vae.safetensors', 'clip.bin'];
const models = '?panel=models';

const states: readonly State[] = [
  {
    name: 'Generate, with everything unfolded and a picture',
    go: async (page) => {
      await page.getByRole('button', { name: 'Generate', exact: true }).click();
      await page.getByRole('button', { name: 'Download, settings inside' }).waitFor();
      const folded = page.getByRole('button', { name: /steps · guidance/ });
      if (await folded.isVisible()) await folded.click();
      await page.getByRole('button', { name: 'More', exact: true }).click();
      await page.getByRole('radiogroup', { name: 'Weights' }).getByText('int8').click();
      await page.getByRole('button', { name: 'Load the model again with this' }).waitFor();
    },
  },
  {
    name: 'Generate, at work',
    options: { stepMs: 3000 },
    go: async (page) => {
      await page.getByRole('button', { name: 'Generate', exact: true }).click();
      await page.keyboard.press('Control+Enter');
      await page.getByRole('list', { name: 'Queue' }).waitFor();
    },
  },
  {
    name: 'Generate, with a picture in full view',
    go: async (page) => {
      await page.getByRole('button', { name: 'Generate', exact: true }).click();
      await page
        .getByRole('button', { name: /^Open “grinning face”, seed/ })
        .first()
        .click();
      await page.getByRole('dialog').waitFor();
    },
  },
  {
    name: 'Generate, without a model that loads',
    options: { model: 'fails' },
    go: (page) => page.getByRole('alert').getByRole('button', { name: 'Details' }).click(),
  },
  {
    name: 'Models, empty',
    search: models,
    go: (page) => page.getByRole('heading', { name: 'Loaded: Emoji' }).waitFor(),
  },
  {
    name: 'Models, with what is missing, in conflict and refused',
    search: models,
    go: async (page) => {
      await dropFiles(page, [
        'dit_4.pt',
        'vae16.safetensors',
        'vae16-b.safetensors',
        'broken.pt',
        'config.json',
      ]);
      await page.getByRole('list', { name: 'What does not fit' }).waitFor();
      await page.getByRole('button', { name: '1 more file' }).click();
    },
  },
  {
    name: 'Models, with a model loaded as int8 and one that does not fit',
    search: models,
    go: async (page) => {
      await dropFiles(page, whole);
      await page.getByRole('radio', { name: /^int8/ }).click();
      await page.getByRole('button', { name: 'Load', exact: true }).click();
      await page.getByRole('button', { name: /^What int8 costs/ }).click();
      await page.getByRole('radio', { name: /^f32/ }).click();
      await page.getByText(/^f32 weights do not fit/).waitFor();
    },
  },
  {
    name: 'Models, while one is loaded',
    search: models,
    options: { stepMs: 1500 },
    go: async (page) => {
      await dropFiles(page, whole);
      await page.getByRole('button', { name: 'Load', exact: true }).click();
      await page.getByText(/GB of 5\.93 GB/).waitFor();
    },
  },
  {
    name: 'Models, with the tensors of a file',
    search: models,
    go: async (page) => {
      await dropFiles(page, whole);
      await page.getByRole('button', { name: /^Tensors of dit/ }).click();
      await page.getByRole('option').nth(2).click();
      await page.getByRole('img', { name: /^Histogram/ }).waitFor();
    },
  },
  {
    name: 'Device, after a self-check',
    search: '?panel=device',
    go: async (page) => {
      await page.getByRole('button', { name: 'Check the kernels' }).click();
      await page.getByText(/kernels are wrong/).waitFor();
    },
  },
  {
    name: 'the sheet of keys',
    go: async (page) => {
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    },
  },
  {
    name: 'no WebGPU',
    options: { state: 'no-webgpu' },
    go: (page) => page.getByRole('heading', { name: 'This browser does not offer WebGPU' }).waitFor(),
  },
  {
    name: 'no adapter',
    options: { state: 'no-adapter' },
    go: (page) => page.getByRole('heading', { name: 'No graphics chip can be used' }).waitFor(),
  },
];

describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
  test.each(states)('$name', async ({ search, options, go }) => {
    for (const [width, height] of [
      [1280, 800],
      [390, 844],
    ] as const) {
      const page = await openStandIn(opened, { stepMs: 5, ...options }, search);
      // what fades in would be measured half seen through
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height });
      if (!options?.state && !options?.model) {
        await page.getByRole('button', { name: 'Model: Emoji 64 px (demo)' }).waitFor();
      }
      await go(page);
      expect(await axeProblems(page)).toEqual([]);
      // nothing sticks out at the side
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow).toBeLessThanOrEqual(0);
      await page.close();
    }
    expect(opened.errors).toEqual([]);
  });
});

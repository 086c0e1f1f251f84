/**
 * Models, with a stand-in for the engine: files in every way they can come, what they are and what they make together,
 * weights and budget, loading and unloading, the tensors of a file.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PageMessage } from '../../src/protocol/messages';
import { shortName } from '../../src/ui/state/intakeWords';
import type { OpenedPage } from '../helpers/page';
import type { FakeOptions } from './fakeEngine';
import { dropFiles, dropFolders, namelessControls, openElsewhere, openStandIn, type Folder } from './standIn';

const dit = 'dit_4_channel_37M_real_and_synthetic_data.pt';
const vae = 'vae_diffusion_pytorch_model.safetensors';
const clip = 'open_clip_pytorch_model.bin';

let opened: OpenedPage;
let page: Page;
beforeAll(async () => {
  opened = await openElsewhere();
});
afterAll(() => opened.close());

async function start(options: Partial<FakeOptions> = {}, search = '?panel=models'): Promise<void> {
  page = await openStandIn(opened, options, search);
  await page.getByRole('button', { name: 'Model: Emoji 64 px (demo)' }).waitFor();
}

async function end(): Promise<void> {
  await page.close();
  expect(opened.errors).toEqual([]);
}

/** What the page sent of one type, files as their paths. */
async function sent<K extends PageMessage['type']>(type: K): Promise<Extract<PageMessage, { type: K }>[]> {
  const all = await page.evaluate(() =>
    window.fakeEngine.received.map((message) =>
      message.type === 'addFiles'
        ? { ...message, files: message.files.map(({ path, file }) => ({ path, file: file.size })) }
        : message,
    ),
  );
  return all.filter((message) => message.type === type) as unknown as Extract<PageMessage, { type: K }>[];
}

/** Paths of the files that were added last. */
async function added(): Promise<string[]> {
  await page.waitForFunction(() => window.fakeEngine.received.some(({ type }) => type === 'addFiles'));
  return (await sent('addFiles')).at(-1)!.files.map(({ path }) => path);
}

const cards = () => page.locator('ul[aria-label="Library"] > li');
const box = (name: string) =>
  page.getByRole('list', { name: 'Parts of the next model' }).getByRole('listitem').filter({ hasText: name });
const notes = () => page.getByRole('region', { name: 'Notes' });
const load = () => page.getByRole('button', { name: 'Load', exact: true });

describe('an empty library', () => {
  test('says what to do first, what is taken and where files are found', async () => {
    await start();
    expect(await page.getByRole('heading', { name: 'Bring your own model' }).isVisible()).toBe(true);
    for (const taken of ['MicroDiT transformers', 'Composer checkpoints', 'Zip files']) {
      expect(await page.getByText(taken, { exact: true }).isVisible()).toBe(true);
    }
    const link = page.getByRole('link', { name: 'stabilityai/stable-diffusion-xl-base-1.0' });
    expect(await link.getAttribute('href')).toBe(
      'https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/tree/main/vae',
    );
    expect(await page.getByRole('button', { name: `Copy ckpts/${dit}` }).isVisible()).toBe(true);
    expect(await page.evaluate(namelessControls)).toEqual([]);
    await end();
  });

  test('the chip, the rail and a key lead here', async () => {
    await start({}, '');
    await page.getByRole('button', { name: /^Model: Emoji/ }).click();
    await page.getByRole('heading', { name: 'Loaded: Emoji 64 px (demo)' }).waitFor();
    expect(page.url()).toContain('?panel=models');
    await page.getByRole('link', { name: 'Generate' }).click();
    await page.getByRole('heading', { name: 'Bring your own model' }).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Models' }).click();
    await page.getByRole('heading', { name: 'Bring your own model' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('m');
    await page.getByRole('heading', { name: 'Bring your own model' }).waitFor();
    await end();
  });
});

describe('files come', () => {
  test('dropped on any panel: the page says what it takes, goes to Models, says what it was', async () => {
    await start({}, '');
    const transfer = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File([], 'dit.pt'));
      return data;
    });
    await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
    await page.getByText('Drop a model, a picture, a folder or a zip').waitFor();
    await dropFiles(page, [dit]);
    await notes()
      .getByText(
        /^“dit_4_channel.*….*pt” is MicroDiT_XL_2 for 512 px, 4 latent channels\. Still missing: an autoencoder for 4 latent channels; a CLIP text tower of width 1024\.$/,
      )
      .waitFor();
    expect(await page.getByText('Drop a model, a picture').count()).toBe(0);
    expect(page.url()).toContain('?panel=models');
    expect(await cards().count()).toBe(1);
    expect(await added()).toEqual([dit]);
    await end();
  });

  test('as a folder, with the paths in it, without what is hidden', async () => {
    await start();
    await dropFolders(page, {
      MicroDiT: {
        [dit]: 4,
        '.DS_Store': 1,
        '.git': { HEAD: 1 },
        vae: { 'config.json': 2, 'diffusion_pytorch_model.safetensors': 4 },
      },
    });
    await cards().nth(1).waitFor();
    expect(await added()).toEqual([
      `MicroDiT/${dit}`,
      'MicroDiT/vae/config.json',
      'MicroDiT/vae/diffusion_pytorch_model.safetensors',
    ]);
    expect(await box('Autoencoder').getByText('MicroDiT/vae/diffusion_pytorch_model').isVisible()).toBe(true);
    await page.getByRole('button', { name: '1 more file' }).click();
    await page.getByText('MicroDiT/vae/config.json', { exact: true }).last().waitFor();
    await end();
  });

  test('as an enormous folder: given up, with the number', async () => {
    await start();
    const many: Folder = Object.fromEntries(Array.from({ length: 5100 }, (_, i) => [`${i}.npy`, 1]));
    await dropFolders(page, { data: { a: many, b: many, c: many, d: many } });
    await notes()
      .getByText(/more than 20,000 files/)
      .waitFor();
    expect(await sent('addFiles')).toEqual([]);
    await end();
  });

  test('as a zip and as a Composer checkpoint: a whole model in one file', async () => {
    for (const name of ['foxes.zip', 'composer-ep3.pt']) {
      await start();
      await dropFiles(page, [name]);
      await notes()
        .getByText(
          /^“.*” holds MicroDiT_XL_2.* and AutoencoderKL.* and CLIP.*That is everything for a model\.$/,
        )
        .waitFor();
      await notes().getByRole('button', { name: 'Load it' }).click();
      await page.getByRole('heading', { name: 'Loaded: MicroDiT_XL_2, 512 px' }).waitFor();
      await end();
    }
  });

  test('by picking files or a folder, from the keyboard too', async () => {
    await start();
    const files = page.getByRole('button', { name: 'Add files' });
    await files.focus();
    const picking = page.waitForEvent('filechooser');
    // the browser hears of the waiting before the key
    await page.evaluate(() => 0);
    await page.keyboard.press('Enter');
    const chooser = await picking;
    expect(chooser.isMultiple()).toBe(true);
    const file = (name: string) => ({ name, mimeType: '', buffer: Buffer.from([1]) });
    await chooser.setFiles([file(dit), file(clip)]);
    await cards().nth(1).waitFor();
    expect(await added()).toEqual([dit, clip]);
    const [folder] = await Promise.all([
      page.waitForEvent('filechooser'),
      page.getByRole('button', { name: 'Add a folder' }).click(),
    ]);
    expect(await folder.element().getAttribute('webkitdirectory')).toBe('');
    await end();
  });

  test('pasted; text stays with the field that it is pasted into', async () => {
    await start();
    const paste = (withText: boolean) =>
      page.evaluate((text) => {
        const clipboardData = new DataTransfer();
        if (text) clipboardData.setData('text/plain', 'a fox');
        clipboardData.items.add(new File([new Uint8Array(3)], 'dit.pt'));
        const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
        return event.defaultPrevented;
      }, withText);
    expect(await paste(true)).toBe(false);
    expect(await paste(false)).toBe(true);
    await cards().first().waitFor();
    expect(await added()).toEqual(['dit.pt']);
    await end();
  });

  test('a picture alone is about settings, among others it is a file of the library', async () => {
    await start();
    await dropFiles(page, ['cat.png']);
    await notes().getByText('“cat.png” carries no settings').waitFor();
    expect(await sent('addFiles')).toEqual([]);
    await dropFiles(page, ['cat.png', dit]);
    await cards().first().waitFor();
    expect(await added()).toEqual(['cat.png', dit]);
    await end();
  });

  test('and nothing of use: said, with the reason beside the file', async () => {
    await start();
    await dropFiles(page, ['broken.pt']);
    await notes()
      .getByText(/^“broken\.pt” cannot be used: the zip's central directory must lie inside the file/)
      .waitFor();
    await cards()
      .first()
      .getByText(/^the zip's central directory must lie inside/)
      .waitFor();
    await dropFolders(page, { '.hidden': { a: 1 } });
    await notes().getByText('There were no files in it, or only hidden ones.').waitFor();
    await end();
  });
});

describe('the next model', () => {
  test('what is missing is said with where it is found; conflicts beside what causes them', async () => {
    await start();
    await dropFiles(page, [dit, 'vae16.safetensors', 'encoder.safetensors']);
    const text = box('Text tower');
    await text.getByText('a CLIP text tower of width 1024').waitFor();
    expect(await text.getByRole('link').getAttribute('href')).toBe(
      'https://huggingface.co/apple/DFN5B-CLIP-ViT-H-14-378',
    );
    const conflicts = page.getByRole('list', { name: 'What does not fit' });
    await conflicts.getByText('The transformer has 4 latent channels and the autoencoder 16').waitFor();
    expect(await load().getAttribute('aria-disabled')).toBe('true');
    expect(await page.getByText('Parts are missing.', { exact: true }).isVisible()).toBe(true);
    await load().dispatchEvent('click');
    expect((await sent('loadModel')).filter(({ source }) => source.kind === 'library')).toEqual([]);

    await dropFiles(page, [vae]);
    const choice = page.getByRole('combobox', { name: 'Autoencoder to use' });
    await choice.selectOption({ label: `${shortName(vae)}: AutoencoderKL, 4 latent channels` });
    await conflicts.waitFor({ state: 'detached' });
    // nothing chosen: what cannot fill the place says why
    await choice.selectOption({ label: 'None' });
    await box('Autoencoder')
      .getByText('“encoder.safetensors” cannot fill it: only the encoder is in the file')
      .waitFor();
    await end();
  });

  test('weights say what they take and whether it fits; the budget changes that, and stays', async () => {
    await start();
    await dropFiles(page, [dit, vae, clip]);
    const weights = (name: string) => page.getByRole('radio', { name: new RegExp(`^${name}`) });
    await weights('f16').waitFor();
    const words = async () =>
      Promise.all(['Auto', 'f32', 'f16', 'int8'].map((name) => weights(name).textContent()));
    expect(await words()).toEqual([
      expect.stringMatching(/^Auto now f16fits, all parts stay on the device3\.60 GB/),
      expect.stringMatching(/900 MB too much, even part by part6\.90 GB/),
      expect.stringMatching(/fits, all parts stay on the device3\.60 GB/),
      expect.stringMatching(/fits, all parts stay on the device2\.10 GB/),
    ]);
    await weights('f32').click();
    await page.getByText('f32 weights do not fit a budget of 4.00 GB; f16 weights do.').waitFor();
    expect(await load().getAttribute('aria-disabled')).toBe('true');

    const budget = page.getByRole('textbox', { name: 'Memory budget' });
    await budget.fill('5');
    await page.getByText('parts come and go: 4.90 GB at a time').waitFor();
    expect(await load().getAttribute('aria-disabled')).toBe('false');
    await budget.fill('1');
    await page.getByText('allow at least 1.40 GB, which is enough for int8 weights, part by part').waitFor();
    await page.reload();
    await page.getByRole('button', { name: /^Model: Emoji/ }).waitFor();
    // before the model: it is loaded with it
    const order = await page.evaluate(() => window.fakeEngine.received.map(({ type }) => type));
    expect(order.indexOf('setBudget')).toBeLessThan(order.indexOf('loadModel'));
    expect((await sent('setBudget')).map(({ bytes }) => bytes)).toEqual([1e9]);
    expect((await sent('loadModel'))[0]).toMatchObject({ weights: 'f32' });
    // the engine starts anew with an empty library
    await dropFiles(page, [dit, vae, clip]);
    await page.getByRole('button', { name: 'Set the budget back to 4.00 GB' }).click();
    await page.getByText('f32 weights do not fit a budget of 4.00 GB').waitFor();
    expect(await budget.inputValue()).toBe('4 GB');
    await end();
  });

  test('is loaded with progress, and its own defaults hold in Generate', async () => {
    await start({ stepMs: 700 });
    await dropFiles(page, [dit, vae, clip]);
    await page.getByRole('radio', { name: /^int8/ }).click();
    await load().click();
    await page.getByText(/^transformer, (1\.48|2\.97|4\.45) GB of 5\.93 GB, .* left$/).waitFor();
    const bar = page.getByRole('main').getByRole('progressbar', { name: 'Loading the model' });
    expect(Number(await bar.getAttribute('aria-valuenow'))).toBeGreaterThan(0);
    await page.getByRole('heading', { name: 'Loaded: MicroDiT_XL_2, 512 px' }).waitFor();
    expect(await page.getByText('Makes pictures of 512 × 512 pixels').isVisible()).toBe(true);
    expect(await page.getByText('int8, 8 bits a number, one scale a row', { exact: true }).isVisible()).toBe(
      true,
    );
    await page.getByRole('button', { name: /^What int8 costs in exactness/ }).click();
    const worst = page.getByRole('region', { name: /^Errors of int8/ }).getByRole('row');
    expect(await worst.nth(1).textContent()).toBe('blocks.27.mlp.experts.w21.2 %0.0123');
    await page.getByRole('link', { name: 'Generate' }).click();
    expect(await page.getByRole('textbox', { name: 'Steps' }).inputValue()).toBe('30');
    expect(await page.getByRole('textbox', { name: 'Guidance' }).inputValue()).toBe('5');
    await end();
  });

  test('can be cancelled while it is loaded, and loaded again', async () => {
    await start({ stepMs: 700 });
    await dropFiles(page, [dit, vae, clip]);
    await load().click();
    await page.getByText(/^transformer, .* of 5\.93 GB/).waitFor();
    await page.getByRole('main').getByRole('button', { name: 'Cancel' }).click();
    await load().waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
    await page.getByRole('heading', { name: 'No model is loaded' }).waitFor();
    await load().click();
    await page.getByRole('heading', { name: 'Loaded: MicroDiT_XL_2, 512 px' }).waitFor();
    await end();
  });

  test('a failure stands beside the button, with details to copy', async () => {
    await start({ chosen: 'fails' });
    await dropFiles(page, [dit, vae, clip]);
    await load().click();
    const alert = page.getByRole('alert');
    await alert.getByText('The model was not loaded.').waitFor();
    expect(await alert.textContent()).toContain('the largest part must fit the budget of 4000000000 bytes');
    expect(await alert.textContent()).toContain('Choose smaller weights (int8)');
    await alert.getByRole('button', { name: 'Details' }).click();
    await alert.getByRole('button', { name: 'Copy details' }).waitFor();
    await end();
  });

  test('waits while a picture is made: shown as a job, and nothing is queued behind it', async () => {
    await start({ stepMs: 100 });
    await dropFiles(page, [dit, vae, clip]);
    await page.getByRole('link', { name: 'Generate' }).click();
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.getByRole('progressbar', { name: 'Steps' }).waitFor();
    await page.getByRole('link', { name: 'Models' }).click();
    await load().click();
    await page.getByText('Waits for the work before it').waitFor();
    await page.getByRole('button', { name: 'Running: 2 jobs' }).click();
    await page.getByRole('list', { name: 'Jobs' }).getByText('Loading the chosen model').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'Generate' }).click();
    expect(
      await page.getByRole('button', { name: 'Queue these fields as the next picture' }).isDisabled(),
    ).toBe(true);
    await page.getByRole('button', { name: 'Model: MicroDiT_XL_2, 512 px' }).waitFor();
    await page.getByRole('button', { name: 'Generate', exact: true }).waitFor();
    // the picture was the first model's
    await page.getByRole('button', { name: 'Open “grinning face”, seed 0' }).click();
    await page.getByRole('dialog').getByText('64 × 64 pixels').waitFor();
    await end();
  });
});

describe('the loaded model', () => {
  test('is unloaded, and what could be next is offered', async () => {
    await start();
    await page.getByRole('button', { name: 'Unload' }).click();
    await page.getByRole('heading', { name: 'No model is loaded' }).waitFor();
    await page.getByRole('button', { name: 'Model: No model' }).waitFor();
    await page.getByRole('link', { name: 'Generate' }).click();
    expect(
      await page.getByRole('button', { name: 'Generate', exact: true }).getAttribute('aria-disabled'),
    ).toBe('true');
    await page.getByRole('button', { name: 'Choose a model' }).last().click();
    await page.getByRole('button', { name: 'Load the demo' }).click();
    await page.getByRole('heading', { name: 'Loaded: Emoji 64 px (demo)' }).waitFor();
    await end();
  });

  test('weights chosen in Generate are the same choice, taken on loading again', async () => {
    await start({}, '');
    await page.getByRole('button', { name: 'More', exact: true }).click();
    await page.getByRole('radiogroup', { name: 'Weights' }).getByText('f32').click();
    await page.getByText('Now stored as f16').waitFor();
    expect(await sent('loadModel')).toHaveLength(1);
    await page.getByRole('button', { name: 'Load the model again with this' }).click();
    await page.getByText('Now stored as f32').waitFor();
    expect((await sent('loadModel')).at(-1)).toMatchObject({ weights: 'f32', source: { kind: 'bundle' } });
    await end();
  });

  test('makes pictures of its own size', async () => {
    await start({ imageSize: 512 }, '');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    const image = page.getByRole('img', { name: 'grinning face' });
    await image.waitFor();
    expect(await image.getAttribute('width')).toBe('512');
    const overflow = await page.evaluate(() => document.documentElement.scrollHeight - window.innerHeight);
    expect(overflow).toBeLessThanOrEqual(0);
    await end();
  });
});

describe('cards', () => {
  test('say what a file is; removing can be undone', async () => {
    await start();
    await dropFiles(page, [dit, clip]);
    const card = cards().filter({ hasText: dit });
    await card.getByText('28 blocks, width 1024, 8 experts, latents of 64 × 64, 4 channels').waitFor();
    expect(await card.getByText('1.17 B', { exact: true }).isVisible()).toBe(true);
    await cards().filter({ hasText: clip }).getByRole('button', { name: '1 note' }).click();
    await page.getByText('391 tensors of the picture tower are passed over').waitFor();
    await card.getByRole('button', { name: /^Remove dit/ }).click();
    await notes()
      .getByText(/is out of the library/)
      .waitFor();
    expect(await cards().count()).toBe(1);
    await notes().getByRole('button', { name: 'Undo' }).click();
    await cards().nth(1).waitFor();
    expect(await added()).toEqual([dit]);
    await end();
  });

  test('tensors: thousands of rows, a filter, statistics, Escape', async () => {
    await start({ tensors: 5000 });
    await dropFiles(page, [dit]);
    const button = page.getByRole('button', { name: /^Tensors of dit/ });
    await button.click();
    const panel = page.getByRole('dialog');
    const list = panel.getByRole('listbox', { name: 'Tensors' });
    await list.waitFor();
    expect(await panel.getByText(/^5,000 tensors, /).isVisible()).toBe(true);
    expect(await list.getByRole('option').count()).toBeLessThan(80);
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await list.getByText('blocks.1249.norm1.weight').waitFor();
    expect(await list.getByRole('option').count()).toBeLessThan(80);

    // the whole way by keyboard
    await list.focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await panel.getByRole('img', { name: /^Histogram from -0\.31 to 0\.298 in 64 bins/ }).waitFor();
    const values = panel.getByRole('region', { name: 'Values of the chosen tensor' });
    expect(await values.getByRole('heading').textContent()).toBe('blocks.0.attn.proj.weight');
    expect(await values.getByText('0.0214').isVisible()).toBe(true);
    await page.keyboard.press('End');
    await list.getByText('blocks.1249.norm1.weight').waitFor();

    const filter = panel.getByRole('textbox', { name: 'Filter tensors' });
    await filter.fill('blocks.12 1024 norm');
    await panel.getByText(/^61 of 5,000 tensors/).waitFor();
    await filter.fill('3072x1024 qkv');
    await panel.getByText(/^1,250 of 5,000 tensors/).waitFor();
    await filter.fill('nothing like it');
    await panel.getByText('No tensor has all of these words.').waitFor();
    expect(await page.evaluate(namelessControls)).toEqual([]);
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'hidden' });
    expect(await button.evaluate((element) => element === document.activeElement)).toBe(true);
    expect(await sent('readStatistics')).toHaveLength(1);
    await end();
  });
});

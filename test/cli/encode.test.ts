/** `tabdit encode-text`, `encode-image` and `decode` on the demo and, where they are, on the shared fixtures. */
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encodePng } from '../../src/formats/png/png';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { expectClose } from '../helpers/compare';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { readFloats, readInts, readShapes, tabdit, tabditJson, temporaryFolder } from './run';

const samples = goldenPath('emoji-64.samples.safetensors');

describe('encode-text', () => {
  const temporary = temporaryFolder();

  test('ids of the released models, padded to the context', () => {
    const text = 'a photograph of an astronaut riding a horse';
    const { ids } = tabditJson<{ ids: number[][] }>('encode-text', '--ids-only', text, '');
    const start = [49406, 320, 8853, 539, 550, 18376, 6765, 320, 4558, 49407];
    const pad = (list: readonly number[]): number[] => [
      ...list,
      ...new Array<number>(77 - list.length).fill(0),
    ];
    expect(ids).toEqual([pad(start), pad([49406, 49407])]);
  });

  test("the demo's tokenizer and tower", async () => {
    const { ids } = tabditJson<{ ids: number[][] }>(
      ...['encode-text', '--ids-only', '--text', 'public/models/emoji-64', 'grinning face', 'crying cat'],
    );
    expect(ids.flat()).toEqual(Array.from(await readInts(samples, 'input_ids')));
    const out = temporary('captions.safetensors');
    tabditJson('encode-text', '--ids-in', samples, '--out', out);
    expect(await readShapes(out)).toEqual({ caption_latents: [2, 1, 16, 96] });
    const [actual, expected] = [out, samples].map((path) => readFloats(path, 'caption_latents'));
    expectClose(await actual!, await expected!, 1e-4, 'caption latents');
  });

  test('ids beyond the vocabulary are refused', () => {
    const { status, stderr } = tabdit('encode-text', '--ids-in', samples, '--tensor', 'noise');
    expect([status, stderr]).toEqual([
      1,
      `tabdit: ${samples}: tensor "noise": must hold integers: it holds F32\n`,
    ]);
  });
});

describe('encode-image and decode', () => {
  const temporary = temporaryFolder();

  test('decodes the recorded latents, and encodes the picture again', async () => {
    const [raw, png] = [temporary('raw.safetensors'), temporary('picture.png')];
    tabditJson('decode', '--in', samples, '--tensor', 'latents_8', '--raw-out', raw, '--out', png);
    expectClose(await readFloats(raw, 'image'), await readFloats(samples, 'image_8'), 1e-4, 'image');

    const [latents, moments] = [temporary('latents.safetensors'), temporary('moments.safetensors')];
    const printed = tabditJson<{ shape: number[]; sampled: boolean }>(
      ...['encode-image', temporary('picture-0.png'), temporary('picture-1.png')],
      ...['--out', latents, '--moments-out', moments],
    );
    expect(printed).toMatchObject({ shape: [2, 4, 16, 16], sampled: false, scaled: true });
    const mean = await readFloats(moments, 'mean');
    expectClose(
      await readFloats(latents, 'latents'),
      mean.map((value) => value * 0.59241),
      1e-6,
      'scaled mean',
    );
    expect(Math.min(...(await readFloats(moments, 'logvar')))).toBeGreaterThanOrEqual(-30);
  });

  test('pictures that cannot be read or do not fit are named', async () => {
    const jpeg = temporary('a.jpg');
    writeFileSync(jpeg, Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46));
    expect(tabdit('encode-image', jpeg)).toMatchObject({
      status: 1,
      stderr: `tabdit: ${jpeg}: a picture must be PNG: it is a JPEG picture\n`,
    });
    const odd = temporary('odd.png');
    writeFileSync(odd, await encodePng({ width: 6, height: 4, channels: 3, data: new Uint8Array(72) }));
    expect(tabdit('encode-image', odd)).toMatchObject({
      status: 1,
      stderr: "tabdit: encode-image: sides must be multiples of the autoencoder's 4: 6 x 4\n",
    });
  });
});

describeFixtures('autoencoders and text towers by path', () => {
  const temporary = temporaryFolder();

  test('a folder as diffusers saves it, not square, with noise', async () => {
    const golden = fixturePath('vae/kl-b.golden.safetensors');
    const vae = fixturePath('vae/kl-b');
    const [image, latents] = [temporary('image.safetensors'), temporary('latents.safetensors')];
    tabditJson('decode', '--vae', vae, '--in', golden, '--tensor', 'decode.1.latent', '--raw-out', image);
    expectClose(await readFloats(image, 'image'), await readFloats(golden, 'decode.1.image'), 1e-4, 'image');

    const noise = temporary('noise.safetensors');
    const values = await readFloats(golden, 'encode.1.noise');
    writeFileSync(noise, encodeSafetensors([floatTensor('noise', [1, 16, 16, 12], values)]));
    tabditJson(
      ...['encode-image', '--vae', vae, '--in', golden, '--tensor', 'encode.1.image'],
      ...['--noise-in', noise, '--unscaled', '--out', latents],
    );
    const expected = await readFloats(golden, 'encode.1.sample');
    expectClose(await readFloats(latents, 'latents'), expected, 1e-4, 'sample');
  });

  test("TAESD, from an original file's half and from diffusers' folder", async () => {
    const golden = fixturePath('vae/taesdxl.golden.safetensors');
    const [image, latents] = [temporary('taesd.safetensors'), temporary('taesd-latents.safetensors')];
    tabditJson(
      ...['decode', '--vae', fixturePath('vae/taesdxl_decoder.pth'), '--in', golden],
      ...['--tensor', 'decode.1.latent', '--raw-out', image],
    );
    expectClose(await readFloats(image, 'image'), await readFloats(golden, 'decode.1.image'), 1e-4, 'image');
    tabditJson(
      ...['encode-image', '--vae', fixturePath('vae/taesdxl'), '--in', golden],
      ...['--tensor', 'encode.0.image', '--out', latents],
    );
    const expected = await readFloats(golden, 'encode.0.latent');
    expectClose(await readFloats(latents, 'latents'), expected, 1e-4, 'latents');
  });

  test('a text tower as open_clip saves it', async () => {
    const golden = fixturePath('text/clip-gelu.golden.safetensors');
    const out = temporary('hidden.safetensors');
    const tower = fixturePath('text/clip-gelu/open_clip_pytorch_model.bin');
    tabditJson('encode-text', '--text', tower, '--ids-in', golden, '--out', out);
    expectClose(await readFloats(out, 'caption_latents'), await readFloats(golden, 'hidden'), 1e-4, 'hidden');
  });
});

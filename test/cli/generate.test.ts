/** `tabdit generate`: the demo's recorded samples, the same bytes twice, parts that are left out. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodePng, readPngSettings } from '../../src/formats/png/png';
import { fromPictures } from '../../src/sessions/pictures';
import { expectClose } from '../helpers/compare';
import { goldenPath } from '../helpers/golden';
import { readFloats, readShapes, tabdit, tabditJson, temporaryFolder } from './run';

const samples = goldenPath('emoji-64.samples.safetensors');

const readFile = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path));

// a software adapter compiles for longer than it computes
describe('generate', { timeout: 300_000 }, () => {
  const temporary = temporaryFolder();

  test('the recorded samples from their noise: latents, trace and pictures', async () => {
    const [latents, trace] = [temporary('latents.safetensors'), temporary('trace.safetensors')];
    const printed = tabditJson<{ pictures: string[]; steps: number; guidance: number; timings: object }>(
      ...[
        'generate',
        'grinning face',
        'crying cat',
        '--steps',
        '8',
        '--guidance',
        '3',
        '--noise-in',
        samples,
      ],
      ...['--out', temporary('pictures'), '--latents-out', latents, '--trace-out', trace],
    );
    const pictures = [temporary('pictures', '0.png'), temporary('pictures', '1.png')];
    expect(printed).toMatchObject({ pictures, steps: 8, guidance: 3, latents, trace });
    expect(Object.keys(printed.timings)).toEqual(['loadMs', 'textMs', 'sampleMs', 'decodeMs', 'totalMs']);
    const made = await readFloats(latents, 'latents');
    expectClose(made, await readFloats(samples, 'latents_8'), 1e-3, 'latents');
    const steps = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`step${i}`, [2, 4, 16, 16]]));
    expect(await readShapes(trace)).toEqual(steps);
    expect(await readFloats(trace, 'step7')).toEqual(made);

    const golden = await readFloats(samples, 'image_8');
    for (const [index, path] of pictures.entries()) {
      const { picture } = await decodePng(path, readFile(path));
      const values = fromPictures([{ width: 64, height: 64, rgb: picture.data }]);
      const expected = golden.slice(index * values.length, (index + 1) * values.length);
      const clamped = expected.map((value) => Math.min(1, Math.max(-1, value)));
      // half a step of 8 bits, and the latents' own error
      expectClose(values, clamped, 0.006, path);
    }
  });

  test('the same settings give the same bytes, with the settings inside', async () => {
    interface Printed {
      readonly weights: string;
      readonly residency: string;
      readonly memory: number;
    }
    let printed: Printed | undefined;
    const run = (name: string, ...more: string[]): Uint8Array<ArrayBuffer> => {
      const out = temporary(`${name}.png`);
      const settings = ['--steps', '2', '--guidance', '1', '--seed', '-3', '--out', out];
      printed = tabditJson<Printed>('generate', 'blue heart', ...settings, ...more);
      return readFile(out);
    };
    const first = run('first');
    expect(await readPngSettings('first.png', first)).toEqual({
      program: 'tabdit',
      model: 'emoji-64',
      prompt: 'blue heart',
      steps: 2,
      guidance: 1,
      seed: '-3',
      noiseLayout: 'cuda',
      index: 0,
      count: 1,
    });
    expect(printed).toMatchObject({ weights: 'f16', residency: 'resident' });
    // decoding in bands, or parts that come and go, to keep to a bound change nothing
    const bound = Math.floor(printed!.memory * 0.95);
    expect(run('second', '--memory', `${bound / 1e6}MB`)).toEqual(first);
    expect(printed).toMatchObject({ weights: 'f16' });
    expect(printed!.memory).toBeLessThanOrEqual(bound);
  });

  test('given captions and no pictures: neither text tower nor autoencoder are needed', async () => {
    const out = temporary('only.safetensors');
    const text = tabdit(
      ...['generate', '--model', 'public/models/emoji-64/dit.safetensors', '--caption-latents-in', samples],
      ...['--count', '2', '--steps', '2', '--guidance', '1', '--latents-out', out],
    );
    expect([text.status, text.stdout.split('\n').at(-2)]).toEqual([0, `written to ${out}`]);
    expect(text.stderr).toMatch(/^adapter: ./m);
    expect(await readShapes(out)).toEqual({ latents: [4, 4, 16, 16] });
    expect(existsSync('tabdit.png')).toBe(false);
  });

  test.each([
    [['generate'], 2, 'generate: a prompt or --caption-latents-in must be given: there is neither'],
    [['generate', 'a', '--seed', '1e3'], 2, 'generate: --seed must be a whole number of 64 bits: "1e3"'],
    [['generate', 'a', '--size', '128'], 1, "generate: --size must be the model's 64 pixels: 128"],
    [['generate', 'a', '--memory', 'much'], 2, 'generate: --memory must be an amount such as 2.7GB: "much"'],
    [['generate', 'a', '--out', 'a.jpg'], 2, '--out must be a folder or a .png file: a.jpg'],
    [
      ['generate', 'a', '--noise-in', samples, '--count', '3'],
      1,
      'generate: noise must be for every picture: 2 rows of noise, 1 captions, --count 3',
    ],
  ])('%j is refused', (args, status, message) => {
    expect(tabdit(...args)).toEqual(
      expect.objectContaining({ status, stdout: '', stderr: `tabdit: ${message}\n` }),
    );
  });
});

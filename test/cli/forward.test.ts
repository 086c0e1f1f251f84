/** `tabdit forward` and `tabdit loss` against the reference implementation. */
import { describe, expect, test } from 'vitest';
import { expectClose } from '../helpers/compare';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { readFloats, readInts, readShapes, tabdit, tabditJson, temporaryFolder } from './run';

const weights = goldenPath('micro-a.weights.safetensors');
const inputs = goldenPath('micro-a.forward.safetensors');

describe('forward', () => {
  const temporary = temporaryFolder();

  test('F with guidance, configuration from the metadata', async () => {
    const out = temporary('F.safetensors');
    const printed = tabditJson<{ shape: number[]; cfg: number; adapter: string }>(
      ...['forward', '--model', weights, '--in', inputs, '--cfg', '5', '--out', out],
    );
    expect(printed).toMatchObject({ shape: [2, 4, 8, 8], cfg: 5, out });
    expect(printed.adapter).not.toBe('');
    expect(await readShapes(out)).toEqual({ F: [2, 4, 8, 8] });
    expectClose(await readFloats(out, 'F'), await readFloats(inputs, 'F_cfg'), 2e-5, 'F');
  });

  test('inputs that do not fit the model are refused before a device is opened', () => {
    const { status, stderr } = tabdit('forward', '--in', inputs);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^tabdit: .*: tensor "x": must have shape \[N, 4, 16, 16\]: it has \[2, 4, 8, 8\]\n$/,
    );
  });
});

describeFixtures('forward and loss with the mask of training', () => {
  const temporary = temporaryFolder();

  test('masked evaluation of a checkpoint of torch', async () => {
    const golden = fixturePath('dit/micro-a.masked.safetensors');
    const out = temporary('masked.safetensors');
    tabditJson(
      ...['forward', '--model', fixturePath('dit/micro-a.pt'), '--in', golden, '--mask-ratio', '0.75'],
      ...['--config', fixturePath('dit/micro-a.masked.json'), '--out', out],
    );
    expectClose(await readFloats(out, 'F'), await readFloats(golden, 'F'), 2e-5, 'F');
    expect(await readFloats(out, 'mask')).toEqual(await readFloats(golden, 'mask'));
    for (const name of ['ids_keep', 'ids_restore']) {
      expect(await readInts(out, name), name).toEqual(await readInts(golden, name));
    }
  });

  test('loss and every gradient', async () => {
    const golden = fixturePath('dit/micro-a.grad.safetensors');
    const out = temporary('gradients.safetensors');
    const printed = tabditJson<{ loss: number; grad_norm: number }>(
      ...['loss', '--model', weights, '--in', golden, '--mask-ratio', '0.75', '--grads-out', out],
    );
    const shapes = await readShapes(golden);
    const wanted = Object.keys(shapes).filter((name) => /^masked\.(grad|loss)/.test(name));
    expect(wanted.length).toBeGreaterThan(100);
    for (const name of wanted) {
      const own = name.slice('masked.'.length);
      const [actual, expected] = [await readFloats(out, own), await readFloats(golden, name)];
      expectClose(actual, expected, own.startsWith('loss') ? 1e-5 : 1e-4, own);
    }
    expect((await readFloats(out, 'loss'))[0]).toBe(printed.loss);
    expect((await readFloats(out, 'grad_norm'))[0]).toBe(printed.grad_norm);
  });
});

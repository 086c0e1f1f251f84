/** What the Models panel says: of added files, of parts, of numbers. */
import { describe, expect, test } from 'vitest';
import { configWords, dtypeWords } from '../../src/ui/panels/Models/configWords';
import {
  budgetFrom,
  percentText,
  shareText,
  valueText,
  visibleRows,
} from '../../src/ui/panels/Models/figures';
import { releasedFiles, repositoryPage, withRepositories } from '../../src/ui/panels/Models/releasedFiles';
import { intakeStatus } from '../../src/ui/state/intake';
import { intakeWords, shortName, withoutName } from '../../src/ui/state/intakeWords';
import { item, library, part } from './libraryParts';

describe('added files', () => {
  const dit = item('a/dit.pt', { parts: [part('dit', { words: 'MicroDiT_XL_2 for 512 px' })] });
  const vae = item('vae.safetensors', {
    parts: [part('vae', { words: 'AutoencoderKL, 4 latent channels' })],
  });
  const config = item('config.json', { kind: 'config', words: 'configuration' });
  const chosen = { ...library().chosen, dit: { item: dit.id, part: 0 } };

  test('are named while they are few', () => {
    expect(intakeWords([dit, vae, config], library({ chosen }))).toEqual({
      text:
        '“dit.pt” is MicroDiT_XL_2 for 512 px. “vae.safetensors” is AutoencoderKL, 4 latent channels. ' +
        'That is everything for a model.',
      problem: false,
      complete: true,
    });
    const conflicts = ['The autoencoder must have 16 channels: it has 4.'];
    expect(intakeWords([vae], library({ chosen, conflicts })).text).toContain(conflicts[0]);
  });

  test('are counted when they are many', () => {
    const pictures = ['a', 'b', 'c'].map((name) => item(`${name}.png`, { kind: 'picture' }));
    const { text } = intakeWords([dit, ...pictures], library());
    expect(text).toMatch(/^4 files added: 1 transformer, 3 pictures\./);
  });

  test('that are refused say why, without their name twice', () => {
    const broken = item('x/broken.pt', { kind: 'refused', problem: 'x/broken.pt: must be whole: 7 bytes' });
    expect(intakeWords([broken], library())).toEqual({
      text: '“broken.pt” cannot be used: must be whole: 7 bytes.',
      problem: true,
      complete: false,
    });
    expect(withoutName('broken.pt: a: b', 'x/broken.pt')).toBe('a: b');
    expect(withoutName('other.pt: a: b', 'x/broken.pt')).toBe('other.pt: a: b');
  });

  test('that are nothing are said to be nothing', () => {
    const other = item('notes.txt', { kind: 'other', words: 'of no kind known here' });
    expect(intakeWords([], library()).text).toBe('There was nothing in it.');
    expect(intakeWords([other], library())).toMatchObject({
      text: '“notes.txt”: of no kind known here.',
      problem: true,
    });
    expect(intakeWords([other, other], library()).text).toContain('None of the 2 files');
    expect(intakeWords([config], library())).toMatchObject({ problem: false });
  });

  test('long names keep both ends', () => {
    const name = 'dit_4_channel_37M_real_and_synthetic_data.pt';
    const short = shortName(`ckpts/${name}`);
    expect(short).toHaveLength(36);
    expect(short).toMatch(/^dit_4_channel.*….*\.pt$/);
    expect(shortName('folder/short.pt')).toBe('short.pt');
  });

  test('on their way are counted', () => {
    expect(intakeStatus({ finding: null, reading: 0 })).toBe('');
    expect(intakeStatus({ finding: 1200, reading: 0 })).toContain('1,200 so far');
    expect(intakeStatus({ finding: null, reading: 1 })).toBe('Looking what the file is');
  });
});

describe('parts', () => {
  test('configurations are read as far as they go', () => {
    const config = { depth: 28, dim: 1024, num_experts: 8, in_channels: 4, block_out_channels: 'no' };
    expect(configWords(part('dit', { config }))).toBe('28 blocks, width 1024, 8 experts, 4 channels');
    expect(configWords(part('vae', { config }))).toBe('');
    expect(configWords(part('dit', { config: null }))).toBe('');
    const kl = { block_out_channels: [32, 64], latent_channels: 4, scaling_factor: 0.13025 };
    expect(configWords(part('vae', { config: kl }))).toBe(
      'widths 32, 64, 4 latent channels, scaling factor 0.13025',
    );
  });

  test('types of values', () => {
    expect(dtypeWords({ F32: 10 })).toBe('F32');
    expect(dtypeWords({ I64: 77, F16: 1_500_000 })).toBe('1.50 M in F16, 77 in I64');
    expect(dtypeWords({})).toBe('');
  });
});

describe('numbers', () => {
  test('budgets are typed in GB, within what can be meant', () => {
    expect(budgetFrom(4)).toBe(4e9);
    expect(budgetFrom('0.25')).toBe(250e6);
    expect([budgetFrom(''), budgetFrom('x'), budgetFrom(0.01), budgetFrom(-3), budgetFrom(1e6)]).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });

  test('values, shares and errors', () => {
    expect([valueText(0), valueText(-12), valueText(0.0213456), valueText(1.5e-7)]).toEqual([
      '0',
      '-12',
      '0.02135',
      '1.500e-7',
    ]);
    expect(valueText(NaN)).toBe('none');
    expect([shareText(0, 9), shareText(5, 1000), shareText(1, 1e9)]).toEqual([
      '0',
      '5, 0.50 %',
      '1, below 0.001 %',
    ]);
    expect([percentText(0), percentText(0.0121), percentText(1.7)]).toEqual(['0 %', '1.2 %', '170 %']);
  });

  test('only rows near what is seen are drawn', () => {
    expect(visibleRows(0, 320, 32, 5000)).toEqual({ first: 0, end: 20 });
    expect(visibleRows(32 * 1000, 320, 32, 5000)).toEqual({ first: 990, end: 1020 });
    expect(visibleRows(0, 320, 32, 3)).toEqual({ first: 0, end: 3 });
  });
});

describe('released files', () => {
  test('lie on pages of Hugging Face', () => {
    for (const released of releasedFiles) {
      expect(repositoryPage(released)).toMatch(
        /^https:\/\/huggingface\.co\/[\w.-]+\/[\w.-]+(\/tree\/main\/\w+)?$/,
      );
    }
  });

  test('are found in sentences', () => {
    expect(withRepositories('ostris/vae-kl-f8-d16: weights; or madebyollin/taesdxl')).toEqual([
      { text: 'ostris/vae-kl-f8-d16', page: 'https://huggingface.co/ostris/vae-kl-f8-d16' },
      { text: ': weights; or ' },
      { text: 'madebyollin/taesdxl', page: 'https://huggingface.co/madebyollin/taesdxl' },
    ]);
    expect(withRepositories('nothing here')).toEqual([{ text: 'nothing here' }]);
  });
});

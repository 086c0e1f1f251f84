/** torch's files, Composer's checkpoints and broken files, against what the fixtures' lists say. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { floatToHalf, halfToFloat } from '../../src/core/float16';
import { decodeNumbers } from '../../src/formats/elements';
import { openTensorFile, tensorFormat } from '../../src/formats/openTensorFile';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import type { TensorEntry, TensorFile } from '../../src/formats/tensorFile';
import { findTensor, loadBytes, loadFloats } from '../../src/formats/tensorFile';
import { readTorch } from '../../src/formats/torch/reader';
import type { PyValue, PySet, PyTuple } from '../../src/formats/torch/values';
import { PyDict, PyObject, valueAt } from '../../src/formats/torch/values';
import { nodeFile } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { readMutants, readPickleMutants } from './mutants';

interface ExpectedTensor {
  path: string;
  keys: (string | number)[];
  dtype: string;
  shape: number[];
  first: (number | string)[];
  first_exact?: string[];
  sum: number | string;
  sha256: string;
}

interface Expected {
  outcome: string;
  reason?: string;
  tensors?: ExpectedTensor[];
}

async function open(path: string) {
  return readTorch(await nodeFile(fixturePath(path), path));
}

async function sha256(file: TensorFile, entry: TensorEntry): Promise<string> {
  return createHash('sha256')
    .update(await loadBytes(file.source, entry))
    .digest('hex');
}

async function checkTensors(file: TensorFile, wanted: readonly ExpectedTensor[]): Promise<void> {
  expect([...file.tensors.keys()].sort()).toEqual(wanted.map((tensor) => tensor.path).sort());
  for (const want of wanted) {
    const entry = findTensor(file, want.path, want.shape);
    expect(entry.dtype).toBe(want.dtype);
    const bytes = await loadBytes(file.source, entry);
    expect(createHash('sha256').update(bytes).digest('hex'), want.path).toBe(want.sha256);
    const numbers = decodeNumbers(bytes, entry.dtype);
    const first = [...numbers.subarray(0, want.first.length)];
    expect(first, want.path).toEqual(want.first.map(Number));
    const sum = numbers.reduce((total, value) => total + value, 0);
    const tolerance = 1e-9 * Math.max(1, Math.abs(Number(want.sum)));
    if (Number.isFinite(sum))
      expect(Math.abs(sum - Number(want.sum)), want.path).toBeLessThanOrEqual(tolerance);
    else expect(sum).toBe(Number(want.sum));
  }
}

describeFixtures('torch files', () => {
  const expected = JSON.parse(readFileSync(fixturePath('formats/torch/expected.json'), 'utf8')) as Record<
    string,
    Expected
  >;

  it.each(Object.entries(expected))('%s', async (name, want) => {
    const source = await nodeFile(fixturePath(`formats/torch/${name}`), name);
    const started = performance.now();
    const result = await readTorch(source).catch((error: unknown) => error);
    expect(performance.now() - started).toBeLessThan(2000);
    if (want.outcome === 'refused') {
      expect(result).toBeInstanceOf(FormatError);
      const message = (result as FormatError).message;
      expect(message).toMatch(/^\S+: torch: .+: .+$/); // what, rule, actual, in one line
      expect(message.startsWith(`${name}: `)).toBe(true);
      expect(message.length).toBeLessThan(300);
      if (want.reason === 'unsafe') expect(message).toMatch(/names \S+, which can run programs/);
      if (want.reason === 'torchscript') expect(message).toMatch(/TorchScript/);
      if (want.reason === 'unsupported')
        expect(message).toMatch(/whole object of torch\.nn\.modules\.linear\.Linear/);
      await expect(openTensorFile(source)).rejects.toBeInstanceOf(FormatError);
      return;
    }
    // "tensors or refused" are tensors here: protocol 4 and deflated members are read.
    if (result instanceof Error) throw result;
    const file = result as Awaited<ReturnType<typeof readTorch>>;
    await checkTensors(file, want.tensors ?? []);
    for (const tensor of want.tensors ?? []) expect(file.keys.get(tensor.path)).toEqual(tensor.keys);
    expect(await tensorFormat(source)).toBe('torch');
  });

  const sayings: readonly (readonly [string, RegExp])[] = [
    ['bad-two-bytes', /must end with its directory: there is none/],
    ['bad-empty', /it is empty$/],
    ['bad-text', /it is text beginning "/],
    ['bad-html', /it is a web page$/],
    ['bad-lfs-pointer', /it is a Git LFS pointer, not the file it points to$/],
    ['bad-truncated', /cut short/],
    ['bad-short-storage', /storage 0 must have \d+ bytes: it has \d+/],
    ['bad-entry-size', /ZIP member "archive\/data\.pkl" must end before byte \d+/],
    ['bad-central-offset', /the directory must end before byte/],
    ['bad-count', /60000 entries must fit into the directory/],
    ['bad-zip-empty', /it is empty$/],
    ['bad-no-pickle', /must have a data\.pkl in its folder: it has "/],
    ['bad-version', /version must be 1 to 10: "99"/],
    ['bad-byteorder', /byteorder must be "little" or "big": "middle"/],
    ['bad-opcode', /byte 2 is 0xfe/],
    ['bad-nesting', /nest at most 100 deep/],
    ['bad-expand-bomb', /expanded tensors must have at most 67\.1 MB/],
    ['bad-key-path', /storage \.\.\/data\.pkl must be in the file: it is not/],
    ['bad-negative-stride', /strides must be whole numbers .*: -1/],
    ['bad-stride-bounds', /must lie inside its 4 elements: .* reach 5/],
  ];
  it.each(sayings)('says of %s what is wrong', async (name, pattern) => {
    const error = await open(`formats/torch/${name}.pt`).catch((thrown: unknown) => thrown);
    expect((error as Error).message).toMatch(pattern);
  });

  it('gives the objects around the tensors', async () => {
    const { root, globals } = await open('formats/torch/python-objects.pt');
    const at = (...keys: (string | number)[]) => valueAt(root, ...keys);
    expect((at('wct') as PyObject).type).toBe('datetime.timedelta');
    expect((at('wct') as PyObject).args).toHaveLength(3);
    expect((at('when') as PyObject).args[0]).toBeInstanceOf(Uint8Array);
    expect((at('stamp') as PyObject).type).toBe('lab.Stamp');
    const settings = at('settings') as PyObject;
    expect(settings.type).toBe('lab.Settings');
    expect(valueAt(settings.state, 'lr')).toEqual(expect.any(Number));
    expect(valueAt(settings.state, 'names', 0)).toEqual(expect.any(String));
    expect((at('set') as PySet).items).not.toHaveLength(0);
    expect(at('bytes')).toBeInstanceOf(Uint8Array);
    expect(at('bytearray')).toBeInstanceOf(Uint8Array);
    expect((at('size') as PyTuple).items).not.toHaveLength(0);
    expect(at('dtype')).toMatchObject({ module: 'torch', name: 'bfloat16' });
    expect((at('counter') as PyDict).type).toBe('Counter');
    expect(at('fn')).toMatchObject({ module: 'torch._C._nn', name: 'gelu' });
    expect(globals).toContain('builtins.frozenset');
    expect((await open('formats/torch/big-ints.pt')).root).toBeInstanceOf(PyDict);
  });

  const damaged = [
    ...['state-f32', 'strided', 'expanded', 'nested', 'python-objects', 'tied', 'many', 'legacy'],
    ...[
      'protocol-4',
      'rezipped-deflate',
      'hand-big-endian',
      'rebuild-from-type-v2',
      'optimizer',
      'unsigned-wide',
    ],
  ];
  it.each(damaged)('refuses or reads 300 damaged copies of %s', async (name) => {
    const outcome = await readMutants(`formats/torch/${name}.pt`, 11, 0, 300);
    expect(outcome.problems).toEqual([]);
    expect(outcome.read + outcome.refused).toBe(300);
    expect(outcome.slowest).toBeLessThan(5000);
  });

  it.each(['python-objects', 'protocol-4', 'rebuild-from-type-v2', 'strided', 'unsigned-wide', 'optimizer'])(
    'refuses or reads 300 copies of %s with a damaged pickle',
    async (name) => {
      const outcome = await readPickleMutants(`formats/torch/${name}.pt`, 13, 0, 300);
      expect(outcome.problems).toEqual([]);
      expect(outcome.slowest).toBeLessThan(5000);
    },
  );
});

describeFixtures('Composer checkpoints', () => {
  type Tree = Record<string, unknown>;
  interface Checkpoint {
    tree: Tree;
    tensors: ExpectedTensor[];
    optimizer_keys?: string;
    optimizer_order?: string[];
    param_groups?: Tree[];
    schedulers?: Tree;
    timestamp?: Record<string, number | { timedelta_microseconds: number }>;
  }
  const expected = JSON.parse(readFileSync(fixturePath('formats/composer/expected.json'), 'utf8')) as Record<
    string,
    Checkpoint
  >;
  const names = Object.keys(expected).filter((name) => name.endsWith('.pt'));

  it.each(names)('%s', async (name) => {
    const want = expected[name] as Checkpoint;
    const file = await open(`formats/composer/${name}`);
    await checkTensors(file, want.tensors);
    const state = valueAt(file.root, 'state') as PyDict;
    const known = want.tree["'state'"] as Tree;
    expect([...state.entries()].map(([key]) => `'${key as string}'`)).toEqual(Object.keys(known));

    const optimizer = valueAt(state, 'optimizers', 'AdamW');
    if (!optimizer || !want.param_groups) return;
    expect(plain(valueAt(optimizer, 'param_groups') ?? null)).toEqual(want.param_groups);
    expect(plain(valueAt(state, 'schedulers') ?? null)).toEqual(want.schedulers);
    expect(plain(valueAt(state, 'timestamp', 'Timestamp') ?? null)).toEqual(want.timestamp);
    const keys = [...(valueAt(optimizer, 'state') as PyDict).entries()].map(([key]) => key);
    expect(keys).toEqual(
      want.optimizer_keys === 'integers' ? want.optimizer_order?.map((_, i) => i) : want.optimizer_order,
    );
    const numpy = valueAt(file.root, 'rng', 0, 'numpy', 1) as PyObject;
    expect(numpy.type).toMatch(/^numpy\.(_core|core)\.multiarray\._reconstruct$/);
    expect((numpy.state as PyTuple).items[4]).toHaveLength(4 * 624);
    expect((valueAt(file.root, 'rng', 0, 'python', 1) as PyTuple).items).toHaveLength(625);
  });

  /** Values as JSON has them. */
  function plain(value: PyValue): unknown {
    if (value instanceof PyDict) {
      return Object.fromEntries([...value.entries()].map(([key, item]) => [key as string, plain(item)]));
    }
    if (Array.isArray(value)) return value.map(plain);
    if (value instanceof PyObject && value.type === 'datetime.timedelta') {
      const [days = 0, seconds = 0, micros = 0] = value.args.map(Number);
      return { timedelta_microseconds: (days * 86_400 + seconds) * 1e6 + micros };
    }
    return value;
  }

  it.each(['v0.24-ep0-ba3-rank0', 'minimal-resume'])(
    'refuses or reads 60 damaged copies of %s',
    async (name) => {
      const outcome = await readMutants(`formats/composer/${name}.pt`, 12, 0, 60);
      expect(outcome.problems).toEqual([]);
      expect(outcome.slowest).toBeLessThan(5000);
    },
  );
});

describeFixtures('torch files of models', () => {
  it('reads the DiT as safetensors has it', async () => {
    const want = await readSafetensors(await nodeFile(fixturePath('dit/micro-a.weights.safetensors')));
    const full = await open('dit/micro-a.pt');
    const half = await open('dit/micro-a.f16.pt');
    expect([...full.tensors.keys()].sort()).toEqual([...want.tensors.keys()].sort());
    expect([...half.tensors.keys()]).toEqual([...full.tensors.keys()]);
    for (const entry of want.tensors.values()) {
      const narrow = findTensor(half, entry.name, entry.shape);
      expect(narrow.dtype).toBe(entry.dtype);
      expect(await sha256(half, narrow)).toBe(await sha256(want, entry));
      const wide = findTensor(full, entry.name, entry.shape);
      expect(wide.dtype).toBe('F32');
      expect(await loadFloats(full.source, wide)).toEqual(await loadFloats(want.source, entry));
    }
  });

  it('reads the demo model, whose f16 form lies beside it', async () => {
    const full = await open('demo/emoji-64.dit.pt');
    const half = await readSafetensors(await nodeFile(fixturePath('demo/emoji-64/dit.safetensors')));
    expect([...full.tensors.keys()].sort()).toEqual([...half.tensors.keys()].sort());
    for (const entry of half.tensors.values()) {
      const floats = await loadFloats(full.source, findTensor(full, entry.name, entry.shape));
      const rounded = entry.dtype === 'F16' ? floats.map((value) => roundToHalf(value)) : floats;
      expect(await loadFloats(half.source, entry)).toEqual(rounded);
    }
  });

  it('reads text towers', async () => {
    const exact = await open('text/clip-gelu/open_clip_pytorch_model.bin');
    const hub = await open('text/clip-gelu/pytorch_model.bin');
    expect(hub.tensors.get('text_model.embeddings.position_ids')?.dtype).toBe('I64');
    const embedding = findTensor(exact, 'token_embedding.weight');
    const sameEmbedding = findTensor(hub, 'text_model.embeddings.token_embedding.weight', embedding.shape);
    expect(await sha256(exact, embedding)).toBe(await sha256(hub, sameEmbedding));
    const quick = await open('text/clip-quick/open_clip_pytorch_model.bin');
    const want = await readSafetensors(await nodeFile(fixturePath('text/clip-quick/model.safetensors')));
    const names: [string, string][] = [
      ['token_embedding.weight', 'text_model.embeddings.token_embedding.weight'],
      ['positional_embedding', 'text_model.embeddings.position_embedding.weight'],
      ['ln_final.weight', 'text_model.final_layer_norm.weight'],
    ];
    for (const [ours, theirs] of names) {
      const a = findTensor(quick, ours);
      const b = findTensor(want, theirs, a.shape);
      expect(await loadFloats(quick.source, a)).toEqual(await loadFloats(want.source, b));
    }
  });

  it('reads the autoencoders of the original layout', async () => {
    const hub = await readSafetensors(
      await nodeFile(fixturePath('vae/taesdxl/diffusion_pytorch_model.safetensors')),
    );
    const known = new Set<string>();
    for (const entry of hub.tensors.values()) known.add(await sha256(hub, entry));
    for (const part of ['decoder', 'encoder']) {
      const file = await open(`vae/taesdxl_${part}.pth`);
      expect(file.tensors.size).toBeGreaterThan(50);
      for (const entry of file.tensors.values()) expect(known).toContain(await sha256(file, entry));
    }
  });
});

function roundToHalf(value: number): number {
  return halfToFloat(floatToHalf(value));
}

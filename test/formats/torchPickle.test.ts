/** The pickle machine: every instruction, every bound, and the names that it refuses. */
import { describe, expect, it } from 'vitest';
import { isRefused } from '../../src/formats/torch/globals';
import { readTorch } from '../../src/formats/torch/reader';
import type { PyObject, PySet, PyTuple } from '../../src/formats/torch/values';
import { PyDict, valueAt } from '../../src/formats/torch/values';
import type { Sparse } from './torchCases';
import { f32, join, le, pk, refusal, sparseSource, tensorPickle, torchZip } from './torchCases';

const open = (file: Sparse) => readTorch(sparseSource('x.pt', file));
const four = { key: '0', count: 4, shape: [4] } as const;
const fourBytes = { '0': f32(1, 2, 3, 4) };

describe('pickles', () => {
  it('reads what protocols 2 to 5 write', async () => {
    const value = pk.listOf(
      join([0x8b], le(2, 4), [0x00, 0x80]), // LONG4
      join([0x49], new TextEncoder().encode('4294967296\n')), // INT of Python 2
      join([0x55, 2, 0xff, 0x41]), // SHORT_BINSTRING, not UTF-8
      join([0x8e], le(2, 8), [1, 2]), // BINBYTES8
      join([0x96], le(1, 8), [9]), // BYTEARRAY8
      join([0x8d], le(2, 8), [0x68, 0x69]), // BINUNICODE8
      join([0x8f, 0x28, 0x4b, 1, 0x4b, 2, 0x90]), // EMPTY_SET, ADDITEMS
      join([0x28, 0x4b, 3, 0x91]), // FROZENSET
      join([0x4b, 5, 0x32, 0x30]), // DUP, POP
      join([0x28, 0x4b, 1, 0x4b, 2, 0x31], pk.none), // POP_MARK
      join(pk.text('lab'), pk.text('Thing'), [0x93], [0x29], pk.dictOf({ a: pk.int(1) }), [0x92]), // STACK_GLOBAL, NEWOBJ_EX
      join([0x47, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), // BINFLOAT
      pk.call('collections', 'OrderedDict', pk.listOf(pk.listOf(pk.text('k'), pk.int(7)))),
      join(
        pk.call('collections', 'defaultdict', pk.global('__builtin__', 'list')),
        pk.text('k'),
        pk.int(8),
        [0x73],
      ),
      tensorPickle(four),
    );
    const file = await open(torchZip(value, fourBytes));
    const items = file.root as unknown[];
    expect(items.slice(0, 6)).toEqual([
      -32768,
      4294967296,
      Uint8Array.of(255, 65),
      Uint8Array.of(1, 2),
      Uint8Array.of(9),
      'hi',
    ]);
    expect((items[6] as PySet).items).toEqual([1, 2]);
    expect((items[7] as PySet).items).toEqual([3]);
    expect(items.slice(8, 10)).toEqual([5, null]);
    expect((items[10] as PyObject).type).toBe('lab.Thing');
    expect((items[10] as PyObject).args[0]).toBeInstanceOf(PyDict);
    expect(items[11]).toBe(1.5);
    expect((items[12] as PyDict).get('k')).toBe(7);
    expect([(items[13] as PyDict).type, (items[13] as PyDict).get('k')]).toEqual(['defaultdict', 8]);
    expect([...file.tensors.keys()]).toEqual(['14']);
  });

  it.each([
    ['a value that holds itself', join(pk.list, pk.put(0), pk.get(0), [0x61]), /nest at most 100 deep/],
    ['lists of lists of lists', laughs(30), /at most 2000000 values/],
    ['five million instructions', new Uint8Array(5_100_000).fill(0x4e), /at most 5000000 instructions/],
    ['half a million objects', new Uint8Array(500_100).fill(0x5d), /at most 500000 objects/],
    ['a thousand marks', new Uint8Array(1001).fill(0x28), /at most 1000 deep/],
    ['copies of copies', copies(), /must not copy the same values over and over/],
    ['a rebuild in a rebuild', rebuilds(), /must not be called through itself/],
    ['protocol 6', [0x80, 6], /protocol must be at most 5: 6/],
    ['a long integer', join([0x8b], le(2000, 4), new Uint8Array(2000)), /at most 1024 bytes: it has 2000/],
    ['a line without end', join([0x63], new Uint8Array(5000).fill(0x61)), /shorter than 4096 bytes/],
    ['keys without values', join(pk.dict, pk.mark, pk.none, [0x75]), /keys must have values/],
    ['items for a number', join(pk.int(1), pk.none, [0x61]), /appended to a list: it is 1/],
    ['a call of text', join(pk.text('f'), pk.tuple(), pk.reduce), /must be a function: text/],
    [
      'arguments that are none',
      join(pk.global('lab', 'f'), pk.none, pk.reduce),
      /arguments must be a tuple: None/,
    ],
    ['a pop through a mark', join(pk.none, pk.mark, [0x85]), /must have 1 values: it has 0/],
    ['an out-of-band buffer', [0x97], /byte 2 is 0x97/],
    ['bytes after its end', join(pk.none, pk.stop, pk.none), /must end with its value: 2 bytes follow/],
  ])('refuses %s', async (_, value, pattern) => {
    const started = performance.now();
    expect(await refusal(open(torchZip(value)))).toMatch(pattern);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  /** Ten times the list before, again and again. */
  function laughs(depth: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < depth; i++) {
      const inner = i === 0 ? [0x4e] : pk.get(i - 1);
      parts.push(
        join(pk.list, pk.put(i), pk.mark, ...new Array<Uint8Array | number[]>(10).fill(inner), [0x65]),
      );
    }
    return join(...parts);
  }

  function copies(): Uint8Array {
    const items = Array.from({ length: 10_000 }, (_, i) => pk.tuple(pk.int(i), pk.none));
    const copy = join(pk.global('collections', 'OrderedDict'), pk.get(0), [0x85, 0x52]);
    return join(pk.listOf(...items), pk.put(0), ...new Array<Uint8Array>(1000).fill(copy));
  }

  function rebuilds(): Uint8Array {
    const again = pk.global('torch._tensor', '_rebuild_from_type_v2');
    return join(
      again,
      pk.tuple(again, pk.none, pk.tuple(again, pk.none, pk.tuple(), pk.none), pk.none),
      pk.reduce,
    );
  }

  it('names what a hostile file calls for', async () => {
    const value = pk.dictOf({ w: tensorPickle(four), x: pk.call('posix', 'system', pk.text('exit 3')) });
    expect(await refusal(open(torchZip(value, fourBytes)))).toBe(
      'x.pt: torch: must hold data only: it names posix.system, which can run programs (a hostile file)',
    );
  });

  it.each([
    ['os', 'system'],
    ['sys', 'exit'],
    ['subprocess', 'Popen'],
    ['builtins', 'getattr'],
    ['builtins', '__import__'],
    ['runpy', '_run_code'],
    ['operator', 'attrgetter'],
    ['torch', 'load'],
    ['torch.hub', 'load'],
    ['torch.serialization', 'os.system'],
    ['numpy.testing._private.utils', 'runstring'],
    ['lab', 'os'],
    ['lab', 'thing.__globals__'],
    ['types', 'CodeType'],
  ])('refuses %s.%s', (module, name) => expect(isRefused(module, name)).toBe(true));

  it.each([
    ['builtins', 'set'],
    ['builtins', 'ValueError'],
    ['pathlib', 'PosixPath'],
    ['argparse', 'Namespace'],
    ['datetime', 'timedelta'],
    ['functools', 'partial'],
    ['numpy', 'dtype'],
    ['numpy._core.multiarray', '_reconstruct'],
    ['torch.torch_version', 'TorchVersion'],
    ['torch._utils', '_rebuild_tensor_v2'],
    ['torch.nn.modules.linear', 'Linear'],
    ['omegaconf.dictconfig', 'DictConfig'],
    ['copyreg', '_reconstructor'],
    ['lab.train', 'test'],
  ])('takes %s.%s as a name', (module, name) => expect(isRefused(module, name)).toBe(false));
});

it('reads values by their keys', async () => {
  const value = pk.dictOf({
    groups: pk.listOf(pk.dictOf({ betas: pk.tuple(pk.int(9), pk.int(99)) })),
    w: tensorPickle(four),
  });
  const { root } = await open(torchZip(value, fourBytes));
  expect(valueAt(root, 'groups', 0, 'betas', 1)).toBe(99);
  expect((valueAt(root, 'groups', 0, 'betas') as PyTuple).items).toEqual([9, 99]);
  expect(valueAt(root, 'groups', 'x')).toBeUndefined();
  expect(valueAt(root, 'groups', 5, 'y')).toBeUndefined();
});

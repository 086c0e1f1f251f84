import { describe, expect, it } from 'vitest';
import { dtypeBytes, fileDTypeBytes, fileDTypes, isFileDType, isFloatDType } from '../../src/core/dtype';
import { elementCount, sameShape, shapeText } from '../../src/core/shape';
import { formatBytes, formatCount, formatSeconds, parseBytes } from '../../src/core/units';

describe('dtype', () => {
  it('knows sizes', () => {
    expect((['f32', 'f16', 'i8', 'i32', 'u32'] as const).map(dtypeBytes)).toEqual([4, 2, 1, 4, 4]);
    expect(fileDTypes.map((d) => `${d} ${fileDTypeBytes(d)}`)).toEqual([
      'F64 8',
      'F32 4',
      'F16 2',
      'BF16 2',
      'F8_E4M3 1',
      'F8_E5M2 1',
      'I64 8',
      'I32 4',
      'I16 2',
      'I8 1',
      'U64 8',
      'U32 4',
      'U16 2',
      'U8 1',
      'BOOL 1',
      'C64 8',
    ]);
  });

  it('tells file types from other names', () => {
    expect(isFileDType('BF16')).toBe(true);
    expect(isFileDType('F33')).toBe(false);
    expect(isFileDType('toString')).toBe(false);
    expect(isFileDType(32)).toBe(false);
    expect(fileDTypes.filter(isFloatDType)).toEqual(['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2']);
  });
});

describe('shape', () => {
  it('counts, prints, compares', () => {
    expect([elementCount([]), elementCount([2, 3]), elementCount([4, 0, 5])]).toEqual([1, 6, 0]);
    expect([shapeText([]), shapeText([2, 3])]).toEqual(['[]', '[2, 3]']);
    expect(sameShape([2, 3], [2, 3])).toBe(true);
    expect(sameShape([2, 3], [2, 3, 1])).toBe(false);
    expect(sameShape([2, 3], [3, 2])).toBe(false);
  });
});

describe('units', () => {
  it('reads amounts of bytes as people write them', () => {
    expect(['2.7GB', '512 MiB', '1000', '3 kB', ' 1 b '].map(parseBytes)).toEqual([
      ...[2.7e9, 512 * 2 ** 20, 1000, 3000, 1],
    ]);
    expect(['', 'GB', '-1GB', '1 gigabyte', '1e9', '.5GB'].map(parseBytes)).toEqual(Array(6).fill(null));
  });

  it('prints bytes', () => {
    expect([0, 512, 999, 1000, 1_356_917, 999_600, 4_661_769_280, 125_829_120].map(formatBytes)).toEqual([
      '0 B',
      '512 B',
      '999 B',
      '1.00 kB',
      '1.36 MB',
      '1.00 MB',
      '4.66 GB',
      '126 MB',
    ]);
  });

  it('prints counts', () => {
    expect([0, 77, 999, 1_830_000, 1_165_442_320, 352_984_064, 12_345, -2000].map(formatCount)).toEqual([
      '0',
      '77',
      '999',
      '1.83 M',
      '1.17 B',
      '353 M',
      '12.3 K',
      '-2.00 K',
    ]);
  });

  it('prints durations', () => {
    expect([0, 0.00082, 0.035, 4.2, 12.4, 59.7, 185, 7620, 7199.9].map(formatSeconds)).toEqual([
      '0 s',
      '820 µs',
      '35 ms',
      '4.2 s',
      '12 s',
      '1 min 00 s',
      '3 min 05 s',
      '2 h 07 min',
      '2 h 00 min',
    ]);
    expect(formatSeconds(NaN)).toBe('NaN s');
    expect(formatSeconds(-2)).toBe('-2.0 s');
  });
});

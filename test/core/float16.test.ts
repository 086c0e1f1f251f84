import { describe, expect, it } from 'vitest';
import {
  bfloatToFloat,
  bfloatsToFloats,
  floatToBfloat,
  floatToHalf,
  floatsToBfloats,
  floatsToHalves,
  halfToFloat,
  halvesToFloats,
  packHalf,
  unpackHalf,
} from '../../src/core/float16';
import {
  float8E4m3ToFloat,
  float8E4m3ToFloats,
  float8E5m2ToFloat,
  float8E5m2ToFloats,
} from '../../src/core/float8';

/** The f32 whose bits are given. */
function fromBits(bits: number): number {
  return new Float32Array(new Uint32Array([bits]).buffer)[0] as number;
}

/** Round to nearest even among all finite halves, straight from the definition: slow, obviously right. */
function nearestHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  let low = 0;
  let high = 0x7bff;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (halfToFloat(middle) <= magnitude) low = middle;
    else high = middle - 1;
  }
  const above = low === 0x7bff ? 65536 : halfToFloat(low + 1);
  const below = magnitude - halfToFloat(low);
  const gap = above - magnitude;
  const up = below > gap || (below === gap && (low & 1) === 1);
  return sign | (up ? low + 1 : low);
}

describe('f16', () => {
  it('widens known values', () => {
    expect(halfToFloat(0x3c00)).toBe(1);
    expect(halfToFloat(0xc000)).toBe(-2);
    expect(halfToFloat(0x7bff)).toBe(65504);
    expect(halfToFloat(0x0001)).toBe(2 ** -24);
    expect(halfToFloat(0x03ff)).toBe(1023 * 2 ** -24);
    expect(halfToFloat(0x0400)).toBe(2 ** -14);
    expect(halfToFloat(0x7c00)).toBe(Infinity);
    expect(halfToFloat(0xfc00)).toBe(-Infinity);
    expect(halfToFloat(0x7e00)).toBeNaN();
    expect(Object.is(halfToFloat(0x8000), -0)).toBe(true);
    expect(halfToFloat(0x3555)).toBe(0.333251953125);
  });

  it('gives every half back', () => {
    const halves = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
    const floats = halvesToFloats(halves);
    const back = floatsToHalves(floats);
    for (let bits = 0; bits < 0x10000; bits++) {
      const isNan = (bits & 0x7fff) > 0x7c00;
      if (isNan) expect((back[bits] as number) & 0x7fff).toBeGreaterThan(0x7c00);
      else if (back[bits] !== bits || floatToHalf(halfToFloat(bits)) !== bits) expect.fail(`half ${bits}`);
    }
  });

  it('rounds to nearest even at every boundary and around it', () => {
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (halfToFloat(half) + halfToFloat(half + 1)) / 2; // exact in f32
      const bits = new Uint32Array(new Float32Array([middle]).buffer)[0] as number;
      for (const near of [bits - 1, bits, bits + 1]) {
        if (near < 0) continue;
        const value = fromBits(near);
        if (floatToHalf(value) !== nearestHalf(value))
          expect.fail(`${value}: ${floatToHalf(value)} ${nearestHalf(value)}`);
        if (floatToHalf(-value) !== nearestHalf(-value)) expect.fail(`${-value}`);
      }
    }
  });

  it('rounds a spread of all f32 bit patterns', () => {
    for (let bits = 0; bits < 0x7f800000; bits += 9973) {
      const value = fromBits(bits);
      if (floatToHalf(value) !== nearestHalf(value))
        expect.fail(`${value}: ${floatToHalf(value)} ${nearestHalf(value)}`);
    }
  });

  it('handles the ends', () => {
    expect(floatToHalf(65519.99)).toBe(0x7bff);
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(1e30)).toBe(0x7c00);
    expect(floatToHalf(-Infinity)).toBe(0xfc00);
    expect(floatToHalf(NaN) & 0x7fff).toBeGreaterThan(0x7c00);
    expect(floatToHalf(2 ** -25)).toBe(0);
    expect(floatToHalf(2 ** -25 * 1.0001)).toBe(1);
    expect(floatToHalf(-1e-40)).toBe(0x8000);
  });

  it('packs two halves to a word, low half first, odd counts padded', () => {
    const words = packHalf(Float32Array.of(1, -2, 0.5));
    expect([...words]).toEqual([0xc0003c00, 0x00003800]);
    expect([...unpackHalf(words, 3)]).toEqual([1, -2, 0.5]);
    expect(packHalf(new Float32Array(0)).length).toBe(0);
    expect(() => unpackHalf(words, 5)).toThrow('unpackHalf: 5 halves asked for, 2 words hold 4');
  });

  it('refuses an output of another length', () => {
    expect(() => floatsToHalves(new Float32Array(3), new Uint16Array(2))).toThrow('must have 3 elements: 2');
  });
});

describe('bf16', () => {
  it('gives every bfloat back', () => {
    const bfloats = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
    const floats = bfloatsToFloats(bfloats);
    const back = floatsToBfloats(floats);
    for (let bits = 0; bits < 0x10000; bits++) {
      if ((bits & 0x7fff) > 0x7f80) expect(floats[bits]).toBeNaN();
      else if (back[bits] !== bits || bfloatToFloat(bits) !== floats[bits]) expect.fail(`bfloat ${bits}`);
    }
  });

  it('rounds to nearest even', () => {
    expect(floatToBfloat(1)).toBe(0x3f80);
    expect(floatToBfloat(fromBits(0x3f808000))).toBe(0x3f80);
    expect(floatToBfloat(fromBits(0x3f818000))).toBe(0x3f82);
    expect(floatToBfloat(fromBits(0x3f808001))).toBe(0x3f81);
    expect(floatToBfloat(fromBits(0x7f7fffff))).toBe(0x7f80);
    expect(floatToBfloat(-Infinity)).toBe(0xff80);
    expect(floatToBfloat(NaN) & 0x7fff).toBeGreaterThan(0x7f80);
  });
});

describe('f8', () => {
  it('widens e4m3', () => {
    expect([0x38, 0xb8, 0x7e, 0x01, 0x08, 0x00].map(float8E4m3ToFloat)).toEqual([
      1,
      -1,
      448,
      2 ** -9,
      2 ** -6,
      0,
    ]);
    expect(float8E4m3ToFloat(0x7f)).toBeNaN();
    expect(float8E4m3ToFloats(Uint8Array.of(0x38, 0x7e))).toEqual(Float32Array.of(1, 448));
  });

  it('widens e5m2', () => {
    expect([0x3c, 0xbc, 0x7b, 0x01, 0x7c].map(float8E5m2ToFloat)).toEqual([1, -1, 57344, 2 ** -16, Infinity]);
    expect(float8E5m2ToFloat(0x7d)).toBeNaN();
    expect(float8E5m2ToFloats(Uint8Array.of(0x3c, 0x7b))).toEqual(Float32Array.of(1, 57344));
  });
});

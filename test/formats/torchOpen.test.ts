/** Which reader a file goes to, and what is said of files that are no weights. */
import { describe, expect, it } from 'vitest';
import { openTensorFile, tensorFormat } from '../../src/formats/openTensorFile';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { readTorch } from '../../src/formats/torch/reader';
import { memorySource } from '../../src/sources/memory';
import { f32, join, le, pk, refusal, sparseSource, tensorPickle, torchZip } from './torchCases';

const four = { key: '0', count: 4, shape: [4] } as const;
const fourBytes = { '0': f32(1, 2, 3, 4) };

describe('openTensorFile', () => {
  const openBytes = (...parts: (Uint8Array | number[])[]) =>
    openTensorFile(memorySource('file', join(...parts)));
  const ascii = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

  it('tells the formats apart by content', async () => {
    const zip = sparseSource(
      'weights.safetensors',
      torchZip(pk.dictOf({ w: tensorPickle(four) }), fourBytes),
    );
    expect([...(await openTensorFile(zip)).tensors.keys()]).toEqual(['w']);
    // Headers whose length spells "PK" or the start of a pickle.
    for (const headerBytes of [0x4b50, 0x0280, 0x0580]) {
      const bytes = encodeSafetensors([floatTensor('w', [2], Float32Array.of(1, 2))]);
      const length = new DataView(bytes.buffer).getUint32(0, true);
      const padding = new Uint8Array(headerBytes - length).fill(0x20);
      const padded = join(
        le(headerBytes, 8),
        bytes.subarray(8, 8 + length),
        padding,
        bytes.subarray(8 + length),
      );
      expect(await tensorFormat(memorySource('model.pt', padded))).toBe('safetensors');
      expect((await openBytes(padded)).tensors.size).toBe(1);
      expect(await refusal(readTorch(memorySource('model.pt', padded)))).toMatch(/it is a safetensors file$/);
    }
  });

  it.each([
    ['', /it is empty$/],
    ['<!DOCTYPE html><html>', /it is a web page$/],
    ['\n<html>', /it is a web page$/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /it is a Git LFS pointer, not the file/],
    ['{"config": {"dim": 3}}', /it is JSON$/],
    ['\x89PNG\r\n\x1a\n', /it is a PNG picture$/],
    ['\xff\xd8\xff\xe0', /it is a JPEG picture$/],
    ['RIFF\x00\x00\x00\x00WEBPVP8 ', /it is a WebP picture$/],
    ['GGUF\x03\x00\x00\x00', /it is a GGUF file/],
    ['\x89HDF\r\n\x1a\n', /it is an HDF5 file/],
    ['\x93NUMPY\x01\x00v\x00{', /it is a NumPy array$/],
    ['\x1f\x8b\x08\x00', /it is gzip-compressed$/],
    [`${'x\0'.repeat(128)}\0ustar`, /it is a tar archive$/],
    ['dim: 3\ndepth: 4\n', /it is text beginning "dim: 3\\ndepth: 4/],
    ['\xca\xfe\xba\xbe\x00\x00\x00\xff\x01', /its first bytes are ca fe ba be 00 00 00 ff$/],
  ])('says what %j is', async (text, pattern) => {
    expect(await refusal(openBytes(ascii(text)))).toMatch(pattern);
  });

  it('leaves damaged files to their readers', async () => {
    expect(await refusal(openBytes(le(20, 8), ascii('not json at all !!!!')))).toMatch(
      /safetensors: the header must be JSON/,
    );
    expect(await refusal(openBytes(ascii('PK\x03\x04')))).toMatch(/must end with its directory/);
  });
});

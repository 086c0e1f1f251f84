/** References of patchify and unpatchify. */
import type { Tensor } from '../graph/tensor';
import type { Reference, Values } from './reference';

interface PatchesAttrs {
  readonly patch: number;
  readonly order: 'channelSlow' | 'channelFast';
}

/** For every element of `picture` [B, C, h, w] its place among the tokens. */
export function tokenIndices(picture: Tensor, attrs: PatchesAttrs): Uint32Array {
  const places = new Uint32Array(picture.elements);
  eachElement(picture, attrs, (inPicture, inTokens) => (places[inPicture] = inTokens));
  return places;
}

/** Calls `visit` with the index in the picture and the index in the tokens, for every element. */
function eachElement(
  picture: Tensor,
  { patch, order }: PatchesAttrs,
  visit: (inPicture: number, inTokens: number) => void,
): void {
  const [batch, channels, height, width] = [picture.dim(0), picture.dim(1), picture.dim(2), picture.dim(3)];
  const [rows, columns] = [height / patch, width / patch];
  for (let b = 0; b < batch; b++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const token = (b * rows + r) * columns + c;
        for (let ch = 0; ch < channels; ch++) {
          for (let i = 0; i < patch; i++) {
            for (let j = 0; j < patch; j++) {
              const column =
                order === 'channelSlow' ? (ch * patch + i) * patch + j : (i * patch + j) * channels + ch;
              visit(
                ((b * channels + ch) * height + r * patch + i) * width + c * patch + j,
                token * channels * patch * patch + column,
              );
            }
          }
        }
      }
    }
  }
}

export const patchifyReference: Reference<PatchesAttrs> = {
  compute(node, [x]) {
    const y: Values = new Float64Array(x!.length);
    eachElement(node.inputs[0]!, node.attrs, (inPicture, inTokens) => (y[inTokens] = x![inPicture]!));
    return [y];
  },
};

export const unpatchifyReference: Reference<PatchesAttrs> = {
  compute(node, [x]) {
    const y: Values = new Float64Array(x!.length);
    eachElement(node.outputs[0]!, node.attrs, (inPicture, inTokens) => (y[inPicture] = x![inTokens]!));
    return [y];
  },
};

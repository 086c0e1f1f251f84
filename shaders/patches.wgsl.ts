/**
 * patchify: y[b, t, column(ch, i, j)] = x[b, ch, p r + i, p c + j] with token t = r (w / p) + c, and unpatchify, its
 * inverse and transpose. picture [B, C, h, w], tokens [B, T, C p p].
 *
 *   channelSlow: column = (ch p + i) p + j   the order of a patch-embed convolution's weight [D, C, p, p]
 *   channelFast: column = (i p + j) C + ch   the order of the final layer
 *
 * Both directions walk over the picture; each element has one place in the tokens, so every element of the result is
 * written once.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

export interface PatchesVariant {
  /** From the picture to tokens; otherwise back. */
  readonly toTokens: boolean;
  readonly channelFast: boolean;
}

/** Elements that one workgroup moves. */
export const patchElementsPerWorkgroup = 64;

/** `tokenIndex(at)`: place among the tokens of element `at` of the picture. */
export function tokenIndexText(channelFast: boolean): string {
  return wgsl`
fn tokenIndex(at: u32) -> u32 {
  let x = at % u.width;
  let y = at / u.width % u.height;
  let channel = at / (u.width * u.height) % u.channels;
  let sample = at / (u.width * u.height * u.channels);
  let inside = y % u.patchSize * u.patchSize + x % u.patchSize;
  let token = sample * u.tokens + y / u.patchSize * (u.width / u.patchSize) + x / u.patchSize;
  let area = u.patchSize * u.patchSize;
#if ${channelFast}
  let column = inside * u.channels + channel;
#else
  let column = channel * area + inside;
#endif
  return token * u.channels * area + column;
}
`;
}

export function patchesShader(v: PatchesVariant, header: string): string {
  return wgsl`${header}
${tokenIndexText(v.channelFast)}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= u.count) { return; }
#if ${v.toTokens}
  storeY(tokenIndex(i), loadX(i));
#else
  storeY(i, loadX(tokenIndex(i)));
#endif
}
`;
}

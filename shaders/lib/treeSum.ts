/**
 * treeSum(value, thread): the sum of `value` over a workgroup of 256 threads, given to all of them. A fixed binary tree
 * in workgroup memory: the same bytes on every run. Must be called in uniform control flow; may be called repeatedly.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** Threads of a workgroup that uses treeSum. */
export const treeSumThreads = 256;

export function treeSumText(type: 'f32' | 'vec2<f32>' = 'f32'): string {
  return wgsl`
var<workgroup> treeCells: array<${type}, 256>;
fn treeSum(value: ${type}, thread: u32) -> ${type} {
  workgroupBarrier();
  treeCells[thread] = value;
  for (var width = 128u; width > 0u; width >>= 1u) {
    workgroupBarrier();
    if (thread < width) { treeCells[thread] += treeCells[thread + width]; }
  }
  workgroupBarrier();
  return treeCells[0];
}
`;
}

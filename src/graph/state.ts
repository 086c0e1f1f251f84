/**
 * State: named persistent tensors that live outside plans (weights, gradients, moments, tables between plans). A name is
 * "group:tensor"; a group is allocated and freed as a whole.
 *
 * Here is the part that needs no device: how a group's tensors are packed into pages, so that its memory is known before
 * anything is created. src/gpu/pages.ts creates what this says.
 */
import { LimitError } from '../core/errors';
import { storageBytes } from './plan';
import type { ProfileLimits } from './profile';
import type { TensorSpec } from './tensor';

/** A tensor's place in its page. */
export interface PagePlace {
  readonly name: string;
  readonly spec: TensorSpec;
  readonly offset: number;
  readonly bytes: number;
}

/** One buffer of a group. */
export interface StatePage {
  readonly bytes: number;
  readonly places: readonly PagePlace[];
}

/** Pages larger than this only slow down allocation. */
const preferredPageBytes = 256 * 1024 * 1024;

const alignUp = (bytes: number, step: number): number => Math.ceil(bytes / step) * step;

/**
 * Packs a group's tensors, in order, into as few pages as the limits allow; every tensor starts on a binding's alignment
 * and lies in one page.
 * @throws LimitError for a tensor that no binding can hold
 */
export function planPages(
  group: string,
  specs: ReadonlyMap<string, TensorSpec>,
  limits: ProfileLimits,
): StatePage[] {
  const align = limits.minStorageBufferOffsetAlignment;
  const pageLimit = Math.min(limits.maxBufferSize, preferredPageBytes);
  const pages: { bytes: number; places: PagePlace[] }[] = [];
  for (const [name, spec] of specs) {
    const bytes = storageBytes(spec);
    if (bytes > limits.maxStorageBufferBindingSize) {
      throw new LimitError(
        `state ${group}:${name}: a binding may hold at most ${limits.maxStorageBufferBindingSize} bytes on this device: ${bytes} bytes`,
      );
    }
    let page = pages.at(-1);
    if (!page || page.bytes + bytes > pageLimit) {
      page = { bytes: 0, places: [] };
      pages.push(page);
    }
    page.places.push({ name, spec, offset: page.bytes, bytes });
    page.bytes = alignUp(page.bytes + bytes, align);
  }
  return pages;
}

/** Bytes of the buffers that a group will take. @throws LimitError */
export function groupBytes(
  group: string,
  specs: ReadonlyMap<string, TensorSpec>,
  limits: ProfileLimits,
): number {
  return planPages(group, specs, limits).reduce((sum, page) => sum + page.bytes, 0);
}

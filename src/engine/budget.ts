/**
 * How much GPU memory a model may take where the user has not said. Browsers do not tell how much there is, so it goes by
 * the family of the adapter: cautious figures for the smaller devices that are common in it. A budget too small costs time
 * (parts come and go) or exactness (int8); one too large fails with the bytes that were asked for.
 */
import type { AdapterFacts } from '../gpu/profile';

const gigabyte = 1e9;

/** Vendors as WebGPU spells them; memory is shared with the system in all but the first two. */
const byVendor: readonly (readonly [RegExp, number])[] = [
  [/nvidia/, 6 * gigabyte],
  [/amd|ati\b/, 6 * gigabyte],
  [/apple/, 5 * gigabyte],
  [/intel/, 4 * gigabyte],
  [/qualcomm|arm|img-tec|imagination|samsung/, 2 * gigabyte],
];

const otherwise = 4 * gigabyte;

/** Bytes. */
export function defaultBudget(adapter: AdapterFacts): number {
  // an adapter that runs on the CPU takes system memory
  if (adapter.software) return otherwise;
  const vendor = adapter.vendor.toLowerCase();
  return byVendor.find(([pattern]) => pattern.test(vendor))?.[1] ?? otherwise;
}

/** From a WebGPU adapter to the DeviceProfile that plans are made for. */
import { defaultLimits, type DeviceProfile, type ProfileLimits } from '../graph/profile';

export interface AdapterFacts {
  /** For people: "NVIDIA GeForce RTX 4090 (ada-lovelace)". */
  readonly words: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Runs on the CPU. */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** Features that kernels know how to use. */
const usefulFeatures = ['shader-f16', 'subgroups', 'timestamp-query'];

export function chooseFeatures(offered: ReadonlySet<string>): string[] {
  return usefulFeatures.filter((feature) => offered.has(feature)).sort();
}

/** What the adapter offers of the limits that plans use, never below the defaults. */
export function chooseLimits(offered: GPUSupportedLimits): ProfileLimits {
  const record = offered as unknown as Record<string, number>;
  const limits: Record<string, number> = { ...defaultLimits };
  for (const name of Object.keys(defaultLimits)) {
    const value = record[name];
    if (typeof value !== 'number') continue;
    // alignments are better when smaller, but 256 is what layouts are made for
    if (!name.startsWith('min')) limits[name] = value;
  }
  return limits as unknown as ProfileLimits;
}

export function describeAdapter(adapter: GPUAdapter): AdapterFacts {
  const info = adapter.info;
  const parts = [info.vendor, info.architecture, info.device, info.description];
  const text = parts.join(' ').toLowerCase();
  const software =
    /swiftshader|llvmpipe|lavapipe|software|basic render|warp/.test(text) ||
    (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  const limits: Record<string, number> = {};
  for (const name in adapter.limits) {
    const value = (adapter.limits as unknown as Record<string, unknown>)[name];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    words:
      info.description ||
      info.device ||
      [info.vendor, info.architecture].filter(Boolean).join(' ') ||
      'unnamed',
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software,
    features: [...adapter.features].sort(),
    limits,
  };
}

export function makeProfile(
  facts: AdapterFacts,
  limits: ProfileLimits,
  features: readonly string[],
): DeviceProfile {
  return {
    name: facts.words,
    limits,
    features,
    software: facts.software,
    gemmTile: facts.software ? 'direct' : 'large',
  };
}

/**
 * Prints the name of the WebGPU adapter that Dawn for Node gives here and proves that a device can be had from it;
 * exit code 1 and one line on stderr where there is none. Started by scripts/environment.mjs.
 */
import { create } from 'webgpu';

const gpu = create([]);
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
if (!adapter) {
  console.error('Dawn gives no adapter');
  process.exit(1);
}
const device = await adapter.requestDevice();
const { architecture, description, device: name, vendor } = adapter.info;
const half = adapter.features.has('shader-f16') ? 'with' : 'without';
console.log(
  `${description || name} (${[vendor, architecture].filter(Boolean).join(', ')}; ${half} shader-f16)`,
);
device.destroy();
process.exit(0);

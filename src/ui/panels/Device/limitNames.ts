/** WebGPU's limits that computing meets, in words. */
import { formatBytes } from '../../../core/units';

/** Technical name to words, in the order of the table. */
export const limitNames: Readonly<Record<string, string>> = {
  maxBufferSize: 'Largest buffer',
  maxStorageBufferBindingSize: 'Largest piece of a buffer that a kernel may use',
  maxStorageBuffersPerShaderStage: 'Buffers that a kernel may use',
  maxComputeWorkgroupStorageSize: 'Memory shared by a workgroup',
  maxComputeInvocationsPerWorkgroup: 'Threads in a workgroup',
  maxComputeWorkgroupsPerDimension: 'Workgroups along one axis',
  minStorageBufferOffsetAlignment: 'Alignment of pieces of a buffer',
  minUniformBufferOffsetAlignment: 'Alignment of uniforms',
};

/** A limit's value with its unit; a dash where it is not known. */
export function limitText(name: string, value: number | undefined): string {
  if (value === undefined) return '–';
  return /Size$|Alignment$/.test(name) ? formatBytes(value) : value.toLocaleString('en');
}

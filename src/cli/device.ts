/**
 * The GPU of a command: Dawn for Node, opened on the adapter that was asked for, and let go of at the end.
 *
 * Dawn lives as long as the object that `create` gives is referenced, and Node does not end while a device is open:
 * both belong to OpenedDevice, which must be closed.
 */
import { create, globals } from 'webgpu';
import { messageOf, NoDeviceError } from '../core/errors';
import { openDevice, type Device } from '../gpu/device';
import { makeResources, releaseResources, type SessionResources } from '../sessions/resources';
import type { Arguments } from './args';
import type { Output } from './output';

/** An open device with what sessions need. */
export interface OpenedDevice {
  readonly resources: SessionResources;
  /** The adapter's name, as people read it. */
  readonly adapter: string;
  close(): void;
}

/** Names by which software adapters are known to Dawn. */
const softwareNames = /swiftshader|llvmpipe|basic render/i;

/** Dawn's names of drivers that people know by another. */
const otherNames: Readonly<Record<string, string>> = { lavapipe: 'llvmpipe' };

/**
 * Opens the adapter that `--adapter` names and says on standard error which one it is.
 * @throws NoDeviceError that says what is there, or what to install
 */
export async function openForCommand(args: Arguments, output: Output): Promise<OpenedDevice> {
  const problem = process.env.TABDIT_ADAPTER_PROBLEM;
  if (problem !== undefined) throw new NoDeviceError(problem);
  Object.assign(globalThis, globals);
  const wanted = args.text('adapter') ?? process.env.TABDIT_ADAPTER ?? 'auto';
  const gpu: GPU | null = await chooseGpu(wanted);
  const device = await openDevice(gpu);
  const resources = makeResources(device);
  output.note(`adapter: ${adapterText(device)}`);
  return {
    resources,
    adapter: adapterText(device),
    close: () => {
      releaseResources(resources);
      open.delete(gpu);
    },
  };
}

/** Keeps Dawn's entry points referenced while their devices are open. */
const open = new Set<GPU>();

async function chooseGpu(wanted: string): Promise<GPU> {
  const keep = (flags: string[]): GPU => {
    const gpu = create(flags);
    open.add(gpu);
    return gpu;
  };
  if (wanted === 'auto') return keep([]);
  const names = await adapterNames();
  const name = names.find((candidate) => matches(candidate, wanted));
  if (name === undefined) {
    const here = names.length === 0 ? 'there is none' : `there is ${names.join(', ')}`;
    throw new NoDeviceError(`WebGPU: an adapter must match --adapter ${wanted}: ${here}`);
  }
  return keep([`adapter=${name}`]);
}

function matches(name: string, wanted: string): boolean {
  if (wanted === 'gpu') return !softwareNames.test(name);
  if (wanted === 'cpu') return softwareNames.test(name);
  const text = wanted.toLowerCase();
  return name.toLowerCase().includes(otherNames[text] ?? text);
}

/** Dawn lists its adapters only in the error about one that it does not have. */
async function adapterNames(): Promise<string[]> {
  const list = await create(['adapter=\u0001'])
    .requestAdapter()
    .then(
      () => '',
      (error: unknown) => messageOf(error),
    );
  return [...list.matchAll(/name: '(.*)'$/gm)].map((match) => match[1]!);
}

function adapterText({ adapter }: Device): string {
  const family = [adapter.vendor, adapter.architecture].filter((part) => part !== '').join(', ');
  return family === '' ? adapter.words : `${adapter.words} (${family})`;
}

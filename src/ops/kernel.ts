/**
 * From an op's description of a dispatch to the planner's: merges operands that share memory into one binding, decides
 * read or read_write, packs the uniforms, and builds the shader's header.
 */
import { elementType, headerText, type OperandText, type UniformText } from '../../shaders/lib/header';
import { dtypeBytes } from '../core/dtype';
import { invariant } from '../core/errors';
import type { LowerContext, StorageBinding } from '../graph/op';
import type { DeviceProfile } from '../graph/profile';
import type { Tensor } from '../graph/tensor';

export interface Operand {
  /** camelCase name used by the shader: `x` gives loadX / storeX and the uniform xOffset. */
  readonly name: string;
  readonly tensor: Tensor;
  /** 'write' also allows loads (in-place operands are one operand). */
  readonly access: 'read' | 'write';
  /** 4: the shader uses loadX4 / storeX4; offset and row width must be multiples of 4. */
  readonly vector?: 1 | 4;
}

export interface KernelCall {
  /** Shader name; with `variant` and the operand layout it names the pipeline. */
  readonly shader: string;
  /** Structural constants: everything the text depends on. */
  readonly variant: Readonly<Record<string, string | number | boolean>>;
  /** Shader text from its header. */
  readonly text: (header: string) => string;
  readonly operands: readonly Operand[];
  /** u32 by default; `f32(value)` for floats. */
  readonly uniforms: Readonly<Record<string, number | FloatUniform>>;
  readonly workgroups: readonly [number, number, number];
  readonly macs?: number;
}

export interface FloatUniform {
  readonly f32: number;
}

/** A float uniform. */
export const f32 = (value: number): FloatUniform => ({ f32: value });

/** Describes one dispatch to the planner. */
export function emit<A>(ctx: LowerContext<A>, call: KernelCall): void {
  const places = call.operands.map((operand) => ctx.place(operand.tensor));
  const writtenGroups = new Set<string>();
  call.operands.forEach((operand, index) => {
    const place = places[index]!;
    if (operand.access === 'write' && place.home === 'state') writtenGroups.add(place.group);
  });

  const storages: number[] = [];
  const slots: { access: 'read' | 'read_write'; element: string }[] = [];
  const operands: OperandText[] = [];
  const offsets: [string, number][] = [];
  call.operands.forEach((operand, index) => {
    const place = places[index]!;
    const vector = operand.vector ?? 1;
    const element = elementType(operand.tensor.dtype, vector);
    const access =
      place.home !== 'state' || writtenGroups.has(place.group) ? ('read_write' as const) : ('read' as const);
    let slot = storages.indexOf(place.storage);
    if (slot < 0) {
      slot = storages.push(place.storage) - 1;
      slots.push({ access, element });
    } else if (vector === 4) {
      slots[slot] = { access, element };
    }
    invariant(
      place.offset % (vector === 4 ? 4 : 4 / dtypeBytes(operand.tensor.dtype)) === 0,
      `${call.shader}: operand ${operand.name} starts at element ${place.offset}, which the ${vector}-wide form cannot read`,
    );
    // integers alone are not the weights: a kernel that does not know of scales must not read them
    invariant(
      operand.tensor.dtype !== 'i8' || call.operands.some(({ tensor }) => tensor === operand.tensor.scale),
      `${call.shader}: int8 values are read together with their scales: ${operand.name} ${operand.tensor.describe()}`,
    );
    operands.push({
      name: operand.name,
      slot,
      dtype: operand.tensor.dtype,
      vector,
      writable: operand.access === 'write',
    });
    offsets.push([`${operand.name}Offset`, place.offset]);
  });
  for (const operand of operands) {
    invariant(
      !operand.writable || operand.vector === 4 || !slots[operand.slot]!.element.startsWith('vec'),
      `${call.shader}: ${operand.name} is stored by element in a buffer that another operand reads four wide`,
    );
  }

  const fields: UniformText[] = [];
  const entries = [...Object.entries(call.uniforms), ...offsets];
  const bytes = new ArrayBuffer(Math.max(16, Math.ceil(entries.length / 4) * 16));
  const view = new DataView(bytes);
  entries.forEach(([name, value], index) => {
    if (typeof value === 'number') {
      invariant(
        Number.isInteger(value) && value >= 0 && value <= 0xffffffff,
        `${call.shader}: uniform ${name} is a u32: ${value}`,
      );
      fields.push({ name, type: 'u32' });
      view.setUint32(index * 4, value, true);
    } else {
      fields.push({ name, type: 'f32' });
      view.setFloat32(index * 4, value.f32, true);
    }
  });

  const layout = operands
    .map((o) => `${o.name}${o.slot}${o.dtype}${o.vector}${o.writable ? 'w' : ''}`)
    .join(',');
  const access = slots.map((slot) => (slot.access === 'read' ? 'r' : 'w')).join('');
  const variant = Object.entries(call.variant).map(([name, value]) => `${name}=${String(value)}`);
  const bindings: StorageBinding[] = storages.map((storage, slot) => ({
    storage,
    access: slots[slot]!.access,
  }));
  ctx.dispatch({
    key: `${call.shader}(${variant.join(' ')})[${layout}|${access}]`,
    source: () => call.text(headerText(fields, slots, operands)),
    bindings,
    uniforms: bytes,
    workgroups: call.workgroups,
    macs: call.macs ?? 0,
  });
}

/** Whether every tensor can be read four elements at a time along rows of `width` elements. */
export function canVector<A>(
  ctx: LowerContext<A>,
  width: number,
  tensors: readonly (Tensor | null | undefined)[],
): boolean {
  if (width % 4 !== 0) return false;
  return tensors.every((tensor) => !tensor || ctx.place(tensor).offset % 4 === 0);
}

/**
 * Workgroup counts for `count` workgroups numbered wid.x + wid.y * numWorkgroups.x: one axis may have only so many.
 * Kernels must ignore numbers past their own count.
 */
export function grid(count: number, profile: DeviceProfile): [number, number, number] {
  const limit = profile.limits.maxComputeWorkgroupsPerDimension;
  if (count <= limit) return [Math.max(1, count), 1, 1];
  const rows = Math.ceil(count / limit);
  return [Math.ceil(count / rows), rows, 1];
}

/**
 * The part of a shader that depends on where its operands lie: uniform struct, buffer declarations and one pair of
 * accessor functions per operand.
 *
 * Kernels never index a buffer themselves. They call `loadX(i)` / `storeX(i, v)` with an element index relative to the
 * tensor (`loadX4` / `storeX4`: four elements from an index that is a multiple of 4). That hides three things: views
 * start somewhere inside their storage (`u.xOffset`), two operands may share one binding (WebGPU forbids binding
 * overlapping writable ranges twice), and weights may be stored as f16, two in a word, or i8, four in a word. i8 loads
 * give the integers as f32; their scales are an operand of their own.
 */

/** A buffer binding of the dispatch; operands refer to it by position. */
export interface SlotText {
  readonly access: 'read' | 'read_write';
  /** Element type of the runtime array. */
  readonly element: string;
}

export interface OperandText {
  /** camelCase, as in the shader: `x` gives loadX, storeX. */
  readonly name: string;
  readonly slot: number;
  readonly dtype: 'f32' | 'f16' | 'i8' | 'u32' | 'i32';
  readonly vector: 1 | 4;
  readonly writable: boolean;
}

export interface UniformText {
  readonly name: string;
  readonly type: 'u32' | 'f32';
}

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/** WGSL element type of a storage buffer that holds `dtype`, read `vector` elements at a time. */
export function elementType(dtype: OperandText['dtype'], vector: 1 | 4): string {
  if (dtype === 'f16') return vector === 4 ? 'vec2<u32>' : 'u32';
  if (dtype === 'i8') return 'u32';
  return vector === 4 ? `vec4<${dtype}>` : dtype;
}

/** Loads and stores of one operand. `slot` is how its buffer is declared, which another operand may have decided. */
function accessors(operand: OperandText, slot: SlotText): string {
  const name = capital(operand.name);
  const buffer = `buffer${operand.slot}`;
  const at = `i + u.${operand.name}Offset`;
  const wide = slot.element.startsWith('vec');
  if (operand.dtype === 'i8') {
    // shifts instead of unpack4xI8, which is an optional feature of the language
    return `fn load${name}(i: u32) -> f32 {
  let j = ${at};
  return f32(extractBits(bitcast<i32>(${buffer}[j >> 2u]), (j & 3u) * 8u, 8u));
}
fn load${name}4(i: u32) -> vec4<f32> {
  let word = vec4<i32>(bitcast<i32>(${buffer}[(${at}) >> 2u]));
  return vec4<f32>((word << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}`;
  }
  const scalar = operand.dtype === 'f16' ? 'f32' : operand.dtype;
  const lines: string[] = [];
  if (operand.dtype === 'f16') {
    const word = wide ? `${buffer}[j >> 2u][(j >> 1u) & 1u]` : `${buffer}[j >> 1u]`;
    lines.push(`fn load${name}(i: u32) -> f32 {
  let j = ${at};
  let pair = unpack2x16float(${word});
  return select(pair.x, pair.y, (j & 1u) == 1u);
}`);
    if (wide) {
      lines.push(`fn load${name}4(i: u32) -> vec4<f32> {
  let pair = ${buffer}[(${at}) >> 2u];
  return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));
}`);
    }
    return lines.join('\n');
  }
  if (wide) {
    lines.push(`fn load${name}(i: u32) -> ${scalar} {
  let j = ${at};
  return ${buffer}[j >> 2u][j & 3u];
}`);
    lines.push(`fn load${name}4(i: u32) -> vec4<${scalar}> { return ${buffer}[(${at}) >> 2u]; }`);
    if (operand.writable) {
      lines.push(`fn store${name}4(i: u32, value: vec4<${scalar}>) { ${buffer}[(${at}) >> 2u] = value; }`);
    }
    return lines.join('\n');
  }
  lines.push(`fn load${name}(i: u32) -> ${scalar} { return ${buffer}[${at}]; }`);
  if (operand.writable) {
    lines.push(`fn store${name}(i: u32, value: ${scalar}) { ${buffer}[${at}] = value; }`);
  }
  return lines.join('\n');
}

/** The header of a shader: struct `Uniforms` as `u`, buffers, accessors. */
export function headerText(
  uniforms: readonly UniformText[],
  slots: readonly SlotText[],
  operands: readonly OperandText[],
): string {
  const fields = uniforms.map((field) => `  ${field.name}: ${field.type},`).join('\n');
  const buffers = slots.map(
    (slot, index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${slot.access}> buffer${index}: array<${slot.element}>;`,
  );
  return `struct Uniforms {
${fields}
}
@group(0) @binding(0) var<uniform> u: Uniforms;
${buffers.join('\n')}
${operands.map((operand) => accessors(operand, slots[operand.slot]!)).join('\n')}
`;
}

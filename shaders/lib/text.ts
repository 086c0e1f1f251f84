/** Small text helpers that several kernels share. */

/** Repeats a line of WGSL with its index written in: constants instead of loops where registers matter. */
export function unroll(count: number, line: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => line(index)).join('\n');
}

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

/**
 * `read<Name>(i, left)`: four elements from index i, of which `left` exist; the others are 0. One wide load when rows
 * are aligned, otherwise element by element. `reader`: another name for the function.
 */
export function guardedLoad(name: string, wide: boolean, reader = `read${capital(name)}`): string {
  const title = capital(name);
  return wide
    ? `fn ${reader}(i: u32, left: u32) -> vec4<f32> { return load${title}4(i); }`
    : `fn ${reader}(i: u32, left: u32) -> vec4<f32> {
  var v = vec4<f32>(0.0);
  if (left > 0u) { v.x = load${title}(i); }
  if (left > 1u) { v.y = load${title}(i + 1u); }
  if (left > 2u) { v.z = load${title}(i + 2u); }
  if (left > 3u) { v.w = load${title}(i + 3u); }
  return v;
}`;
}

/** `write<Name>(i, left, v)`: the store that goes with guardedLoad. */
export function guardedStore(name: string, wide: boolean): string {
  const title = capital(name);
  return wide
    ? `fn write${title}(i: u32, left: u32, v: vec4<f32>) { store${title}4(i, v); }`
    : `fn write${title}(i: u32, left: u32, v: vec4<f32>) {
  if (left > 0u) { store${title}(i, v.x); }
  if (left > 1u) { store${title}(i + 1u, v.y); }
  if (left > 2u) { store${title}(i + 2u, v.z); }
  if (left > 3u) { store${title}(i + 3u, v.w); }
}`;
}

/**
 * Activations on vec4<f32>, and their derivatives.
 *
 * Written without WGSL's tanh (1e-5, may overflow) and without exp of large arguments (a compiler may assume that no
 * infinity occurs). erf is Abramowitz and Stegun 7.1.26, at most 1.5e-7 off. tanh3 is 3 tanh(x / 3), a soft clamp.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

export type Activation = 'none' | 'gelu_tanh' | 'gelu_erf' | 'silu' | 'quick_gelu' | 'relu' | 'tanh3';

const sigmoidText = wgsl`
fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
  return 1.0 / (1.0 + exp(-clamp(x, vec4<f32>(-80.0), vec4<f32>(80.0))));
}
`;

const erfText = wgsl`
fn erf4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(6.0));
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-a * a));
}
`;

/** `activate4(x)`: y = act(x), and what it needs. */
export function activationText(act: Activation): string {
  return wgsl`
#if ${act === 'gelu_erf'}
${erfText}
fn activate4(x: vec4<f32>) -> vec4<f32> {
  return 0.5 * x * (1.0 + erf4(x * 0.7071067811865476));
}
#elif ${act === 'gelu_tanh'}
${sigmoidText}
fn activate4(x: vec4<f32>) -> vec4<f32> {
  // 0.5 (1 + tanh v) = sigmoid(2 v)
  return x * sigmoid4(1.5957691216057308 * (x + 0.044715 * x * x * x));
}
#elif ${act === 'silu'}
${sigmoidText}
fn activate4(x: vec4<f32>) -> vec4<f32> { return x * sigmoid4(x); }
#elif ${act === 'quick_gelu'}
${sigmoidText}
fn activate4(x: vec4<f32>) -> vec4<f32> { return x * sigmoid4(1.702 * x); }
#elif ${act === 'relu'}
fn activate4(x: vec4<f32>) -> vec4<f32> { return max(x, vec4<f32>(0.0)); }
#elif ${act === 'tanh3'}
fn activate4(x: vec4<f32>) -> vec4<f32> {
  let e = exp(min(abs(x), vec4<f32>(120.0)) * -0.6666666666666666);
  return sign(x) * (3.0 * (1.0 - e) / (1.0 + e));
}
#else
fn activate4(x: vec4<f32>) -> vec4<f32> { return x; }
#endif
`;
}

/** `slope4(x)`: d act(x) / d x, and what it needs. */
export function activationSlopeText(act: Activation): string {
  return wgsl`
#if ${act === 'gelu_erf'}
${erfText}
fn slope4(x: vec4<f32>) -> vec4<f32> {
  let a = min(abs(x), vec4<f32>(12.0));
  return 0.5 * (1.0 + erf4(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(-0.5 * a * a);
}
#elif ${act === 'gelu_tanh'}
${sigmoidText}
fn slope4(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid4(1.5957691216057308 * (x + 0.044715 * x * x * x));
  return s + x * s * (1.0 - s) * 1.5957691216057308 * (1.0 + 0.134145 * x * x);
}
#elif ${act === 'silu'}
${sigmoidText}
fn slope4(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid4(x);
  return s + x * s * (1.0 - s);
}
#elif ${act === 'quick_gelu'}
${sigmoidText}
fn slope4(x: vec4<f32>) -> vec4<f32> {
  let s = sigmoid4(1.702 * x);
  return s + 1.702 * x * s * (1.0 - s);
}
#elif ${act === 'relu'}
fn slope4(x: vec4<f32>) -> vec4<f32> { return select(vec4<f32>(0.0), vec4<f32>(1.0), x > vec4<f32>(0.0)); }
#elif ${act === 'tanh3'}
fn slope4(x: vec4<f32>) -> vec4<f32> {
  let e = exp(min(abs(x), vec4<f32>(60.0)) * -0.6666666666666666);
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}
#else
fn slope4(x: vec4<f32>) -> vec4<f32> { return vec4<f32>(1.0); }
#endif
`;
}

/** wgsl-preprocessor ships no types, and its package.json names no entry point: hence the file. */
declare module 'wgsl-preprocessor/wgsl-preprocessor.js' {
  /** Template tag with #if / #elif / #else / #endif, each condition given as a template value. */
  export function wgsl(strings: TemplateStringsArray, ...values: readonly unknown[]): string;
}

// Types of the untyped package wgsl-preprocessor.
declare module "wgsl-preprocessor/wgsl-preprocessor.js" {
  export function wgsl(strings: readonly string[], ...values: readonly unknown[]): string;
}

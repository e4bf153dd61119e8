// The library's core as pages load it: everything of `core.ts`, with the browser's own WebGPU as host.
/// <reference types="@webgpu/types" preserve="true" />

export * from "./core.ts";
export { listAdapters, openAdapter } from "./host/browser.ts";

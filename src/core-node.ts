// The library's core as Node loads it: everything of `core.ts`, with Dawn as host.
/// <reference types="@webgpu/types" preserve="true" />

export * from "./core.ts";
export { listAdapters, openAdapter, openNullAdapter } from "./host/node.ts";

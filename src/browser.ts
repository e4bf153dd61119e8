// The library as pages load it: everything of `library.ts`, with the browser's own WebGPU as host.
/// <reference types="@webgpu/types" preserve="true" />

export * from "./library.ts";
export { listAdapters, openAdapter } from "./host/browser.ts";
export { createStorageFiles, type KeyStorage } from "./host/files-storage.ts";

// The library as Node loads it: everything of `library.ts`, with Dawn and the file system as hosts.
/// <reference types="@webgpu/types" preserve="true" />

export * from "./library.ts";
export { listAdapters, openAdapter, openNullAdapter } from "./host/node.ts";
export { nodeFiles } from "./host/files-node.ts";

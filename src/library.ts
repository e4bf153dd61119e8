// What both entries of the library offer: everything that does not depend on where it runs.

export { VERSION } from "./version.ts";
export { EXIT_CODES, UserError, suggest, type ExitCode } from "./errors.ts";
export { joinPath, type Entry, type Files } from "./files.ts";
export type { AdapterHandle, AdapterListing, AdapterOptions, CompileOnlyHandle } from "./host/adapter.ts";
export { createMemoryFiles } from "./host/files-memory.ts";

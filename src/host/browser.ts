// Browsers as a host: WebGPU by `navigator.gpu`, behind the same face as in Node.
import { EXIT_CODES, UserError } from "../errors.ts";
import { adapterKind, matchesAdapter } from "./adapter.ts";
import type { AdapterHandle, AdapterListing, AdapterOptions } from "./adapter.ts";

/**
 * Opens the browser's adapter, asking for the fastest. A page cannot choose among adapters: `options.adapter` is only
 * compared with what it gets. Throws a UserError 69 where there is none, or another one.
 */
export async function openAdapter(options: AdapterOptions = {}): Promise<AdapterHandle> {
  const log = options.log ?? ((line: string) => console.warn(line));
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (gpu === undefined) {
    throw new UserError(EXIT_CODES.unavailable, "adapter: this browser or page has no WebGPU, expected navigator.gpu; use a recent browser, over https or localhost");
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new UserError(EXIT_CODES.unavailable, "adapter: the browser offers none, expected one; see about:gpu for the reason");
  }
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = [...new Set([vendor, architecture, device].filter((part) => part !== ""))].join(" ") || description || "unnamed adapter";
  if (options.adapter !== undefined && !matchesAdapter(options.adapter, name)) {
    throw new UserError(EXIT_CODES.unavailable, `adapter: the browser chose "${name}", expected a name containing "${options.adapter}"; choose the GPU in the browser's settings`);
  }
  const kind = isFallbackAdapter ? "cpu" : adapterKind(`${name} ${description}`);
  if (kind === "cpu" && options.adapter === undefined) log(`cytonet: NO GPU FOUND, running on the CPU adapter "${name}", which is far slower`);
  return { gpu, adapter, name, driver: description, kind, toggles: [], close: () => undefined };
}

/** The adapter that the browser would give, if any: pages see no more than that. */
export async function listAdapters(): Promise<AdapterListing[]> {
  try {
    const { name, kind } = await openAdapter({ log: () => undefined });
    return [{ name, kind, backend: "browser" }];
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}

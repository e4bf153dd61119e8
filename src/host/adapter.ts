// What a host gives the engine: one WebGPU adapter with what is known about it, in Node and in browsers alike.

/** How an adapter is chosen. */
export interface AdapterOptions {
  /** Part of the adapter's name, in any case ("lavapipe" also finds "llvmpipe"); otherwise the fastest there is. */
  readonly adapter?: string;
  /** Receives one line for people; by default stderr in Node and the console in browsers. */
  readonly log?: (line: string) => void;
  /** Switches of the implementation beside the defaults (Node only: browsers offer none). */
  readonly toggles?: { readonly enable?: readonly string[]; readonly disable?: readonly string[] };
  /**
   * Whether drivers may take every index for one inside its array (Node only). Otherwise the implementation moves those that go astray
   * back, as browsers always do, which costs up to half the speed. For the catalogue's kernels, whose indices `cytonet check` watches;
   * off by default, because a stray index of a kernel of one's own would then reach into other memory.
   */
  readonly trustIndices?: boolean;
  /**
   * Keeps two harmless warnings of Dawn off stderr (Node on Linux only). Off by default, because stderr is led
   * elsewhere for a moment: programs may do that at their start, libraries should not.
   */
  readonly quiet?: boolean;
}

/** An open adapter. Devices made from it belong to the caller, who destroys them before `close`. */
export interface AdapterHandle {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** The adapter's name as its driver gives it, for example "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  /** The driver and its version as far as known, else "". */
  readonly driver: string;
  /** "cpu" for adapters that emulate a GPU in software. */
  readonly kind: "gpu" | "cpu";
  /** Bytes that it can hold, where the host knows: the machine's, of a CPU adapter in Node. WebGPU tells nothing of GPUs. */
  readonly memory?: number;
  /** Awaits what its device does, where there is something better to do meanwhile than to ask: see node-patience.ts. */
  readonly patience?: <T>(promise: Promise<T>) => Promise<T>;
  /** The switches in effect: "+name" enabled, "-name" disabled. */
  readonly toggles: readonly string[];
  /** Lets the implementation go; `gpu` and `adapter` must not be used afterwards. */
  close(): void;
}

/** One adapter that could be opened. */
export interface AdapterListing {
  readonly name: string;
  readonly kind: "gpu" | "cpu";
  /** The graphics interface underneath ("vulkan", "metal", "d3d12"), or "browser". */
  readonly backend: string;
}

/** A device for compiling only: it executes nothing, so it is no AdapterHandle and cannot be taken for one. */
export interface CompileOnlyHandle {
  readonly compileOnly: true;
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  close(): void;
}

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|basic render|warp|software/i;

/** Tells software adapters from real GPUs by name. */
export function adapterKind(name: string): "gpu" | "cpu" {
  return SOFTWARE.test(name) ? "cpu" : "gpu";
}

/** GPUs that share the processor's memory: slower than a card beside them. */
const INTEGRATED = /\bintel\b(?!.*\barc\b)|radeon(\(tm\)|™)?( \d+m| vega \d+)? graphics|\bintegrated\b/i;

/**
 * Sorting key of the default choice: cards, then integrated GPUs, both in the order listed, then lavapipe, then any
 * other software. Dawn tells only names, so this goes by them.
 */
export function adapterRank(name: string): number {
  if (adapterKind(name) === "gpu") return INTEGRATED.test(name) ? 1 : 0;
  return /llvmpipe|lavapipe/i.test(name) ? 2 : 3;
}

/** Whether `wanted` (as given by a person) means the adapter `name`. */
export function matchesAdapter(wanted: string, name: string): boolean {
  const [part, whole] = [wanted.trim().toLowerCase(), name.toLowerCase()];
  return part !== "" && (whole.includes(part) || ("lavapipe".includes(part) && part.length >= 4 && whole.includes("llvmpipe")));
}

// Node as a host: WebGPU by Dawn (npm `webgpu`), on a real GPU where there is one, else on a CPU adapter.
import { totalmem } from "node:os";
import { EXIT_CODES, UserError, suggest } from "../errors.ts";
import { adapterKind, adapterRank, matchesAdapter } from "./adapter.ts";
import type { AdapterHandle, AdapterListing, AdapterOptions, CompileOnlyHandle } from "./adapter.ts";
import { hasEmbeddedAdapter, hasSystemLoader, offerEmbeddedAdapter, offerOnlyEmbeddedAdapter } from "./node-embedded.ts";
import { createPatience } from "./node-patience.ts";
import { withoutHarmlessWarnings } from "./node-stderr.ts";

/** Backends by platform, best first. Dawn's null backend, which executes nothing, is never among them. */
const BACKENDS: Partial<Record<NodeJS.Platform, readonly string[]>> = { darwin: ["metal"], win32: ["d3d12", "vulkan"] };
const DEFAULT_BACKENDS = ["vulkan"];

/** Dawn rounds timestamps to 65.5 µs otherwise. */
const ALWAYS_DISABLED = ["timestamp_quantization"];
/** Indices are not held inside their arrays once more. */
const TRUSTING = ["disable_robustness"];
/** Without the first, Dawn hides `shader-f16` on NVIDIA under Vulkan; the second offers subgroup matrices. */
const ENABLED_ON_NVIDIA = ["vulkan_enable_f16_on_nvidia", "allow_unsafe_apis"];

/** A name that no adapter has: asking for it makes Dawn list those it knows. */
const NO_SUCH_ADAPTER = "list-of-adapters";

/** Creates an instance with these flags and asks it for its adapter. */
type Ask = (flags: string[]) => Promise<Opened | undefined>;

/**
 * Opens the adapter that `options.adapter` or else CYTONET_ADAPTER names, or by default the fastest real GPU, then
 * lavapipe, then the embedded SwiftShader; a CPU adapter that nobody asked for is announced in one line.
 * Throws a UserError 69 where there is no such adapter, listing those there are.
 */
export async function openAdapter(options: AdapterOptions = {}): Promise<AdapterHandle> {
  const ask = await loadDawn(options.quiet);
  const log = options.log ?? ((line: string) => void process.stderr.write(`${line}\n`));
  const wanted = options.adapter ?? (process.env["CYTONET_ADAPTER"] || undefined);
  const switchesOf = (name: string): { enabled: string[]; disabled: string[] } => {
    const enabled = [...(options.trustIndices ? TRUSTING : []), ...(/nvidia/i.test(name) ? ENABLED_ON_NVIDIA : []), ...(options.toggles?.enable ?? [])];
    return { enabled, disabled: [...ALWAYS_DISABLED, ...(options.toggles?.disable ?? [])].filter((toggle) => !enabled.includes(toggle)) };
  };
  const open = ({ name, backend }: AdapterListing): Promise<Opened | undefined> => {
    const { enabled, disabled } = switchesOf(name);
    const flags = [`backend=${backend}`, `adapter=${name}`, `disable-dawn-features=${disabled.join(",")}`];
    if (enabled.length > 0) flags.push(`enable-dawn-features=${enabled.join(",")}`);
    return ask(flags);
  };
  const { listing, opened } = (await openByWholeName(open, wanted)) ?? (await openListed(ask, open, wanted));
  const { enabled, disabled } = switchesOf(listing.name);
  const { description, vendor } = opened.adapter.info;
  if (listing.kind === "cpu" && wanted === undefined) {
    log(`cytonet: NO GPU FOUND, running on the CPU adapter "${listing.name}", which is far slower; --adapter or CYTONET_ADAPTER chooses another`);
  }
  const kind = opened.adapter.info.isFallbackAdapter ? "cpu" : listing.kind;
  return handle(opened, {
    name: listing.name,
    driver: description || vendor,
    kind,
    ...(kind === "cpu" ? { memory: machineMemory(), patience: createPatience() } : {}),
    toggles: [...enabled.map((name) => `+${name}`), ...disabled.map((name) => `-${name}`)],
  });
}

/** Bytes that this process may have: the machine's, or less where it was given less. */
function machineMemory(): number {
  const given = process.constrainedMemory?.() ?? 0;
  return given > 0 ? Math.min(given, totalmem()) : totalmem();
}

type Open = (listing: AdapterListing) => Promise<Opened | undefined>;
type Chosen = { readonly listing: AdapterListing; readonly opened: Opened };

/** Lists what there is, then opens what was chosen. */
async function openListed(ask: Ask, open: Open, wanted: string | undefined): Promise<Chosen> {
  const { listing, known } = await chooseAdapter(ask, wanted);
  if (listing === undefined) throw noAdapter(wanted, known);
  const opened = await open(listing);
  if (opened === undefined) throw noAdapter(listing.name, known);
  return { listing, opened };
}

/**
 * Opens a system's adapter by its whole name, as this program hands it on to its own processes: nothing has to be listed, which saves an
 * instance. Undefined where `wanted` is only a part of a name, or means another adapter.
 */
async function openByWholeName(open: Open, wanted: string | undefined): Promise<Chosen | undefined> {
  const backends = BACKENDS[process.platform] ?? DEFAULT_BACKENDS;
  if (wanted === undefined || !wanted.includes(" ") || backends.length !== 1 || (process.platform === "linux" && !hasSystemLoader())) return undefined;
  const listing: AdapterListing = { name: wanted, backend: backends[0] ?? "", kind: adapterKind(wanted) };
  const opened = await open(listing).catch(() => undefined);
  // WebGPU tells the name as an identifier: lower case, with hyphens for all that is neither letter nor digit.
  return opened?.adapter.info.device === wanted.toLowerCase().replace(/[^a-z0-9]+/g, "-") ? { listing, opened } : undefined;
}

/** Every adapter that `openAdapter` could open, in the order of its default choice; the embedded one included. */
export async function listAdapters(options: Pick<AdapterOptions, "quiet"> = {}): Promise<AdapterListing[]> {
  return (await chooseAdapter(await loadDawn(options.quiet), NO_SUCH_ADAPTER)).known;
}

/** An adapter that checks and compiles WGSL without any GPU and executes nothing: for linting kernels only. */
export async function openNullAdapter(): Promise<CompileOnlyHandle> {
  const ask = await loadDawn();
  const opened = await ask(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  if (opened === undefined) throw new UserError(EXIT_CODES.unavailable, "adapter: Dawn's null backend is missing, expected one in the package webgpu; reinstall it");
  return handle(opened, { compileOnly: true });
}

interface Opened {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
}

/** The process lives as long as Dawn's objects are referenced, so `close` forgets them. */
function handle<T extends object>(opened: Opened, rest: T): T & Opened & { close(): void } {
  let open: Opened | undefined = opened;
  const get = (): Opened => {
    if (open === undefined) throw new UserError(EXIT_CODES.internal, "adapter: used after close, expected an open one");
    return open;
  };
  return Object.defineProperties({ ...rest, close: () => void (open = undefined) }, {
    gpu: { get: () => get().gpu },
    adapter: { get: () => get().adapter },
  }) as T & Opened & { close(): void };
}

async function loadDawn(quiet = false): Promise<Ask> {
  const { create } = await import("webgpu").catch((cause: unknown) => {
    throw new UserError(
      EXIT_CODES.unavailable,
      `adapter: the package webgpu does not load on ${process.platform} ${process.arch}, expected a build for it; see the note`,
      [cause instanceof Error ? cause.message.split("\n")[0] ?? "" : String(cause)],
      { cause },
    );
  });
  return async (flags) => {
    const open = (): { gpu: GPU; asked: Promise<GPUAdapter | null> } => {
      const gpu = create(flags);
      return { gpu, asked: gpu.requestAdapter({ powerPreference: "high-performance" }) };
    };
    const { gpu, asked } = quiet ? withoutHarmlessWarnings(open) : open();
    const adapter = await asked;
    return adapter === null ? undefined : { gpu, adapter };
  };
}

/** The adapters of all backends as Dawn's own error message lists them: it offers no other way. */
async function enumerateAdapters(ask: Ask): Promise<AdapterListing[]> {
  const found: AdapterListing[] = [];
  for (const backend of BACKENDS[process.platform] ?? DEFAULT_BACKENDS) {
    const message = await ask([`backend=${backend}`, `adapter=${NO_SUCH_ADAPTER}`]).then(
      () => "",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    for (const [, from, name] of message.matchAll(/backend: '([^'\n]*)', name: '(.*)'$/gm)) {
      if (from !== backend || name === undefined || found.some((other) => other.name === name)) continue;
      found.push({ name, backend, kind: adapterKind(name) });
    }
  }
  return found.sort((a, b) => adapterRank(a.name) - adapterRank(b.name));
}

/** Looks at the system's adapters first and unpacks the embedded one only where none of them will do. */
async function chooseAdapter(ask: Ask, wanted: string | undefined): Promise<{ listing: AdapterListing | undefined; known: AdapterListing[] }> {
  const choose = (known: AdapterListing[]): AdapterListing | undefined =>
    wanted === undefined ? known[0] : known.find(({ name }) => matchesAdapter(wanted, name));
  // Without a loader there is nothing to list, and Dawn would say so on stderr.
  const bare = process.platform === "linux" && !hasSystemLoader();
  let known = bare ? [] : await enumerateAdapters(ask);
  const listing = choose(known);
  if (listing !== undefined || !hasEmbeddedAdapter()) return { listing, known };
  const { icd } = await offerEmbeddedAdapter();
  const system = known;
  known = await enumerateAdapters(ask);
  if (known.length === system.length && !known.some(({ name }) => matchesAdapter("swiftshader", name))) {
    offerOnlyEmbeddedAdapter(icd);
    const embedded = await enumerateAdapters(ask);
    const late = choose(embedded);
    return { listing: late, known: [...system, ...embedded] };
  }
  return { listing: choose(known), known };
}

function noAdapter(wanted: string | undefined, known: readonly AdapterListing[]): UserError {
  const names = known.map(({ name }) => name);
  const list = names.length === 0 ? ["there is no adapter at all"] : names.map((name) => `there is: ${name}`);
  if (wanted === undefined) {
    return new UserError(EXIT_CODES.unavailable, "adapter: found none, expected a GPU or a CPU adapter; install a Vulkan driver", list);
  }
  // People type one word of the name, so the words are compared too.
  const near = suggest(wanted, [...names, ...names.flatMap((name) => name.split(/[^\w]+/)), "lavapipe"].filter((name) => name.length > 2));
  const hint = near[0] === undefined ? "give a part of a name listed below" : `did you mean "${near[0]}"?`;
  return new UserError(EXIT_CODES.unavailable, `adapter: no adapter matches "${wanted}", expected part of the name of one that is there; ${hint}`, list);
}

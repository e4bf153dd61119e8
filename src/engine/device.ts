// The device: features and limits asked for and recorded, every buffer counted, every error turned into an exception with a name.
import type { AdapterHandle } from "../host/adapter.ts";
import type { Traits } from "../kernel/define.ts";
import { hashText } from "../kernel/tuning.ts";
import { UserError } from "../errors.ts";
import { probeMatrices } from "./matrices.ts";
import { DeviceError, DeviceLost, OutOfMemory, Unavailable, formatBytes } from "./errors.ts";

const FEATURES = ["shader-f16", "subgroups", "timestamp-query", "subgroup-size-control", "chromium-experimental-subgroup-matrix"];
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
] as const;

/** How long to wait for the reason of a failure, ms. */
const LOSS_IS_TOLD_MS = 200;

/** What buffers are for; memory is counted by it. */
export type Purpose = "activations" | "state" | "inputs" | "constants" | "uniforms" | "readback" | "check";

/** Live and highest bytes by purpose, as counted where buffers are made. */
export interface Ledger {
  readonly live: Readonly<Partial<Record<Purpose, number>>>;
  readonly total: number;
  readonly peak: number;
  readonly buffers: number;
}

/** Everything that tells one device from another; no host or user name. */
export interface Fingerprint {
  readonly adapter: string;
  readonly driver: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly kind: "gpu" | "cpu";
  readonly features: readonly string[];
  readonly toggles: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly subgroups: readonly [number, number];
}

/** A hash of the whole fingerprint: what was measured on one device holds for one with the same hash only. */
export function identifyDevice({ features, toggles, ...rest }: Fingerprint): string {
  return hashText(JSON.stringify([Object.entries({ ...rest, limits: Object.entries(rest.limits).sort() }).sort(([x], [y]) => (x < y ? -1 : 1)), [...features].sort(), [...toggles].sort()]));
}

export interface Device {
  readonly gpu: GPUDevice;
  readonly traits: Traits;
  readonly fingerprint: Fingerprint;
  /** Pessimistic rates, for cutting long work only: arithmetic operations and bytes per second. */
  readonly rates: { readonly flops: number; readonly bytes: number };
  /** Bytes that it can hold, where the host knows. */
  readonly memory?: number;
  createBuffer(purpose: Purpose, label: string, bytes: number, usage: number): GPUBuffer;
  destroyBuffer(buffer: GPUBuffer): void;
  ledger(): Ledger;
  /**
   * Runs device commands; validation errors, lack of memory and loss become exceptions that name the operation. It may be a function, asked
   * when something went wrong: what was under way is then known better.
   */
  guard<T>(operation: string | (() => string), body: () => T): Promise<Awaited<T>>;
  /** Gives a promise of the device back; the host may rest while it is open. What `guard` waits for is among it. */
  wait<T>(promise: Promise<T>): Promise<T>;
  /** Throws where the device is lost or reported an error outside any guard. */
  assertAlive(operation: string): void;
  dispose(): void;
}

/** Opens the device of an adapter with every feature and limit that kernels can use. Throws Unavailable where it gives none. */
export async function openDevice(handle: AdapterHandle, log: (line: string) => void = () => {}): Promise<Device> {
  const { adapter } = handle;
  const features = FEATURES.filter((feature) => adapter.features.has(feature as GPUFeatureName));
  const limits: Record<string, number> = {};
  for (const name of LIMITS) limits[name] = adapter.limits[name] as number;
  const gpu = await adapter
    .requestDevice({ label: "cytonet", requiredFeatures: features as GPUFeatureName[], requiredLimits: limits })
    .catch((cause: unknown) => {
      throw new Unavailable(`${handle.name}: the adapter gives no device (${String(cause)})`, ["Choose another with --adapter; `cytonet doctor` lists what there is."]);
    });

  const subgroups: [number, number] = features.includes("subgroups") ? [adapter.info.subgroupMinSize ?? 4, adapter.info.subgroupMaxSize ?? 128] : [1, 1];
  const fingerprint: Fingerprint = {
    adapter: handle.name,
    driver: handle.driver,
    vendor: adapter.info.vendor,
    architecture: adapter.info.architecture,
    kind: handle.kind,
    features,
    toggles: handle.toggles,
    limits,
    subgroups,
  };
  const traits: Traits = {
    features: new Set(features),
    subgroupMin: subgroups[0],
    subgroupMax: subgroups[1],
    workgroupMemory: limits["maxComputeWorkgroupStorageSize"] ?? 16384,
    invocations: limits["maxComputeInvocationsPerWorkgroup"] ?? 256,
    barriers: handle.kind === "cpu" ? "dear" : "cheap",
    matrices: [],
  };
  // The slowest kernel seen on CPU adapters reached 0.1 GFLOP/s a subgroup lane; a GPU below 50 would be slower than those.
  const rates = handle.kind === "cpu" ? { flops: 1e8 * Math.max(2, subgroups[1]), bytes: 5e8 } : { flops: 5e10, bytes: 1e10 };

  const wait = handle.patience ?? ((promise) => promise);
  const live: Partial<Record<Purpose, number>> = {};
  const sizes = new Map<GPUBuffer, { purpose: Purpose; bytes: number }>();
  let total = 0;
  let peak = 0;
  let lost: string | undefined;
  let disposed = false;
  let stray: string | OutOfMemory | undefined;
  /** Buffers that were asked for, of which the device has not said yet whether there is memory. */
  const allocations = new Set<Promise<void>>();
  void gpu.lost.then((info) => {
    if (!disposed) lost = info.message || info.reason || "unknown reason";
  });
  gpu.addEventListener("uncapturederror", (event) => {
    stray ??= (event as GPUUncapturedErrorEvent).error.message;
    event.preventDefault();
  });

  const assertAlive = (operation: string) => {
    if (disposed) throw new DeviceError(`${operation}: the engine has been disposed`);
    if (lost !== undefined) throw new DeviceLost(operation, lost);
    if (stray !== undefined) {
      const problem = stray;
      stray = undefined;
      throw typeof problem === "string" ? new DeviceError(`${operation}: ${firstLines(problem)}`) : problem;
    }
  };
  // Promises of a device that goes may fail before its loss is told.
  const settle = () => Promise.race([gpu.lost, new Promise((resolve) => setTimeout(resolve, LOSS_IS_TOLD_MS))]);

  const destroyBuffer = (buffer: GPUBuffer) => {
    const entry = sizes.get(buffer);
    if (!entry) return;
    sizes.delete(buffer);
    live[entry.purpose] = (live[entry.purpose] ?? 0) - entry.bytes;
    total -= entry.bytes;
    buffer.destroy();
  };

  const device: Device = {
    gpu,
    traits,
    fingerprint,
    rates,
    ...(handle.memory === undefined ? {} : { memory: handle.memory }),
    assertAlive,
    wait,
    createBuffer(purpose, label, bytes, usage) {
      assertAlive(label);
      if (bytes > (limits["maxBufferSize"] ?? 0))
        throw new Unavailable(`${label}: ${formatBytes(bytes)} in one buffer, the device allows ${formatBytes(limits["maxBufferSize"] ?? 0)}`, ["Use a smaller batch or a smaller patch."]);
      const before = total;
      let buffer: GPUBuffer;
      gpu.pushErrorScope("out-of-memory");
      try {
        buffer = gpu.createBuffer({ label, size: bytes, usage });
      } catch (cause) {
        gpu.popErrorScope().catch(() => {});
        throw new OutOfMemory(`${label} (${String(cause)})`, bytes, before);
      }
      const outcome = gpu.popErrorScope().then(
        (error) => {
          if (!error) return;
          destroyBuffer(buffer);
          if (!(stray instanceof OutOfMemory)) stray = new OutOfMemory(label, bytes, before);
        },
        () => {},
      );
      allocations.add(outcome);
      void outcome.then(() => allocations.delete(outcome));
      sizes.set(buffer, { purpose, bytes });
      live[purpose] = (live[purpose] ?? 0) + bytes;
      total += bytes;
      peak = Math.max(peak, total);
      return buffer;
    },
    destroyBuffer,
    ledger: () => ({ live: { ...live }, total, peak, buffers: sizes.size }),
    async guard(operation, body) {
      const name = typeof operation === "string" ? () => operation : operation;
      assertAlive(name());
      for (const filter of ["internal", "out-of-memory", "validation"] as const) gpu.pushErrorScope(filter);
      const before = total;
      let result: unknown;
      let thrown: unknown;
      try {
        result = body();
        // Where an error scope's error goes first, this promise's own comes later and has nobody left to hear it.
        if (result instanceof Promise) result.catch(() => {});
      } catch (cause) {
        thrown = cause;
      }
      const asked = total - before; // other guards go on while this one waits
      const errors = await wait(Promise.all([gpu.popErrorScope(), gpu.popErrorScope(), gpu.popErrorScope()])).catch(() => settle().then(() => []));
      await Promise.all(allocations);
      if (lost !== undefined) throw new DeviceLost(name(), lost);
      if (stray instanceof OutOfMemory) assertAlive(name()); // a buffer without memory is why whatever uses it is invalid
      const [validation, memory, internal] = errors;
      if (memory) throw new OutOfMemory(name(), asked, before);
      const error = validation ?? internal;
      if (error) {
        log(error.message);
        throw new DeviceError(`${name()}: ${firstLines(error.message)}`);
      }
      if (thrown !== undefined) throw thrown;
      const value = await wait(Promise.resolve(result)).catch(async (cause: unknown) => {
        // After a loss, or when an earlier command failed, mapping fails: say that rather than this.
        if (!(cause instanceof UserError)) await settle();
        assertAlive(name());
        throw cause;
      });
      assertAlive(name()); // what came back after a loss is not to be trusted
      return value as never;
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      for (const buffer of sizes.keys()) buffer.destroy();
      sizes.clear();
      gpu.destroy();
    },
  };
  return { ...device, traits: { ...traits, matrices: await probeMatrices(device, adapter.info) } };
}

function firstLines(message: string): string {
  return message.split("\n").slice(0, 3).map((line) => line.trim()).join(" ");
}

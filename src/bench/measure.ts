// Timing one kernel in several variants: device clock where there is one, several copies of the data, rounds interleaved.
import { type Blueprint, constantsOf, variantOf } from "../kernel/blueprint.ts";
import { activeArgs, elementCount, type Kernel, type Numbers } from "../kernel/define.ts";
import { type Dtype, type HostArray, bytesOf, hostArrayOf, storageBytes, toHostArray } from "../kernel/dtype.ts";
import { packUniforms, uniformBytes } from "../kernel/layout.ts";
import { type CheckCase, makeInputs } from "../engine/check.ts";
import { cutGrid } from "../engine/cut.ts";
import { BUFFER_USAGE } from "../engine/constants.ts";
import type { Device } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { createReadback, type Readback } from "../engine/readback.ts";

/** A problem laid out in memory, several times over. */
export interface Workload {
  /** Bytes that one run must move if each argument is read or written once. */
  readonly bytes: number;
  readonly flops: number;
  /** Makes a blueprint ready to run on every copy. */
  prepare(blueprint: Blueprint): Promise<Contestant>;
  /** Fills the inputs anew, runs the contestant once on the first copy and reads its outputs. */
  outputs(contestant: Contestant): Promise<Map<string, { dtype: Dtype; data: HostArray }>>;
  dispose(): void;
}

/** A blueprint with everything made that a run of it needs. */
export interface Contestant {
  readonly blueprint: Blueprint;
  /** Milliseconds of one run, as the mean over `repeats` in one pass. */
  time(repeats: number): Promise<number>;
  run(copy: number): void;
}

/** Bytes that the copies of a workload fill together: more than caches of CPUs hold, no burden to any GPU. */
const ROTATED_BYTES = 64 * 2 ** 20;
const MAX_COPIES = 8;

/** Lays out a problem. Its inputs are those of the check of the same numbers and seed. */
export async function createWorkload(engine: Engine, problem: CheckCase, numbers: Numbers): Promise<Workload> {
  const { device } = engine;
  const { kernel } = problem;
  const flags = new Set(problem.flags);
  const inputs = makeInputs({ ...problem, numbers });
  const args = activeArgs(kernel, flags).map(({ name, arg, binding }) => {
    const dtype: Dtype = arg.dtype === "elem" ? problem.dtype : arg.dtype;
    const count = elementCount(arg, numbers);
    const value = inputs.get(name);
    return { name, arg, binding, dtype, count, size: storageBytes(dtype, count), host: value && toHostArray(dtype, value) };
  });
  const bytes = args.reduce((sum, { arg, count, dtype }) => sum + count * bytesOf(dtype) * (arg.access === "update" ? 2 : 1), 0);
  const copies = Math.min(MAX_COPIES, Math.max(2, Math.ceil(ROTATED_BYTES / Math.max(1, bytes))));
  const made: GPUBuffer[] = [];
  const make = (label: string, size: number, usage: number) => {
    const buffer = device.createBuffer("check", label, size, usage);
    made.push(buffer);
    return buffer;
  };
  const readback = createReadback(device, "bench");
  const clock = createClock(device, readback, make);
  const { storage, copySrc, copyDst, uniform: uniformUsage } = BUFFER_USAGE;
  const sets = await device.guard(`bench ${kernel.name}`, () =>
    Array.from({ length: copies }, () => args.map(({ name, size }) => make(name, size, storage | copySrc | copyDst))),
  );
  const fill = (set: readonly GPUBuffer[]) =>
    args.forEach(({ host, size }, i) => {
      if (host) device.gpu.queue.writeBuffer(set[i]!, 0, wholeWords(host, size));
    });
  sets.forEach(fill);

  return {
    bytes,
    flops: kernel.flops(numbers),
    async prepare(blueprint) {
      const { pipeline, layout } = await engine.pipelines.get(kernel, blueprint);
      const grid = variantOf(kernel, blueprint.variant).grid(numbers, constantsOf(kernel, blueprint), flags);
      const predicted = Math.max(kernel.flops(numbers) / device.rates.flops, bytes / device.rates.bytes);
      const pieces = await device.guard(`bench ${kernel.name}`, () =>
        cutGrid(grid, predicted, 65535).map((piece) => {
          const uniform = make("uniforms", uniformBytes(kernel), uniformUsage | copyDst);
          device.gpu.queue.writeBuffer(uniform, 0, packUniforms(kernel, numbers, piece.origin));
          const groups = sets.map((set) =>
            device.gpu.createBindGroup({
              layout,
              entries: [{ binding: 0, resource: { buffer: uniform } }, ...args.map(({ binding, size }, i) => ({ binding, resource: { buffer: set[i]!, size } }))],
            }),
          );
          return { groups, size: piece.size };
        }),
      );
      let turn = 0;
      const encode = (pass: GPUComputePassEncoder, copy: number) => {
        pass.setPipeline(pipeline);
        for (const { groups, size } of pieces) {
          pass.setBindGroup(0, groups[copy % copies]!);
          pass.dispatchWorkgroups(...size);
        }
      };
      return {
        blueprint,
        run(copy) {
          const encoder = device.gpu.createCommandEncoder();
          const pass = encoder.beginComputePass();
          encode(pass, copy);
          pass.end();
          device.gpu.queue.submit([encoder.finish()]);
        },
        async time(repeats) {
          const total = await clock.time((pass) => {
            for (let i = 0; i < repeats; i++) encode(pass, turn++);
          });
          return total / repeats;
        },
      };
    },
    async outputs(contestant) {
      const first = sets[0]!;
      const written = args.map((arg, i) => ({ ...arg, buffer: first[i]! })).filter(({ arg }) => arg.access !== "read");
      const parts = await device.guard(`bench ${kernel.name}`, () => {
        fill(first);
        contestant.run(0);
        return readback.read(written.map(({ buffer, size }) => ({ buffer, offset: 0, size })));
      });
      return new Map(written.map(({ name, dtype, count }, i) => [name, { dtype, data: hostArrayOf(dtype, parts[i]!, count) }]));
    },
    dispose() {
      readback.dispose();
      clock.dispose();
      for (const buffer of made) device.destroyBuffer(buffer);
    },
  };
}

/** Milliseconds of one pass: by timestamps, or from submission to completion where the device has no clock. */
function createClock(device: Device, readback: Readback, make: (label: string, size: number, usage: number) => GPUBuffer) {
  const { gpu } = device;
  const hasClock = device.traits.features.has("timestamp-query");
  const querySet = hasClock ? gpu.createQuerySet({ type: "timestamp", count: 2 }) : undefined;
  const resolved = hasClock ? make("timestamps", 256, BUFFER_USAGE.queryResolve | BUFFER_USAGE.copySrc) : undefined;
  const time = async (encode: (pass: GPUComputePassEncoder) => void): Promise<number> => {
    if (!querySet || !resolved) await device.wait(gpu.queue.onSubmittedWorkDone());
    const start = performance.now();
    const parts = await device.guard("bench", () => {
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass(querySet ? { timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } } : {});
      encode(pass);
      pass.end();
      if (querySet && resolved) encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
      gpu.queue.submit([encoder.finish()]);
      return resolved ? readback.read([{ buffer: resolved, offset: 0, size: 16 }]) : gpu.queue.onSubmittedWorkDone().then(() => undefined);
    });
    const elapsed = performance.now() - start;
    device.assertAlive("bench");
    if (!parts) return elapsed;
    const [begin = 0n, end = 0n] = new BigInt64Array(parts[0]!);
    // Some drivers write nothing into an empty or very short pass: the host's clock then bounds it from above.
    return end > begin ? Number(end - begin) / 1e6 : elapsed;
  };
  return { time, dispose: () => querySet?.destroy() };
}

function wholeWords(host: HostArray, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  bytes.set(new Uint8Array(host.buffer, host.byteOffset, host.byteLength));
  return bytes;
}

/** Longest guess of how often a run must be repeated to be measured. */
const MOST_REPEATS = 10_000;

/** How often a run must be repeated in one pass to take so long; the first run compiles on some drivers, and clocks may be coarse. */
async function calibrate(contestant: Contestant, milliseconds: number): Promise<number> {
  await contestant.time(1);
  for (let repeats = 1; ; repeats *= 8) {
    const once = await contestant.time(repeats);
    // What a coarse clock says of a short pass is worth little: it counts where it is a good part of what is wanted.
    if (once * repeats >= milliseconds / 8 || repeats * 8 > MOST_REPEATS) return Math.min(MOST_REPEATS, Math.max(1, Math.ceil(milliseconds / Math.max(once, 1e-6))));
  }
}

/**
 * Times the contestants in turn, `rounds` times, each long enough to be measured; milliseconds of one run, by contestant.
 * Every round begins with another one: what drifts falls on all alike. One that throws ends the race, unless `drop` takes it out: then it
 * has no samples, and the others go on.
 */
export async function race(contestants: readonly Contestant[], minMilliseconds: number, rounds: number, drop?: (contestant: number, cause: unknown) => void): Promise<number[][]> {
  const repeats: number[] = [];
  const samples = contestants.map((): number[] => []);
  const out = new Set<number>();
  const attempt = async (i: number, body: () => Promise<void>): Promise<void> => {
    if (out.has(i)) return;
    await body().catch((cause: unknown) => {
      if (!drop) throw cause;
      drop(i, cause);
      out.add(i);
      samples[i] = [];
    });
  };
  for (const [i, contestant] of contestants.entries()) await attempt(i, async () => void (repeats[i] = await calibrate(contestant, minMilliseconds)));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < contestants.length; turn++) {
      const i = (round + turn) % contestants.length;
      await attempt(i, async () => void samples[i]!.push(await contestants[i]!.time(repeats[i]!)));
    }
  return samples;
}

/** A problem of a kernel in the form that checks and workloads take. */
export function problemOf(kernel: Kernel, name: string, numbers: Numbers, flags: readonly string[], dtype: "f32" | "f16", variant = "naive"): CheckCase {
  return { kernel, variant, dtype, flags, numbers, seed: 1, name };
}

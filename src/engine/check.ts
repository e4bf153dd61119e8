// Checking one kernel in one variant on the device: poisoned outputs, canaries, untouched inputs, any order of workgroups, bounded error.
import { type Blueprint, blueprintKey, constantsOf, tryVariant, variantOf } from "../kernel/blueprint.ts";
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers } from "../kernel/define.ts";
import { type Dtype, rounderOf } from "../kernel/dtype.ts";
import { lintBarriers } from "../kernel/barriers.ts";
import { lintTemplate, packUniforms, uniformBytes } from "../kernel/layout.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { UserError } from "../errors.ts";
import { describeWrong } from "./check-diagnosis.ts";
import { type Argument, findBroken, findDifference, findStray, findUnwritten, layOut, outputsOf, PAD, type Poison, valueAt } from "./check-images.ts";
import { WATCH, watchIndices } from "./check-bounds.ts";
import { checkId, type CheckCase } from "./check-list.ts";
import { hasBarrier, scatterInvocations, shuffleGrid } from "./check-order.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { cutGrid, type Piece } from "./cut.ts";
import type { Engine } from "./engine.ts";
import { createReadback } from "./readback.ts";
import { allowanceOf, compare, nearby } from "./tolerance.ts";

export { checkId, listChecks, selectQuick, type CheckCase, type ListOptions } from "./check-list.ts";

export interface CheckResult {
  readonly id: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** Largest error as a multiple of the allowed one, and largest and root mean square error in ulps of the RMS. */
  readonly worst?: number;
  readonly ulps?: number;
  readonly rmsUlps?: number;
  /** Whether it failed because an index was seen beyond the end of its array. */
  readonly stray?: boolean;
}

/** Bytes of all arguments up to which half of the workgroups is also run alone. */
const HALF_BYTES = 65536;

/** Values that a case's inputs have: the kernel's own, or uniform in [-1, 1), rounded to how they are stored. */
export function makeInputs(check: CheckCase): Map<string, Float64Array> {
  const numbers = completeNumbers(check.kernel, check.numbers);
  const random = randomStream(keyOfSeed(check.seed), [0, 0, 0]).uniform;
  const inputs = new Map<string, Float64Array>();
  for (const { name, arg } of activeArgs(check.kernel, new Set(check.flags))) {
    if (arg.access === "write") continue;
    const store = rounderOf(dtypeOf(arg.dtype, check.dtype));
    const make = check.kernel.inputs[name];
    const count = elementCount(arg, numbers);
    inputs.set(name, Float64Array.from({ length: count }, (_, i) => store(make ? make(random, i, numbers) : 2 * random() - 1)));
  }
  return inputs;
}

function dtypeOf(argument: Dtype | "elem", elem: "f32" | "f16"): Dtype {
  return argument === "elem" ? elem : argument;
}

/** The outputs that the reference computes: in f64, and rounded like f32 arithmetic in plain order. */
export function runReference(check: CheckCase, inputs: ReadonlyMap<string, Float64Array>, rounded: boolean): Map<string, Float64Array> {
  const { kernel } = check;
  const numbers = completeNumbers(kernel, check.numbers);
  const flags = new Set(check.flags);
  const args: Record<string, Float64Array> = {};
  for (const name of Object.keys(kernel.args)) args[name] = new Float64Array(0);
  const outputs = new Map<string, Float64Array>();
  for (const { name, arg } of activeArgs(kernel, flags)) {
    const value = arg.access === "write" ? new Float64Array(elementCount(arg, numbers)).fill(NaN) : Float64Array.from(inputs.get(name)!);
    args[name] = value;
    if (arg.access !== "read") outputs.set(name, value);
  }
  kernel.reference(args, numbers, { round: rounded ? Math.fround : (x) => x, has: (flag) => flags.has(flag) });
  if (rounded)
    for (const [name, value] of outputs) {
      const store = rounderOf(dtypeOf(kernel.args[name]!.dtype, check.dtype));
      for (let i = 0; i < value.length; i++) value[i] = store(value[i]!);
    }
  return outputs;
}

/**
 * Runs one check on the engine's device: the whole grid, then its workgroups in another order over other contents of the outputs, then,
 * where that is cheap, half of them alone. All must give the same bits, and these must lie within the allowed error.
 * Never throws for a wrong kernel; a lost device does throw.
 */
export async function runCheck(engine: Engine, check: CheckCase): Promise<CheckResult> {
  const id = checkId(check);
  const { kernel } = check;
  const numbers = completeNumbers(kernel, check.numbers);
  const tried = tryVariant({ kernel, numbers, flags: new Set(check.flags), dtype: check.dtype }, engine.device.traits, check.variant, check.params ?? {});
  if ("reason" in tried) return { id, status: "skipped", reason: tried.reason };
  // What the template declares otherwise than the descriptor is behind anything else that goes wrong: it comes first.
  const complaints = [...lintTemplate(kernel, check.variant), ...lintBarriers(kernel, tried.blueprint)];
  try {
    if (check.watched) {
      const most = engine.device.fingerprint.limits["maxStorageBuffersPerShaderStage"] ?? 8;
      if (activeArgs(kernel, new Set(check.flags)).length + 1 > most) return { id, status: "skipped", reason: `no buffer is left to watch indices with: the device has ${most}` };
      const reason = await findStrayIndex(engine, check, tried.blueprint);
      return reason === undefined ? { id, status: "passed" } : { id, status: "failed", reason, stray: true };
    }
    const { inputs } = recall(check);
    const job = await prepare(engine, check, check.scattered ?? false, tried.blueprint, inputs);
    if (!job) return { id, status: "skipped", reason: `${kernel.name}.${check.variant} cannot be scattered` };
    const images = await runOrders(job);
    complaints.push(...(await inspect(job, images)));
    const outputs = outputsOf(job.active, images.whole);
    const judged = judge(check, outputs, tried.blueprint);
    if (judged.wrong !== undefined) complaints.push(judged.wrong, ...(await blameBarriers(engine, check, tried.blueprint, inputs, images.whole)));
    const measured = { worst: judged.worst, ulps: judged.ulps, rmsUlps: judged.rmsUlps };
    return complaints.length ? { id, status: "failed", ...measured, reason: complaints.join("; ") } : { id, status: "passed", ...measured };
  } catch (cause) {
    engine.device.assertAlive(id);
    if (cause instanceof UserError) return { id, status: "failed", reason: [cause.message, ...cause.notes].join("; ") };
    throw cause;
  }
}

/** The first index that was seen beyond the end of its array; undefined where all lay inside. */
async function findStrayIndex(engine: Engine, check: CheckCase, blueprint: Blueprint): Promise<string | undefined> {
  const watched = watchIndices(check.kernel, check.variant);
  const own = { ...check, kernel: watched.kernel };
  const job = await prepare(engine, own, false, blueprint, makeInputs(own));
  const [image] = await job!.run([{ pieces: job!.pieces, poison: 1 }]);
  const at = job!.active.findIndex(({ name }) => name === WATCH);
  return watched.report(image![at]!.subarray(PAD / 4));
}

/** The outputs of one check for inputs of the caller's own, all other arguments as the check has them. */
export async function runWith(engine: Engine, check: CheckCase, own: ReadonlyMap<string, Float64Array>): Promise<{ readonly outputs: Map<string, Float64Array>; readonly truth: Map<string, Float64Array> } | { readonly reason: string }> {
  const tried = tryVariant({ kernel: check.kernel, numbers: completeNumbers(check.kernel, check.numbers), flags: new Set(check.flags), dtype: check.dtype }, engine.device.traits, check.variant, check.params ?? {});
  if ("reason" in tried) return tried;
  const inputs = new Map([...makeInputs(check), ...own]);
  const job = await prepare(engine, check, false, tried.blueprint, inputs);
  const [whole] = await job!.run([{ pieces: job!.pieces, poison: 0 }]);
  return { outputs: outputsOf(job!.active, whole!), truth: runReference(check, inputs, false) };
}

/** The outputs of a check for given inputs: the truth in f64, and what plain f32 arithmetic makes of it. */
function evaluate(check: CheckCase, values: ReadonlyMap<string, Float64Array>): Evaluated {
  const yardstick = runReference(check, values, true);
  return new Map([...runReference(check, values, false)].map(([name, truth]) => [name, { truth, yardstick: yardstick.get(name)! }]));
}

type Evaluated = ReadonlyMap<string, { readonly truth: Float64Array; readonly yardstick: Float64Array }>;

interface Recalled {
  readonly kernel: Kernel;
  readonly inputs: ReadonlyMap<string, Float64Array>;
  readonly results: () => Evaluated;
}

/** Values of inputs and outputs that are kept for the other variants of a kernel, which are given the same problems: 128 MiB in f64. */
const KEPT_VALUES = 2 ** 24;
const kept = new Map<string, Recalled>();
let keptValues = 0;

/** Inputs and outputs of a check, computed once for all variants: references take as long as everything else together. */
function recall(check: CheckCase): Recalled {
  const { kernel, dtype, flags, numbers, seed } = check;
  const key = `${kernel.name} ${dtype} ${[...flags].sort().join()} ${JSON.stringify(completeNumbers(kernel, numbers))} ${seed}`;
  const found = kept.get(key);
  // Kernels of a name may be several: a broken copy, an edited one.
  if (found && found.kernel.reference === kernel.reference && found.kernel.args === kernel.args && found.kernel.inputs === kernel.inputs) return found;
  const inputs = makeInputs(check);
  let results: Evaluated | undefined;
  const made: Recalled = { kernel, inputs, results: () => (results ??= evaluate(check, inputs)) };
  const values = activeArgs(kernel, new Set(flags)).reduce((sum, { arg }) => sum + (arg.access === "read" ? 1 : 3) * elementCount(arg, completeNumbers(kernel, numbers)), 0);
  if (keptValues + values > KEPT_VALUES) {
    kept.clear();
    keptValues = 0;
  }
  keptValues += values;
  kept.set(key, made);
  return made;
}

/** What the outputs are worth against the reference: the first array that is wrong, and the largest errors. */
function judge(check: CheckCase, outputs: ReadonlyMap<string, Float64Array>, blueprint: Blueprint) {
  const { kernel } = check;
  const { inputs, results } = recall(check);
  let around: Map<string, number> | undefined;
  const measureAround = () =>
    (around ??= nearby(randomStream(keyOfSeed(check.seed), [0, 0, 4]).uniform, (shift) => evaluate(check, new Map([...inputs].map(([name, value]) => [name, isFloat(name) ? value.map((x) => Math.fround(shift(x))) : value])))));
  const isFloat = (name: string) => ["f32", "f16"].includes(dtypeOf(kernel.args[name]!.dtype, check.dtype));
  const judged: { worst: number; ulps: number; rmsUlps: number; wrong?: string } = { worst: 0, ulps: 0, rmsUlps: 0 };
  for (const [name, { truth: expected, yardstick }] of results()) {
    const unset = expected.findIndex((x) => Number.isNaN(x));
    if (unset >= 0) return { ...judged, wrong: `the reference leaves ${name}[${unset}] unset` };
    const arg = kernel.args[name]!;
    const compareWith = (least: number) => compare(outputs.get(name)!, expected, yardstick, dtypeOf(arg.dtype, check.dtype), allowanceOf(kernel.builtins), least);
    let comparison = compareWith(0);
    if (!comparison.ok) comparison = compareWith(measureAround().get(name) ?? 0);
    judged.worst = Math.max(judged.worst, comparison.worst);
    judged.ulps = Math.max(judged.ulps, comparison.ulps);
    judged.rmsUlps = Math.max(judged.rmsUlps, comparison.rmsUlps);
    if (!comparison.ok) {
      const numbers = completeNumbers(kernel, check.numbers);
      const shape = arg.shape.map((dim, axis) => (typeof dim === "number" ? { dim: `axis ${axis}`, extent: dim } : { dim, extent: numbers[dim] ?? 0 }));
      return { ...judged, wrong: `${describeWrong(name, comparison, outputs.get(name)!, expected, shape)} (${blueprintKey(blueprint)})` };
    }
  }
  return judged;
}

/** One problem laid out on the device, ready to be run in several ways. */
interface Job {
  readonly engine: Engine;
  readonly id: string;
  readonly active: readonly Argument[];
  readonly grid: readonly [number, number, number];
  readonly pieces: readonly Piece[];
  readonly shuffled: readonly Piece[];
  /** Launches pieces of the grid over outputs filled with a poison and gives the bytes of every argument with its surroundings. */
  run(requests: readonly Request[]): Promise<Uint32Array[][]>;
}

interface Request {
  readonly pieces: readonly Piece[];
  readonly poison: Poison;
  /** Whether bindings go on behind the arguments' ends: WebGPU stops what passes the end of a binding, and so would hide it. */
  readonly open?: boolean;
}

/** Undefined where the template cannot be scattered. */
async function prepare(engine: Engine, check: CheckCase, scattered: boolean, blueprint: Blueprint, inputs: ReadonlyMap<string, Float64Array>): Promise<Job | undefined> {
  const { device } = engine;
  const kernel = scattered ? scatterInvocations(check.kernel, check.variant) : check.kernel;
  if (!kernel) return undefined;
  const numbers = completeNumbers(kernel, check.numbers);
  const { pipeline, layout } = await engine.pipelines.get(kernel, { ...blueprint, kernel: kernel.name });
  const flags = new Set(check.flags);
  const active = layOut(activeArgs(kernel, flags).map(({ name, arg, binding }) => ({ name, arg, binding, dtype: dtypeOf(arg.dtype, check.dtype), count: elementCount(arg, numbers), value: inputs.get(name) })));
  const grid = variantOf(kernel, blueprint.variant).grid(numbers, constantsOf(kernel, blueprint), flags);
  return {
    engine,
    id: checkId(check),
    active,
    grid,
    pieces: cutGrid(grid, kernel.flops(numbers) / device.rates.flops, 65535),
    shuffled: shuffleGrid(grid, keyOfSeed(check.seed)),
    async run(requests) {
      const made: GPUBuffer[] = [];
      const readback = createReadback(device, "check");
      try {
        const images = await device.guard(checkId(check), () => {
          const { storage, copySrc, copyDst, uniform: uniformUsage } = BUFFER_USAGE;
          const make = (label: string, bytes: number, usage: number) => {
            const buffer = device.createBuffer("check", label, bytes, usage);
            made.push(buffer);
            return buffer;
          };
          const buffers = active.map(({ name, images: [image] }) => make(name, image.byteLength, storage | copySrc | copyDst));
          const most = device.fingerprint.limits["maxStorageBufferBindingSize"] ?? Infinity;
          return Promise.all(
            requests.map(({ pieces, poison, open }) => {
              const resources = active.map(({ binding, bytes }, i) => ({ binding, resource: { buffer: buffers[i]!, offset: PAD, size: open ? Math.min(bytes + PAD, most) : bytes } }));
              active.forEach(({ images: own }, i) => device.gpu.queue.writeBuffer(buffers[i]!, 0, own[poison]));
              const encoder = device.gpu.createCommandEncoder();
              const pass = encoder.beginComputePass();
              pass.setPipeline(pipeline);
              const uniforms = packPieces(kernel, numbers, pieces);
              const buffer = make("uniforms", uniforms.byteLength, uniformUsage | copyDst);
              device.gpu.queue.writeBuffer(buffer, 0, uniforms);
              pieces.forEach(({ size }, i) => {
                const uniform = { binding: 0, resource: { buffer, offset: 256 * i, size: uniformBytes(kernel) } };
                pass.setBindGroup(0, device.gpu.createBindGroup({ layout, entries: [uniform, ...resources] }));
                pass.dispatchWorkgroups(...size);
              });
              pass.end();
              device.gpu.queue.submit([encoder.finish()]);
              return readback.read(buffers.map((one, i) => ({ buffer: one, offset: 0, size: active[i]!.images[0].byteLength })));
            }),
          );
        });
        return images.map((run) => run.map((bytes) => new Uint32Array(bytes)));
      } finally {
        readback.dispose();
        for (const buffer of made) device.destroyBuffer(buffer);
      }
    },
  };
}

/** The uniforms of every piece, each where an offset may point. */
function packPieces(kernel: Kernel, numbers: Numbers, pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(256 * Math.max(1, pieces.length) + uniformBytes(kernel));
  pieces.forEach(({ origin }, i) => bytes.set(new Uint8Array(packUniforms(kernel, numbers, origin)), 256 * i));
  return bytes;
}

interface Orders {
  readonly whole: readonly Uint32Array[];
  readonly shuffled: readonly Uint32Array[];
  /** Of the first half of the shuffled pieces alone. */
  readonly half?: readonly Uint32Array[];
}

async function runOrders(job: Job): Promise<Orders> {
  const bytes = job.active.reduce((sum, arg) => sum + arg.bytes, 0);
  const half = job.shuffled.length > 1 && bytes <= HALF_BYTES ? job.shuffled.slice(0, Math.ceil(job.shuffled.length / 2)) : undefined;
  const [whole, shuffled, alone] = await job.run([
    { pieces: job.pieces, poison: 0 },
    { pieces: job.shuffled, poison: 1, open: true },
    ...(half ? [{ pieces: half, poison: 0 as const }] : []),
  ]);
  return { whole: whole!, shuffled: shuffled!, ...(alone ? { half: alone } : {}) };
}

/** What the memory tells: broken surroundings, changed inputs, unwritten elements, and results that depend on an order. */
async function inspect(job: Job, { whole, shuffled, half }: Orders): Promise<string[]> {
  const { active } = job;
  const complaints: string[] = [];
  active.forEach((arg, i) => {
    const [broken] = [...findBroken(arg, whole[i]!, 0), ...findBroken(arg, shuffled[i]!, 1)];
    if (broken !== undefined) complaints.push(broken);
    complaints.push(...findUnwritten(arg, whole[i]!, shuffled[i]!));
  });
  if (complaints.length) return complaints;
  const differs = findDifference(active, whole, shuffled);
  if (differs) {
    const [again, other, beyond] = await job.run([{ pieces: job.pieces, poison: 0 }, { pieces: job.pieces, poison: 1 }, { pieces: job.pieces, poison: 0, open: true }]);
    const repeat = findDifference(active, whole, again!);
    if (repeat) complaints.push(`a race: two equal runs differ at ${repeat.place}`);
    const leftover = findDifference(active, again!, other!);
    if (!repeat && leftover) complaints.push(`${leftover.place} depends on what lay in the outputs before`);
    const outside = findDifference(active, again!, beyond!);
    if (!repeat && outside) complaints.push(`${outside.place} depends on what lies behind the end of an argument: it is ${outside.first} with nothing there, ${outside.second} with something`);
    else if (differs.untouched) complaints.push(`${differs.place} is not written where the grid is cut into pieces: u.origin must be added to the number of the workgroup wherever it is used`);
    else complaints.push(`workgroups depend on each other: one after another, in another order, ${differs.place} is ${differs.second}, all at once ${differs.first}`);
  }
  active.forEach((arg, i) => {
    const stray = half && arg.arg.access !== "read" ? findStray(arg, whole[i]!, half[i]!) : -1;
    if (stray >= 0 && complaints.length < 4)
      complaints.push(`workgroups depend on each other: half of them alone give ${arg.name}[${stray}] = ${valueAt(arg, half![i]!, stray)}, all of them ${valueAt(arg, whole[i]!, stray)}`);
  });
  return complaints;
}

/** Whether it is the order of the invocations that makes a result wrong: run with them in other places, it would be another. */
async function blameBarriers(engine: Engine, check: CheckCase, blueprint: Blueprint, inputs: ReadonlyMap<string, Float64Array>, whole: readonly Uint32Array[]): Promise<string[]> {
  if (!hasBarrier(check.kernel, check.variant) && !/var<workgroup>/.test(variantOf(check.kernel, check.variant).source)) return [];
  const job = await prepare(engine, check, !check.scattered, blueprint, inputs);
  if (!job) return [];
  const [other] = await job.run([{ pieces: job.pieces, poison: 0 }]);
  const differs = findDifference(job.active, whole, other!);
  return differs ? [`the invocations of a workgroup depend on their order, a barrier is missing: ${differs.place} is ${differs.second} with them in ${check.scattered ? "their own" : "other"} places`] : [];
}

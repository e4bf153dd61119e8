// Checking one kernel in one variant on the device: poisoned outputs, canaries, untouched inputs, equal repeats, bounded error.
import { type Blueprint, blueprintKey, chooseBlueprint, constantsOf, tryVariant, variantOf } from "../kernel/blueprint.ts";
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers, type Traits } from "../kernel/define.ts";
import { type Dtype, bytesOf, hostArrayOf, rounderOf, storageBytes, toHostArray, toNumbers } from "../kernel/dtype.ts";
import { packUniforms, uniformBytes } from "../kernel/layout.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { cutGrid } from "./cut.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { Engine } from "./engine.ts";
import { UserError } from "../errors.ts";
import { createReadback } from "./readback.ts";
import { allowanceOf, compare } from "./tolerance.ts";
import { printNumbers } from "./trace.ts";

/** One thing to check. */
export interface CheckCase {
  readonly kernel: Kernel;
  readonly variant: string;
  readonly dtype: "f32" | "f16";
  readonly flags: readonly string[];
  readonly numbers: Numbers;
  readonly params?: Readonly<Record<string, number>>;
  readonly seed: number;
  /** Name of the case it comes from. */
  readonly name: string;
}

export interface CheckResult {
  readonly id: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** Largest error as a multiple of the allowed one, and in ulps of the RMS. */
  readonly worst?: number;
  readonly ulps?: number;
}

/** Work above which a case is for benches only: its f64 reference would take seconds. */
const MAX_REFERENCE_FLOPS = 2e7;
/** Elements of all arguments above which comparing them would. */
const MAX_ELEMENTS = 3e5;

/** Every case × variant × dtype of a kernel, and sizes around each tile of each tiled dimension. */
export function listChecks(kernel: Kernel, options: { readonly seed?: number; readonly ragged?: boolean } = {}): CheckCase[] {
  const checks: CheckCase[] = [];
  const seed = options.seed ?? 1;
  for (const [variantName, variant] of Object.entries(kernel.variants))
    for (const dtype of kernel.dtypes)
      for (const [name, { numbers, flags = [] }] of Object.entries(kernel.cases)) {
        const full = completeNumbers(kernel, numbers);
        if (isForBenches(kernel, full, new Set(flags))) continue;
        checks.push({ kernel, variant: variantName, dtype, flags, numbers, seed, name });
        if (!options.ragged) continue;
        for (const [dim, constant] of Object.entries(variant.tiles ?? {})) {
          const problem = { kernel, numbers: full, flags: new Set(flags), dtype };
          const blueprint = blueprintOf(problem.kernel, variantName, dtype, flags);
          const tile = constantsOf(kernel, blueprint)(constant);
          for (const size of new Set([1, tile - 1, tile, tile + 1, 2 * tile + 3, 13])) {
            const changed = { ...numbers, [dim]: size };
            if (size < 1 || isForBenches(kernel, completeNumbers(kernel, changed), new Set(flags))) continue;
            checks.push({ kernel, variant: variantName, dtype, flags, numbers: changed, seed, name: `${name}, ${dim} = ${size}` });
          }
        }
      }
  return checks;
}

/**
 * The part of `checks` that needs few pipelines, which take seconds each on software adapters: every form of what the device
 * would choose and of `naive` in f32; of all else (f16, variants for other devices) the forms with the fewest and the most flags.
 * `cytonet check` runs them all.
 */
export function selectQuick(checks: readonly CheckCase[], traits: Traits): CheckCase[] {
  const forms = new Map<string, Set<string>>();
  const groupOf = ({ kernel, variant, dtype }: CheckCase) => `${kernel.name}.${variant} ${dtype}`;
  const formOf = ({ flags }: CheckCase) => [...flags].sort().join();
  const width = (form: string) => (form === "" ? 0 : form.split(",").length);
  for (const check of checks) forms.set(groupOf(check), (forms.get(groupOf(check)) ?? new Set()).add(formOf(check)));
  return checks.filter((check) => {
    const { kernel, variant, dtype, numbers } = check;
    if (dtype === "f32") {
      if (variant === "naive") return true;
      const flags = new Set(check.flags);
      if (chooseBlueprint({ kernel, numbers: completeNumbers(kernel, numbers), flags, dtype }, traits).variant === variant) return true;
    }
    const sorted = [...forms.get(groupOf(check))!].sort((x, y) => width(x) - width(y));
    return formOf(check) === sorted[0] || formOf(check) === sorted.at(-1);
  });
}

function isForBenches(kernel: Kernel, numbers: Numbers, flags: ReadonlySet<string>): boolean {
  const elements = activeArgs(kernel, flags).reduce((sum, { arg }) => sum + elementCount(arg, numbers), 0);
  return kernel.flops(numbers) > MAX_REFERENCE_FLOPS || elements > MAX_ELEMENTS;
}

function blueprintOf(kernel: Kernel, variant: string, dtype: "f32" | "f16", flags: readonly string[]): Blueprint {
  return { kernel: kernel.name, variant, dtype, flags: [...flags].sort(), constants: {} };
}

/** `matmul.naive f32 +bias m=1 n=1 k=1 seed=1`: what `cytonet check --only` takes to run exactly this again. */
export function checkId(check: CheckCase): string {
  const params = Object.entries(check.params ?? {}).map(([name, value]) => ` ${name}=${value}`).join("");
  return `${check.kernel.name}.${check.variant} ${check.dtype}${check.flags.map((f) => ` +${f}`).join("")}${params} ${printNumbers(check.numbers)} seed=${check.seed}`;
}

const PAD = 256;
const CANARY = 0xc0ffee11;
// A NaN that no arithmetic makes, in f32 and in both halves for f16.
const POISON = 0x7fcd7fcd;

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
function runReference(check: CheckCase, inputs: ReadonlyMap<string, Float64Array>, rounded: boolean): Map<string, Float64Array> {
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

/** Runs one check on the engine's device. Never throws for a wrong kernel; a lost device does throw. */
export async function runCheck(engine: Engine, check: CheckCase): Promise<CheckResult> {
  const id = checkId(check);
  const { kernel } = check;
  const numbers = completeNumbers(kernel, check.numbers);
  const flags = new Set(check.flags);
  const tried = tryVariant({ kernel, numbers, flags, dtype: check.dtype }, engine.device.traits, check.variant, check.params ?? {});
  if ("reason" in tried) return { id, status: "skipped", reason: tried.reason };
  const inputs = makeInputs(check);
  let got: Awaited<ReturnType<typeof runOnDevice>>;
  try {
    got = await runOnDevice(engine, check, tried.blueprint, numbers, inputs);
  } catch (cause) {
    engine.device.assertAlive(id);
    if (cause instanceof UserError) return { id, status: "failed", reason: [cause.message, ...cause.notes].join("; ") };
    throw cause;
  }
  if (got.complaints.length) return { id, status: "failed", reason: got.complaints.join("; ") };

  const truth = runReference(check, inputs, false);
  const yardstick = runReference(check, inputs, true);
  let worst = 0;
  let ulps = 0;
  for (const [name, expected] of truth) {
    const unwritten = expected.findIndex((x) => Number.isNaN(x));
    if (unwritten >= 0) return { id, status: "failed", reason: `the reference leaves ${name}[${unwritten}] unset` };
    const dtype = dtypeOf(kernel.args[name]!.dtype, check.dtype);
    const comparison = compare(got.outputs.get(name)!, expected, yardstick.get(name)!, dtype, allowanceOf(kernel.builtins));
    worst = Math.max(worst, comparison.worst);
    ulps = Math.max(ulps, comparison.ulps);
    if (!comparison.ok)
      return {
        id,
        status: "failed",
        worst,
        ulps,
        reason: `${name}[${comparison.index}] is ${comparison.got}, expected ${comparison.expected}: ${comparison.worst.toPrecision(3)} times the allowed error (${blueprintKey(tried.blueprint)})`,
      };
  }
  return { id, status: "passed", worst, ulps };
}

async function runOnDevice(engine: Engine, check: CheckCase, blueprint: Blueprint, numbers: Numbers, inputs: ReadonlyMap<string, Float64Array>) {
  const { device } = engine;
  const { kernel } = check;
  const { pipeline, layout } = await engine.pipelines.get(kernel, blueprint);
  const active = activeArgs(kernel, new Set(check.flags)).map(({ name, arg, binding }) => {
    const dtype = dtypeOf(arg.dtype, check.dtype);
    const count = elementCount(arg, numbers);
    const bytes = storageBytes(dtype, count);
    const image = new Uint32Array((PAD + bytes + PAD) / 4).fill(CANARY);
    const inside = image.subarray(PAD / 4, (PAD + bytes) / 4).fill(POISON);
    const value = inputs.get(name);
    if (value) {
      const host = toHostArray(dtype, value);
      new Uint8Array(inside.buffer, inside.byteOffset, inside.byteLength).set(new Uint8Array(host.buffer, host.byteOffset, host.byteLength));
    }
    return { name, arg, binding, dtype, count, bytes, image };
  });
  const made: GPUBuffer[] = [];
  const readback = createReadback(device, "check");
  try {
    const images = await device.guard(checkId(check), () => {
      const { storage, copySrc, copyDst, uniform: uniformUsage } = BUFFER_USAGE;
      const buffers = active.map(({ name, image }) => device.createBuffer("check", name, image.byteLength, storage | copySrc | copyDst));
      made.push(...buffers);
      const grid = variantOf(kernel, blueprint.variant).grid(numbers, constantsOf(kernel, blueprint), new Set(check.flags));
      const seconds = kernel.flops(numbers) / device.rates.flops;
      const pieces = cutGrid(grid, seconds, 65535);
      const runs = [0, 1].map(() => {
        active.forEach(({ image }, i) => device.gpu.queue.writeBuffer(buffers[i]!, 0, image));
        const encoder = device.gpu.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        for (const piece of pieces) {
          const uniform = device.createBuffer("check", "uniforms", uniformBytes(kernel), uniformUsage | copyDst);
          made.push(uniform);
          device.gpu.queue.writeBuffer(uniform, 0, packUniforms(kernel, numbers, piece.origin));
          const entries = active.map(({ binding, bytes }, i) => ({ binding, resource: { buffer: buffers[i]!, offset: PAD, size: bytes } }));
          pass.setBindGroup(0, device.gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: uniform } }, ...entries] }));
          pass.dispatchWorkgroups(...piece.size);
        }
        pass.end();
        device.gpu.queue.submit([encoder.finish()]);
        return readback.read(buffers.map((buffer, i) => ({ buffer, offset: 0, size: active[i]!.image.byteLength })));
      });
      return Promise.all(runs);
    });
    return inspect(active, images);
  } finally {
    readback.dispose();
    for (const buffer of made) device.destroyBuffer(buffer);
  }
}

interface ActiveArg {
  readonly name: string;
  readonly arg: Kernel["args"][string];
  readonly dtype: Dtype;
  readonly count: number;
  readonly bytes: number;
  readonly image: Uint32Array;
}

/** What the memory images of two runs tell: broken canaries, changed inputs, unwritten outputs, unequal repeats. */
function inspect(active: readonly ActiveArg[], images: readonly (readonly ArrayBuffer[])[]): { outputs: Map<string, Float64Array>; complaints: string[] } {
  const complaints: string[] = [];
  const outputs = new Map<string, Float64Array>();
  active.forEach(({ name, arg, dtype, count, bytes, image }, i) => {
    const [first, second] = images.map((run) => new Uint32Array(run[i]!));
    if (!first || !second) return;
    const end = (PAD + bytes) / 4;
    first.forEach((word, at) => {
      const outside = at < PAD / 4 || at >= end;
      if (outside && word !== CANARY && complaints.length < 4) complaints.push(`${name}: wrote ${at < PAD / 4 ? "before its start" : `${at - end} words past its end`}`);
    });
    if (arg.access === "read" && first.some((word, at) => word !== image[at])) complaints.push(`${name}: an input was changed`);
    const differs = first.findIndex((word, at) => word !== second[at]);
    if (differs >= 0) complaints.push(`${name}: two runs differ at word ${differs - PAD / 4}`);
    if (arg.access === "read") return;
    const data = hostArrayOf(dtype, first.slice(PAD / 4, end).buffer, count);
    const poison = hostArrayOf(dtype, Uint32Array.of(POISON).buffer, 1)[0]!;
    const bits = bytesOf(dtype) === 2 ? data : new Uint32Array(data.buffer);
    const unwritten = arg.access === "write" ? bits.findIndex((word) => word === (bytesOf(dtype) === 2 ? poison : POISON)) : -1;
    if (unwritten >= 0) complaints.push(`${name}[${unwritten}] was never written`);
    outputs.set(name, toNumbers(dtype, data));
  });
  return { outputs, complaints };
}

// A plan: a traced program with its memory laid out, its pipelines compiled and its bind groups made, ready to be replayed.
import { type Blueprint, type Problem, blueprintKey, chooseBlueprint, constantsOf, tryVariant, variantOf } from "../kernel/blueprint.ts";
import { activeArgs } from "../kernel/define.ts";
import { type Dtype, type HostArray, bytesOf, describeMismatch, hostArrayOf, storageBytes } from "../kernel/dtype.ts";
import { packUniforms, uniformBytes } from "../kernel/layout.ts";
import type { TuningTable } from "../kernel/tuning.ts";
import { cutGrid } from "./cut.ts";
import type { DebugSwitch } from "./debug.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { identifyDevice, type Device } from "./device.ts";
import { DeviceError, ShapeError, Unavailable, formatBytes } from "./errors.ts";
import { layOut, type MemoryLayout } from "./layout.ts";
import { addToPanel } from "./panel.ts";
import { optimise, describeNode, type PassReport } from "./passes.ts";
import type { Pipelines } from "./pipelines.ts";
import { createReadback } from "./readback.ts";
import { describeSubmit, groupSubmits, replay, type BufferRange, type Flight, type Step } from "./replay.ts";
import { runScanning } from "./scan.ts";
import { printTiming, recordTimeline, timingsOf, type HostSpan, type Timeline, type Timing } from "./timing.ts";
import { accessesOf, bytesMoved, flopsOf, type Dispatch, type Program, type Storage, type Tensor } from "./trace.ts";

/** Shape and element type of a plan's input. */
export interface InputSpec {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export interface PlanStatistics {
  readonly dispatches: number;
  readonly submits: number;
  readonly pipelines: number;
  /** Dispatches whose blueprint comes from a tuning table, and from a resumed run. */
  readonly tuned: number;
  readonly pinned: number;
  readonly flops: number;
  readonly bytesMoved: number;
  readonly memory: Pick<MemoryLayout, "tensorBytes" | "arenaBytes">;
  /** Bytes of every buffer that the plan itself made, by its own reckoning. */
  readonly ownBytes: number;
  readonly reports: readonly PassReport[];
}

/** A recorded program. Each run uploads the inputs, replays the dispatches and reads the outputs back. */
export interface Plan {
  readonly statistics: PlanStatistics;
  readonly program: Program;
  readonly blueprints: readonly Blueprint[];
  /** Host arrays of every output, in the dtype's own form. Runs may overlap; they happen in order. */
  run(inputs: Readonly<Record<string, HostArray>>): Promise<Record<string, HostArray>>;
  /** Time of each dispatch in one run: by the device's clock where it has one, else dispatch by dispatch from the host. */
  time(inputs: Readonly<Record<string, HostArray>>): Promise<Timing[]>;
  /** Begin and end of each command in one run, and what the host did meanwhile. It takes longer than a run: every command is stamped. */
  timeline(inputs: Readonly<Record<string, HostArray>>): Promise<Timeline>;
  /** Passes, memory and dispatches as text. */
  describe(): string;
  /** Gives the plan's memory back; the plan cannot run afterwards. */
  dispose(): void;
}

export interface PlanContext {
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly debug: ReadonlySet<DebugSwitch>;
  readonly log: (line: string) => void;
  /** Blueprints to use instead of the kernel's own choice, by the key of the problem. */
  readonly pinned?: ReadonlyMap<string, Blueprint>;
  /** What was measured to be fastest on this device: where nothing is pinned, instead of the kernel's own choice. */
  readonly tuning?: TuningTable;
}

/** Identifies a problem across runs: what a checkpoint pins a blueprint to. */
export function problemKey(node: Dispatch): string {
  return describeNode({ ...node, path: node.kernel.name });
}

/** The pinned blueprint, where this device would run it as it is: one made for another subgroup width would compute nonsense here. */
function findPinned({ pinned, device }: PlanContext, node: Dispatch): Blueprint | undefined {
  const blueprint = pinned?.get(problemKey(node));
  if (!blueprint || !node.kernel.variants[blueprint.variant]) return undefined;
  const tried = tryVariant(node, device.traits, blueprint.variant, blueprint.constants);
  return "blueprint" in tried && blueprintKey(tried.blueprint) === blueprintKey(blueprint) ? blueprint : undefined;
}

/** The tuned blueprint, where an entry for this very kernel, device, type, flags and sizes says so, and it can run. */
export function findTuned(tuning: TuningTable | undefined, device: Device, node: Problem): Blueprint | undefined {
  const entry = tuning?.find(node, identifyDevice(device.fingerprint));
  // Where nothing was faster the kernel goes on choosing: it knows the sizes, of which an entry has a bucketful.
  if (!entry || entry.ratio >= 1) return undefined;
  const { choice } = entry;
  const variant = node.kernel.variants[choice.variant];
  if (!variant) return undefined;
  const params = Object.entries(choice.params ?? {});
  if (params.some(([name, value]) => !variant.params?.[name]?.includes(value))) return undefined;
  const tried = tryVariant(node, device.traits, choice.variant, choice.params ?? {});
  return "blueprint" in tried ? tried.blueprint : undefined;
}

/** Builds a plan from a traced program. `inputs` are the storages that a run fills. */
export async function buildPlan(context: PlanContext, label: string, traced: Program, inputs: ReadonlyMap<string, Tensor>): Promise<Plan> {
  const { device, pipelines, debug, log } = context;
  const { program, reports } = optimise(traced);
  const limits = device.fingerprint.limits;
  const layout = layOut(program, { alignment: 256, maxBuffer: limits["maxBufferSize"] ?? 0, maxBinding: limits["maxStorageBufferBindingSize"] ?? 0 });

  const origin = { pinned: 0, tuned: 0 };
  const chosen = program.nodes.map((node) => {
    if (node.kind !== "dispatch") return undefined;
    const pinned = findPinned(context, node);
    const tuned = pinned ? undefined : findTuned(context.tuning, device, node);
    if (pinned) origin.pinned++;
    if (tuned) origin.tuned++;
    return pinned ?? tuned ?? chooseBlueprint(node, device.traits);
  });
  const compiled = await Promise.all(program.nodes.map((node, i) => (node.kind === "dispatch" ? pipelines.get(node.kernel, chosen[i]!) : undefined)));

  const own: GPUBuffer[] = [];
  let ownBytes = 0;
  const make = (purpose: Parameters<Device["createBuffer"]>[0], name: string, bytes: number, usage: number) => {
    const buffer = device.createBuffer(purpose, `plan ${label}: ${name}`, bytes, usage);
    own.push(buffer);
    ownBytes += bytes;
    return buffer;
  };
  const storageUsage = BUFFER_USAGE.storage | BUFFER_USAGE.copySrc | BUFFER_USAGE.copyDst;

  const built = await device.guard(`plan ${label}`, () => {
    const arenas = layout.arenas.map((bytes, i) => make("activations", `arena ${i}`, bytes, storageUsage));
    const held = new Map<Storage, GPUBuffer>();
    const constants = [...program.nodes.flatMap((node) => accessesOf(node).reads), ...program.outputs.values()];
    for (const [name, tensor] of inputs) held.set(tensor.storage, make("inputs", `input ${name}`, storageBytes(tensor.dtype, tensor.storage.count), storageUsage));
    for (const storage of constants)
      if (storage.kind === "constant" && !held.has(storage) && storage.data) {
        const buffer = make("constants", storage.name, storageBytes(storage.dtype, storage.count), storageUsage);
        writeBuffer(device, buffer, 0, storage.data);
        held.set(storage, buffer);
      }
    const rangeOf = (storage: Storage): BufferRange => {
      const size = storageBytes(storage.dtype, storage.count);
      const most = limits["maxStorageBufferBindingSize"] ?? 0;
      if (size > most) throw new Unavailable(`plan ${label}: ${storage.name} takes ${formatBytes(size)}, the device binds at most ${formatBytes(most)}`, ["Use a smaller batch, a smaller patch or a smaller preset."]);
      if (storage.state) return { buffer: storage.state.buffer.buffer, offset: storage.state.offset * bytesOf(storage.dtype), size };
      const slot = layout.slots.get(storage);
      const buffer = slot ? arenas[slot.arena] : held.get(storage);
      if (!buffer) throw new DeviceError(`plan ${label}: ${storage.name} is read before anything writes it`);
      return { buffer, offset: slot?.offset ?? 0, size };
    };

    // One uniform buffer for all dispatches: a slot of 256 bytes for each piece of each grid.
    const cuts = program.nodes.map((node, i) => {
      if (node.kind !== "dispatch") return [];
      const blueprint = chosen[i]!;
      const grid = variantOf(node.kernel, blueprint.variant).grid(node.numbers, constantsOf(node.kernel, blueprint), node.flags);
      const seconds = Math.max(flopsOf(node) / device.rates.flops, bytesMoved(node) / device.rates.bytes);
      return cutGrid(grid, seconds, 65535);
    });
    const slots = cuts.reduce((sum, pieces) => sum + pieces.length, 0);
    const uniforms = make("uniforms", "uniforms", Math.max(1, slots) * 256, BUFFER_USAGE.uniform | BUFFER_USAGE.copyDst);
    const packed = new Uint8Array(Math.max(1, slots) * 256);
    let slot = 0;
    const steps: Step[] = program.nodes.map((node, i) => {
      if (node.kind === "copy") return { kind: "copy", node, from: rangeOf(node.from), to: rangeOf(node.to) };
      const pipeline = compiled[i]!;
      const entries = activeArgs(node.kernel, node.flags).map(({ name, binding }) => ({ binding, resource: rangeOf(node.bindings[name]!) }));
      const pieces = (cuts[i] ?? []).map((piece) => {
        const offset = 256 * slot++;
        packed.set(new Uint8Array(packUniforms(node.kernel, node.numbers, piece.origin)), offset);
        const bindGroup = device.gpu.createBindGroup({
          label: node.path,
          layout: pipeline.layout,
          entries: [{ binding: 0, resource: { buffer: uniforms, offset, size: uniformBytes(node.kernel) } }, ...entries],
        });
        return { bindGroup, size: piece.size, seconds: piece.seconds };
      });
      return { kind: "dispatch", node, blueprint: chosen[i]!, pipeline: pipeline.pipeline, pieces };
    });
    device.gpu.queue.writeBuffer(uniforms, 0, packed);
    const outputs = new Map([...program.outputs].map(([name, storage]) => [name, { storage, range: rangeOf(storage) }] as const));
    return { steps, outputs, rangeOf, held };
  }).catch((cause: unknown) => {
    for (const buffer of own) device.destroyBuffer(buffer);
    throw cause;
  });

  const readback = createReadback(device, label);
  const submits = groupSubmits(built.steps);
  const statistics: PlanStatistics = {
    dispatches: built.steps.reduce((sum, step) => sum + (step.kind === "dispatch" ? step.pieces.length : 1), 0),
    submits: submits.length,
    pipelines: new Set(chosen.filter((b) => b !== undefined).map(blueprintKey)).size,
    ...origin,
    flops: program.nodes.reduce((sum, node) => sum + flopsOf(node), 0),
    bytesMoved: program.nodes.reduce((sum, node) => sum + bytesMoved(node), 0),
    memory: { tensorBytes: layout.tensorBytes, arenaBytes: layout.arenaBytes },
    ownBytes,
    reports,
  };
  let disposed = false;

  const upload = (values: Readonly<Record<string, HostArray>>) => {
    if (disposed) throw new DeviceError(`plan ${label}: it has been disposed`);
    for (const name of Object.keys(values)) if (!inputs.has(name)) throw new ShapeError(`plan ${label}`, `no input ${name}; there are ${[...inputs.keys()].join(", ")}`);
    for (const [name, tensor] of inputs) {
      const data = values[name];
      const buffer = built.held.get(tensor.storage);
      if (!data || !buffer) throw new ShapeError(`plan ${label}`, `input ${name} is missing`);
      const mismatch = describeMismatch(tensor.dtype, tensor.storage.count, data);
      if (mismatch) throw new ShapeError(`plan ${label}`, `input ${name} ${tensor.dtype}[${tensor.shape.join(", ")}] gets ${mismatch}`);
      writeBuffer(device, buffer, 0, data);
    }
  };

  const collect = (read: Promise<ArrayBuffer[]>) =>
    read.then((parts) => Object.fromEntries([...built.outputs].map(([name, { storage }], i) => [name, hostArrayOf(storage.dtype, parts[i]!, storage.count)])));

  const stepping = debug.has("nan") || debug.has("dispatch") || debug.has("time");
  let turn: Promise<unknown> = Promise.resolve();
  /** Runs step by step; runs that overlap wait for each other, because each looks at the memory that all share. */
  const runInSteps = (values: Readonly<Record<string, HostArray>>) => {
    const mine = turn.then(async () => {
      upload(values);
      if (debug.has("time")) {
        const timeline = await recordTimeline(device, label, built.steps);
        timingsOf(built.steps, timeline).forEach((timing) => log(printTiming(timing)));
        addToPanel(timeline, label);
      } else await runScanning(device, label, built.steps, built.rangeOf, debug.has("nan"));
      return collect(device.guard(`plan ${label}`, () => readback.read(outputRanges)));
    });
    turn = mine.catch(() => {});
    return mine;
  };
  const outputRanges = [...built.outputs.values()].map(({ range }) => range);

  const plan: Plan = {
    statistics,
    program,
    blueprints: chosen.filter((b) => b !== undefined),
    async run(values) {
      if (stepping) return runInSteps(values);
      upload(values);
      // What fails on the device fails somewhere in a submit: its dispatches are as near as an error can point.
      let flight: Flight = { done: 0 };
      return collect(
        device.guard(
          () => `plan ${label}${describeSubmit(submits[flight.done])}`,
          () => {
            flight = replay(device, label, submits);
            return readback.read(outputRanges);
          },
        ),
      );
    },
    async time(values) {
      upload(values);
      return timingsOf(built.steps, await recordTimeline(device, label, built.steps));
    },
    async timeline(values) {
      const began = performance.now();
      upload(values);
      const uploaded: HostSpan = { name: "upload", begin: began, end: performance.now() };
      const timeline = await recordTimeline(device, label, built.steps);
      return { ...timeline, host: [uploaded, ...timeline.host] };
    },
    describe: () => describe(label, statistics, layout, built.steps),
    dispose() {
      disposed = true;
      readback.dispose();
      for (const buffer of own) device.destroyBuffer(buffer);
      own.length = 0;
    },
  };
  if (debug.has("shapes")) log(plan.describe());
  if (debug.has("alloc")) log(printLedger(label, device, ownBytes));
  return plan;
}

function writeBuffer(device: Device, buffer: GPUBuffer, offset: number, data: HostArray): void {
  // Writes go in whole words; an odd number of f16 values gets one more.
  const whole = data.byteLength % 4 === 0 ? data : new Uint16Array(data.length + 1);
  if (whole !== data) whole.set(data);
  device.gpu.queue.writeBuffer(buffer, offset, whole.buffer as ArrayBuffer, whole.byteOffset, whole.byteLength);
}

function printLedger(label: string, device: Device, ownBytes: number): string {
  const { live, total, peak, buffers } = device.ledger();
  const parts = Object.entries(live).filter(([, bytes]) => bytes > 0).map(([purpose, bytes]) => `${purpose} ${formatBytes(bytes)}`);
  return `plan ${label}: ${formatBytes(ownBytes)} of its own; device: ${formatBytes(total)} in ${buffers} buffers (${parts.join(", ")}), at most ${formatBytes(peak)}`;
}

function describe(label: string, s: PlanStatistics, layout: MemoryLayout, steps: readonly Step[]): string {
  const lines = [`plan ${label}: ${s.dispatches} dispatches, ${s.pipelines} pipelines, ${(s.flops / 1e9).toFixed(3)} GFLOP, ${formatBytes(s.bytesMoved)} moved; ${s.tuned} dispatches tuned, ${s.pinned} pinned`];
  for (const report of s.reports) {
    lines.push(`  ${report.pass}: ${report.before} → ${report.after} operations, saves ${(report.savedFlops / 1e6).toFixed(3)} MFLOP and ${formatBytes(report.savedBytes)}`);
    for (const change of report.changes) lines.push(`    ${change}`);
  }
  const share = s.memory.tensorBytes ? ((100 * s.memory.arenaBytes) / s.memory.tensorBytes).toFixed(1) : "0";
  lines.push(`  memory: ${formatBytes(s.memory.arenaBytes)} in ${layout.arenas.length} arenas for ${formatBytes(s.memory.tensorBytes)} of tensors (${share} %)`);
  for (const step of steps) lines.push(`  ${step.kind === "dispatch" ? `${blueprintKey(step.blueprint)} × ${step.pieces.length}  ` : ""}${describeNode(step.node)}`);
  return lines.join("\n");
}

// A plan: a traced program with its memory laid out, its pipelines compiled and its bind groups made, ready to be replayed.
import type { Blueprint } from "../kernel/blueprint.ts";
import { activeArgs } from "../kernel/define.ts";
import { type Dtype, type HostArray, bytesOf, describeMismatch, hostArrayOf, storageBytes } from "../kernel/dtype.ts";
import { packUniforms, uniformBytes } from "../kernel/layout.ts";
import type { DebugSwitch } from "./debug.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { Device } from "./device.ts";
import { DeviceError, ShapeError, formatBytes } from "./errors.ts";
import { addToPanel } from "./panel.ts";
import type { Pipelines } from "./pipelines.ts";
import { describePlan, preparePlan, summarise, uniformsOf, type PlanStatistics, type PrepareContext } from "./prepare.ts";
import { createReadback } from "./readback.ts";
import { describeSubmit, groupSubmits, replay, SUBMITS_BETWEEN_LOOKS, type BufferRange, type Flight, type Step } from "./replay.ts";
import { runScanning } from "./scan.ts";
import { printTiming, recordTimeline, timingsOf, type HostSpan, type Timeline, type Timing } from "./timing.ts";
import { accessesOf, type Program, type StateBuffer, type Storage, type Tensor } from "./trace.ts";

export { findTuned, problemKey, type PlanStatistics } from "./prepare.ts";

/** Shape and element type of a plan's input. */
export interface InputSpec {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

/** A buffer of intermediates. */
export interface Arena {
  readonly bytes: number;
  readonly buffer: GPUBuffer;
}

/** A recorded program. Each run uploads the inputs, replays the dispatches and reads the outputs back. */
export interface Plan {
  readonly statistics: PlanStatistics;
  readonly program: Program;
  readonly blueprints: readonly Blueprint[];
  /** Where its intermediates lie, borrowed ones included. */
  readonly arenas: readonly Arena[];
  /**
   * Host arrays of every output, in the dtype's own form. Runs may overlap; they happen in order.
   * @param signal where it is aborted before the run has come to write state that is not `scratch`, the run ends there and throws its reason; it must not
   *   overlap other runs
   */
  run(inputs: Readonly<Record<string, HostArray>>, signal?: Pick<AbortSignal, "throwIfAborted">): Promise<Record<string, HostArray>>;
  /** Time of each dispatch in one run: by the device's clock where it has one, else dispatch by dispatch from the host. */
  time(inputs: Readonly<Record<string, HostArray>>): Promise<Timing[]>;
  /** Begin and end of each command in one run, and what the host did meanwhile. It takes longer than a run: every command is stamped. */
  timeline(inputs: Readonly<Record<string, HostArray>>): Promise<Timeline>;
  /** Passes, memory and dispatches as text. */
  describe(): string;
  /** Gives the plan's memory back; the plan cannot run afterwards. */
  dispose(): void;
}

export interface PlanContext extends PrepareContext {
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly debug: ReadonlySet<DebugSwitch>;
  readonly log: (line: string) => void;
  readonly lent?: readonly Arena[];
  readonly scratch?: ReadonlySet<StateBuffer>;
}

/** Builds a plan from a traced program. `inputs` are the storages that a run fills. */
export async function buildPlan(context: PlanContext, label: string, traced: Program, inputs: ReadonlyMap<string, Tensor>): Promise<Plan> {
  const { device, pipelines, debug, log } = context;
  const { lent = [] } = context;
  const prepared = preparePlan({ ...context, borrowed: lent.map(({ bytes }) => bytes) }, label, traced, inputs);
  const { program, layout, blueprints: chosen, cuts } = prepared;
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
    const arenas = layout.arenas.map((bytes, i): Arena => lent[prepared.borrows[i] ?? -1] ?? { bytes, buffer: make("activations", `arena ${i}`, bytes, storageUsage) });
    const held = new Map<Storage, GPUBuffer>();
    const constants = [...program.nodes.flatMap((node) => accessesOf(node).reads.map((storage) => storage.within?.whole ?? storage)), ...program.outputs.values()];
    for (const [name, tensor] of inputs) held.set(tensor.storage, make("inputs", `input ${name}`, storageBytes(tensor.dtype, tensor.storage.count), storageUsage));
    for (const storage of constants)
      if (storage.kind === "constant" && !held.has(storage) && storage.data) {
        const buffer = make("constants", storage.name, storageBytes(storage.dtype, storage.count), storageUsage);
        writeBuffer(device, buffer, 0, storage.data);
        held.set(storage, buffer);
      }
    const rangeOf = (storage: Storage): BufferRange => {
      const size = storageBytes(storage.dtype, storage.count);
      if (storage.within) {
        const { buffer, offset } = rangeOf(storage.within.whole);
        return { buffer, offset: offset + storage.within.first * bytesOf(storage.dtype), size };
      }
      if (storage.state) return { buffer: storage.state.buffer.buffer, offset: storage.state.offset * bytesOf(storage.dtype), size };
      const slot = layout.slots.get(storage);
      const buffer = slot ? arenas[slot.arena]?.buffer : held.get(storage);
      if (!buffer) throw new DeviceError(`plan ${label}: ${storage.name} is read before anything writes it`);
      return { buffer, offset: slot?.offset ?? 0, size };
    };

    // One uniform buffer for all dispatches: a slot of 256 bytes for each piece of each grid.
    const slots = cuts.reduce((sum, pieces) => sum + pieces.length, 0);
    const uniforms = make("uniforms", "uniforms", uniformsOf(slots), BUFFER_USAGE.uniform | BUFFER_USAGE.copyDst);
    const packed = new Uint8Array(uniformsOf(slots));
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
    return { steps, outputs, rangeOf, held, arenas };
  }).catch((cause: unknown) => {
    for (const buffer of own) device.destroyBuffer(buffer);
    throw cause;
  });

  const readback = createReadback(device, label);
  const submits = groupSubmits(built.steps);
  const settles = submits.findIndex((commands) => commands.some(({ step }) => accessesOf(step.node).writes.some(({ state }) => state && !context.scratch?.has(state.buffer))));
  /** Submits before the first one that writes what a run that is stopped must leave. */
  const harmless = settles < 0 ? submits.length : settles;
  const statistics: PlanStatistics = { ...summarise(prepared), submits: submits.length, ownBytes };
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
    arenas: built.arenas,
    async run(values, signal) {
      signal?.throwIfAborted();
      if (stepping) return runInSteps(values);
      upload(values);
      const handOver = <T>(from: number, to: number, then: () => Promise<T>) => {
        // What fails on the device fails somewhere in a submit: its dispatches are as near as an error can point.
        let flight: Flight = { done: 0 };
        return device.guard(
          () => `plan ${label}${describeSubmit(submits[from + flight.done])}`,
          () => {
            flight = replay(device, label, submits.slice(from, to));
            return then();
          },
        );
      };
      let from = 0;
      let before: Promise<unknown> = Promise.resolve();
      while (signal && from < harmless && from + SUBMITS_BETWEEN_LOOKS < submits.length) {
        const under = handOver(from, (from += SUBMITS_BETWEEN_LOOKS), () => device.gpu.queue.onSubmittedWorkDone());
        under.catch(() => undefined); // reported when it is awaited
        await before;
        before = under;
        if (from < harmless) signal.throwIfAborted();
      }
      const read = collect(handOver(from, submits.length, () => readback.read(outputRanges)));
      return (await Promise.all([read, before]))[0];
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
    describe: () => describePlan(label, statistics, prepared),
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

// The engine: one device with its pipelines, its state and its plans. It knows no kernel by name.
import type { AdapterHandle } from "../host/adapter.ts";
import type { Blueprint } from "../kernel/blueprint.ts";
import { type Dtype, type HostArray, bytesOf, describeMismatch, hostArrayOf, storageBytes } from "../kernel/dtype.ts";
import type { TuningTable } from "../kernel/tuning.ts";
import type { DebugSwitch } from "./debug.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { checkShape, declareGroup, declareInputs, stateOf, traceProgram, viewState } from "./declare.ts";
import { openDevice, type Device } from "./device.ts";
import { ShapeError } from "./errors.ts";
import { buildPlan, type InputSpec, type Plan } from "./plan.ts";
import { createPipelines, type Pipelines } from "./pipelines.ts";
import { createReadback } from "./readback.ts";
import { sizeOf, type StateBuffer, type Tensor } from "./trace.ts";

export interface EngineOptions {
  readonly debug?: ReadonlySet<DebugSwitch>;
  /** Receives lines of debug output. */
  readonly log?: (line: string) => void;
  /** Blueprints that were measured to be fastest, for plans to take; without it kernels choose by the device's traits. */
  readonly tuning?: TuningTable;
}

export interface PlanOptions {
  /** For messages, which begin `plan LABEL:`, and for what profilers show. */
  readonly label?: string;
  /** Blueprints to use instead of the kernels' own choice, by `problemKey`: a resumed run takes those it began with. */
  readonly pinned?: ReadonlyMap<string, Blueprint>;
  /**
   * Bytes that the plan's buffers may take. Where they would take more, results are dropped and computed again when they are needed, to
   * the same bits; where that does not suffice, `plan` throws OverBudget, which says what would. No limit unless given.
   */
  readonly memory?: number;
  /** Bytes that one binding may hold, where that is less than the device's own limit: larger tensors are worked on in windows. */
  readonly binding?: number;
  /**
   * A plan whose intermediates may lie where this one's do: one of the two runs after the other, and neither keeps anything there. It must
   * not be disposed while this one runs.
   */
  readonly borrow?: Plan;
  /** State that a run which is stopped may leave half-written. All other state it leaves as it was: where it has come to write that, it goes to its end. */
  readonly scratch?: readonly Tensor[];
}

export interface Engine {
  readonly device: Device;
  readonly pipelines: Pipelines;
  /** Blueprints that were measured to be fastest, for plans to take. */
  readonly tuning?: TuningTable;
  /** Persistent memory, zeros unless data is given. */
  state(name: string, shape: readonly number[], dtype?: Dtype, data?: HostArray): Tensor;
  /** Several tensors in one buffer, each at a 256-byte boundary with zeros between; the whole comes as one flat tensor. */
  stateGroup(name: string, members: readonly { readonly name: string; readonly shape: readonly number[] }[], dtype?: Dtype): { flat: Tensor; members: Tensor[] };
  /** Contents of a state tensor. */
  read(tensor: Tensor): Promise<HostArray>;
  /** Overwrites a state tensor. What a function gives is only asked for where there is memory to write to. */
  write(tensor: Tensor, data: HostArray | (() => HostArray)): void;
  /** Gives the memory of a state tensor, and of all that share its buffer, back. */
  free(tensor: Tensor): void;
  /**
   * Traces `build` once and returns the plan that replays it. `build` gets symbolic tensors for `inputs` and returns
   * the tensors to read back.
   */
  plan<I extends Readonly<Record<string, InputSpec>>, O extends Readonly<Record<string, Tensor>>>(
    build: (inputs: { readonly [K in keyof I]: Tensor }) => O,
    inputs: I,
    options?: PlanOptions,
  ): Promise<Plan>;
  /** Destroys the device and everything on it. */
  dispose(): void;
}

/** Input of 32-bit floats: `f32(64, 128)` is a matrix, `f32()` one number. Throws ShapeError where an extent is no whole number from 1. */
export const f32 = (...shape: number[]): InputSpec => inputOf("f32", shape);
/** Input of unsigned integers, such as labels. Errors as `f32`. */
export const u32 = (...shape: number[]): InputSpec => inputOf("u32", shape);
/** Input of signed integers, such as the spaces of `spatialNce`. Errors as `f32`. */
export const i32 = (...shape: number[]): InputSpec => inputOf("i32", shape);

function inputOf(dtype: Dtype, shape: readonly number[]): InputSpec {
  checkShape(dtype, shape);
  return { shape, dtype };
}

export async function createEngine(handle: AdapterHandle, options: EngineOptions = {}): Promise<Engine> {
  const log = options.log ?? (() => {});
  const debug = options.debug ?? new Set<DebugSwitch>();
  const device = await openDevice(handle, log);
  const pipelines = createPipelines(device, debug.has("wgsl") ? (key, code) => log(`// ${key}\n${code}`) : undefined);
  const readback = createReadback(device, "read");
  const usage = BUFFER_USAGE.storage | BUFFER_USAGE.copySrc | BUFFER_USAGE.copyDst;

  const makeState = (name: string, dtype: Dtype, count: number): StateBuffer => ({
    name,
    dtype,
    count,
    buffer: device.createBuffer("state", `state ${name}`, storageBytes(dtype, count), usage),
  });

  const engine: Engine = {
    device,
    pipelines,
    ...(options.tuning ? { tuning: options.tuning } : {}),
    state(name, shape, dtype = "f32", data) {
      checkShape(`state ${name}`, shape);
      const tensor = viewState(makeState(name, dtype, sizeOf(shape)), name, 0, shape);
      if (data) engine.write(tensor, data);
      return tensor;
    },
    stateGroup: (name, members, dtype = "f32") => declareGroup(name, members, dtype, makeState),
    async read(tensor) {
      const { buffer, offset } = stateOf(tensor);
      const { count, dtype } = tensor.storage;
      const range = { buffer: buffer.buffer, offset: offset * bytesOf(dtype), size: storageBytes(dtype, count) };
      const [bytes] = await device.guard(`read ${tensor.storage.name}`, () => readback.read([range]));
      return hostArrayOf(dtype, bytes!, count);
    },
    write(tensor, given) {
      const data = typeof given === "function" ? given() : given;
      const { buffer, offset } = stateOf(tensor);
      const { count, dtype, name } = tensor.storage;
      const mismatch = describeMismatch(dtype, count, data);
      if (mismatch) throw new ShapeError("engine.write", `${name} [${tensor.shape.join(", ")}] gets ${mismatch}`);
      if (data.byteLength % 4 !== 0) throw new ShapeError("engine.write", `${name} has an odd number of 2-byte elements; write it as a whole number of words`);
      device.gpu.queue.writeBuffer(buffer.buffer, offset * bytesOf(dtype), data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    },
    free(tensor) {
      device.destroyBuffer(stateOf(tensor).buffer.buffer);
    },
    async plan(build, inputs, planOptions = {}) {
      const tensors = declareInputs(inputs);
      const program = traceProgram(build, tensors);
      const { pinned, memory, binding, borrow, scratch = [] } = planOptions;
      const context = { device, pipelines, debug, log, ...(options.tuning ? { tuning: options.tuning } : {}), ...(pinned ? { pinned } : {}), ...(memory === undefined ? {} : { memory }), ...(binding === undefined ? {} : { binding }), ...(borrow ? { lent: borrow.arenas } : {}), scratch: new Set(scratch.map((tensor) => stateOf(tensor).buffer)) };
      return buildPlan(context, planOptions.label ?? "without a label", program, tensors);
    },
    dispose() {
      readback.dispose();
      device.dispose();
    },
  };
  return engine;
}

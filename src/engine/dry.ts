// An engine that only plans: it declares, traces and lays out as its device's own would, and counts what that would take, but makes no buffer and runs nothing.
import { storageBytes } from "../kernel/dtype.ts";
import { checkShape, declareGroup, declareInputs, stateOf, traceProgram, viewState } from "./declare.ts";
import type { Device, Purpose } from "./device.ts";
import type { Engine } from "./engine.ts";
import { DeviceError } from "./errors.ts";
import type { Plan } from "./plan.ts";
import { describePlan, preparePlan, summarise, type Prepared } from "./prepare.ts";
import { sizeOf, type StateBuffer } from "./trace.ts";

/** A state that was declared and not freed. */
export interface DryState {
  readonly name: string;
  readonly bytes: number;
}

/** What an engine would hold. */
export interface DryEngine extends Engine {
  /** In the order in which they were declared. */
  readonly states: readonly DryState[];
  /** Plans that were built and not disposed, in order. */
  readonly plans: readonly { readonly label: string; readonly prepared: Prepared }[];
}

/**
 * Stands in for `engine` where only the size of things matters: its `device.ledger()` counts what the real one's would hold after one run
 * of each plan, by the same reckoning. Whatever needs values (`read`, a plan's `run`) throws a DeviceError; writes are dropped.
 */
export function createDryEngine(engine: Pick<Engine, "device" | "pipelines" | "tuning">): DryEngine {
  const { tuning } = engine;
  const states = new Map<StateBuffer, DryState>();
  const plans = new Set<{ label: string; prepared: Prepared }>();
  const refuse = (what: string): never => {
    throw new DeviceError(`${what}: this engine only plans`);
  };
  const makeState = (name: string, dtype: StateBuffer["dtype"], count: number): StateBuffer => {
    const buffer: StateBuffer = { name, dtype, count, get buffer() { return refuse(`state ${name}`); } };
    states.set(buffer, { name, bytes: storageBytes(dtype, count) });
    return buffer;
  };
  let peak = 0;
  const count = () => {
    const live: Partial<Record<Purpose, number>> = {};
    const add = (purpose: Purpose, bytes: number) => (live[purpose] = (live[purpose] ?? 0) + bytes);
    for (const { bytes } of states.values()) add("state", bytes);
    for (const { prepared } of plans) for (const [purpose, bytes] of Object.entries(prepared.bytes)) add(purpose as Purpose, bytes);
    const total = Object.values(live).reduce((sum, bytes) => sum + bytes, 0);
    peak = Math.max(peak, total);
    return { live, total, peak, buffers: 0 };
  };
  const device: Device = { ...engine.device, ledger: count, createBuffer: (_, label) => refuse(label) };
  return {
    device,
    pipelines: engine.pipelines,
    ...(tuning ? { tuning } : {}),
    get states() {
      return [...states.values()];
    },
    get plans() {
      return [...plans];
    },
    state(name, shape, dtype = "f32") {
      checkShape(`state ${name}`, shape);
      return viewState(makeState(name, dtype, sizeOf(shape)), name, 0, shape);
    },
    stateGroup: (name, members, dtype = "f32") => declareGroup(name, members, dtype, makeState),
    read: (tensor) => refuse(`read ${tensor.storage.name}`),
    write: (tensor) => void stateOf(tensor),
    free: (tensor) => void states.delete(stateOf(tensor).buffer),
    async plan(build, inputs, options = {}): Promise<Plan> {
      const tensors = declareInputs(inputs);
      const { label = "without a label", pinned, memory, binding, borrow } = options;
      const context = { device, ...(tuning ? { tuning } : {}), ...(pinned ? { pinned } : {}), ...(memory === undefined ? {} : { memory }), ...(binding === undefined ? {} : { binding }), ...(borrow ? { borrowed: borrow.arenas.map(({ bytes }) => bytes) } : {}) };
      const prepared = preparePlan(context, label, traceProgram(build, tensors), tensors);
      const entry = { label, prepared };
      plans.add(entry);
      const { readback, ...own } = prepared.bytes;
      const statistics = { ...summarise(prepared), submits: 0, ownBytes: Object.values(own).reduce((sum, bytes) => sum + bytes, 0) };
      const never = async () => refuse(`plan ${label}`);
      return {
        statistics,
        program: prepared.program,
        blueprints: prepared.blueprints.filter((blueprint) => blueprint !== undefined),
        arenas: prepared.layout.arenas.map((bytes, i) => ({ bytes: borrow?.arenas[prepared.borrows[i] ?? -1]?.bytes ?? bytes, get buffer() { return refuse(`plan ${label}`); } })),
        run: never,
        time: never,
        timeline: never,
        describe: () => describePlan(label, statistics, prepared),
        dispose: () => void plans.delete(entry),
      };
    },
    dispose() {
      states.clear();
      plans.clear();
    },
  };
}

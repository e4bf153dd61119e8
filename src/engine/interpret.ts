// Interpreting a program on the host with the kernels' references, in f64 or rounded: the truth that devices are held against.
import { activeArgs } from "../kernel/define.ts";
import { toNumbers } from "../kernel/dtype.ts";
import { rounderOf } from "../kernel/dtype.ts";
import type { Program, StateBuffer, Storage } from "./trace.ts";

export interface InterpretOptions {
  /** Values of the inputs by name of storage. */
  readonly inputs: ReadonlyMap<Storage, ArrayLike<number>>;
  /** Initial contents of each state buffer; changed in place by `update` arguments and placements. */
  readonly state?: (buffer: StateBuffer) => Float64Array;
  /** `exact` computes in f64. `rounded` rounds every operation to f32 and every stored element to its dtype. */
  readonly arithmetic?: "exact" | "rounded";
}

/** Runs every node's reference in order; returns the outputs by name. */
export function interpret(program: Program, options: InterpretOptions): Map<string, Float64Array> {
  const rounded = options.arithmetic === "rounded";
  const round = rounded ? Math.fround : (x: number) => x;
  const values = new Map<Storage, Float64Array>();
  for (const [storage, data] of options.inputs) values.set(storage, Float64Array.from(data));
  const valueOf = (storage: Storage): Float64Array => {
    const known = values.get(storage);
    if (known) return known;
    let value: Float64Array;
    if (storage.within) value = valueOf(storage.within.whole).subarray(storage.within.first, storage.within.first + storage.count);
    else if (storage.state) {
      if (!options.state) throw new Error(`interpret: ${storage.name} is read, but no state is given`);
      value = options.state(storage.state.buffer).subarray(storage.state.offset, storage.state.offset + storage.count);
    } else if (storage.data) value = toNumbers(storage.dtype, storage.data);
    else value = new Float64Array(storage.count).fill(NaN);
    values.set(storage, value);
    return value;
  };
  for (const node of program.nodes) {
    if (node.kind === "copy") {
      valueOf(node.to).set(valueOf(node.from));
      continue;
    }
    const args: Record<string, Float64Array> = {};
    for (const name of Object.keys(node.kernel.args)) args[name] = new Float64Array(0);
    const active = activeArgs(node.kernel, node.flags);
    for (const { name } of active) args[name] = valueOf(node.bindings[name]!);
    node.kernel.reference(args, node.numbers, { round, has: (flag) => node.flags.has(flag) });
    if (!rounded) continue;
    for (const { name, arg } of active) {
      if (arg.access === "read") continue;
      const store = rounderOf(node.bindings[name]!.dtype);
      const value = args[name]!;
      for (let i = 0; i < value.length; i++) value[i] = store(value[i]!);
    }
  }
  return new Map([...program.outputs].map(([name, storage]) => [name, valueOf(storage)]));
}

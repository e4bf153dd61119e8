// Three witnesses of one computation: the device, the f64 interpretation of what was traced, and an oracle from outside.
import { expect } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/interpret.ts";
import { allowanceOf, compare } from "../../src/engine/tolerance.ts";
import { tensorOf, trace, type Program, type StateBuffer, type Storage, type Tensor } from "../../src/engine/trace.ts";
import type { Dtype } from "../../src/kernel/dtype.ts";
import { gradients } from "../../src/ops/grad.ts";
import type { Value } from "./draw.ts";

type Tensors<V> = { readonly [name in keyof V]: Tensor };

/** What is claimed to be one and the same: outputs of `build`, of `oracle` under the same names, and the state after the run. */
export interface Claim<I extends Readonly<Record<string, Value>>, S extends Readonly<Record<string, Value<Float32Array>>>> {
  readonly inputs: I;
  /** State that the computation updates; its final contents are compared, too. */
  readonly state?: S;
  /** Size of the terms whose difference an output is, where that may be far larger than the output: rounding is relative to them. */
  readonly terms?: Readonly<Record<string, number>>;
  readonly build: (x: Tensors<I>, state: Tensors<S>) => Readonly<Record<string, Tensor>>;
  readonly oracle: () => Promise<Readonly<Record<string, ArrayLike<number>>>> | Readonly<Record<string, ArrayLike<number>>>;
}

/** What each witness says about one output. */
export interface Testimony {
  readonly device: ArrayLike<number>;
  readonly oracle: ArrayLike<number>;
  /** The trace in f64. */
  readonly truth: Float64Array;
  /** The trace in plain loops of f32: what that arithmetic loses without any cleverness. */
  readonly yardstick: Float64Array;
}

export interface Hearing {
  readonly testimonies: ReadonlyMap<string, Testimony>;
  /** What the WGSL specification allows the built-ins on the way, relative. */
  readonly allowance: number;
}

const dtypeOf = (data: Value["data"]): Dtype => (data instanceof Float32Array ? "f32" : data instanceof Uint32Array ? "u32" : "i32");

/** Hears all witnesses. */
export async function hear<I extends Readonly<Record<string, Value>>, S extends Readonly<Record<string, Value<Float32Array>>>>(engine: Engine, claim: Claim<I, S>): Promise<Hearing> {
  const initial = Object.entries<Value<Float32Array>>(claim.state ?? {});
  const state = Object.fromEntries(initial.map(([name, { shape, data }]) => [name, engine.state(name, shape, "f32", data)])) as Tensors<S>;
  const plan = await engine.plan(
    (x) => claim.build(x as Tensors<I>, state),
    Object.fromEntries(Object.entries(claim.inputs).map(([name, { shape, data }]) => [name, { shape, dtype: dtypeOf(data) }])),
    { label: "oracle" },
  );
  try {
    const exact = interpretClaim(claim, state, "exact");
    const rounded = interpretClaim(claim, state, "rounded");
    const device: Record<string, ArrayLike<number>> = await plan.run(Object.fromEntries(Object.entries(claim.inputs).map(([name, { data }]) => [name, data])));
    for (const [name, tensor] of Object.entries<Tensor>(state)) device[name] = await engine.read(tensor);
    const oracle = await claim.oracle();
    const testimonies = new Map<string, Testimony>();
    for (const [name, truth] of exact) {
      const [mine, theirs] = [device[name], oracle[name]];
      if (!mine || !theirs || mine.length !== truth.length || theirs.length !== truth.length)
        throw new Error(`${name}: ${truth.length} elements in f64, ${mine?.length ?? "none"} from the device, ${theirs?.length ?? "none"} from the oracle`);
      testimonies.set(name, { device: mine, oracle: theirs, truth, yardstick: rounded.get(name)! });
    }
    const allowance = plan.program.nodes.reduce((sum, node) => sum + (node.kind === "dispatch" ? allowanceOf(node.kernel.builtins) : 0), 0);
    return { testimonies, allowance };
  } finally {
    plan.dispose();
    for (const tensor of Object.values<Tensor>(state)) engine.free(tensor);
  }
}

/** Outputs and final state of the claim's trace, on the host. `state` tells where state lives; what is on the device stays untouched. */
export function interpretClaim<I extends Readonly<Record<string, Value>>, S extends Readonly<Record<string, Value<Float32Array>>>>(
  claim: Pick<Claim<I, S>, "inputs" | "state" | "build">,
  state: Tensors<S>,
  arithmetic: "exact" | "rounded",
): Map<string, Float64Array> {
  const values = new Map<Storage, ArrayLike<number>>();
  const program: Program = (() => {
    const { result, nodes } = trace(() => {
      const x = Object.fromEntries(
        Object.entries(claim.inputs).map(([name, { shape, data }]) => {
          const storage: Storage = { kind: "input", name: `input ${name}`, dtype: dtypeOf(data), count: data.length };
          values.set(storage, data);
          return [name, tensorOf(storage, shape)];
        }),
      );
      return claim.build(x as Tensors<I>, state);
    });
    return { nodes, outputs: new Map(Object.entries(result).map(([name, { storage }]) => [name, storage])) };
  })();
  const contents = new Map<StateBuffer, Float64Array>();
  for (const [name, tensor] of Object.entries<Tensor>(state)) contents.set(tensor.storage.state!.buffer, Float64Array.from(claim.state![name]!.data));
  const outputs = interpret(program, { inputs: values, state: (buffer) => contents.get(buffer)!, arithmetic });
  for (const [name, tensor] of Object.entries<Tensor>(state)) outputs.set(name, contents.get(tensor.storage.state!.buffer)!);
  return outputs;
}

/**
 * Holds device and oracle, element by element, to the f64 truth, within what `src/engine/tolerance.ts` derives for f32
 * arithmetic. Both are such arithmetic of the same formula in an order of their own, so one bound serves both, and what
 * lies between them is at most its double. A formula that differs lies outside by orders of magnitude.
 */
export async function expectAgreement<I extends Readonly<Record<string, Value>>, S extends Readonly<Record<string, Value<Float32Array>>>>(engine: Engine, claim: Claim<I, S>): Promise<void> {
  const { testimonies, allowance } = await hear(engine, claim);
  expect(testimonies.size).toBeGreaterThan(0);
  const lies: string[] = [];
  for (const [name, { device, oracle, truth, yardstick }] of testimonies)
    for (const [who, says] of [["the device", device], ["the oracle", oracle]] as const) {
      // Shifted by the size of their terms, numbers are judged relative to it.
      const shift = claim.terms?.[name] ?? 0;
      const lift = (values: ArrayLike<number>) => (shift === 0 ? values : Array.from(values, (value) => value + shift));
      const { ok, index, got, expected, worst } = compare(lift(says), lift(truth), lift(yardstick), "f32", allowance);
      if (!ok) lies.push(`${name}[${index}]: ${who} says ${got - shift}, f64 ${expected - shift}: ${worst.toPrecision(3)} times the allowed error`);
    }
  expect(lies).toEqual([]);
}

/** `y` and, as `d…`, the gradients of Σ y·dy with respect to the named tensors: what a claim about gradients builds. */
export function withGradients(x: Readonly<Record<string, Tensor>>, wanted: readonly string[], y: Tensor, dy: Tensor): Record<string, Tensor> {
  const found = gradients(y, wanted.map((name) => x[name]!), dy);
  return { y, ...Object.fromEntries(wanted.map((name, i) => {
    const gradient = found[i];
    if (!gradient) throw new Error(`no gradient reaches ${name}`);
    return [`d${name}`, gradient] as const;
  })) };
}

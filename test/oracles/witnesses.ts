// Three witnesses of one computation: the device, the f64 interpretation of what was traced, and an oracle from outside.
import type { Engine } from "../../src/engine/engine.ts";
import { interpret } from "../../src/engine/interpret.ts";
import { allowanceOf, compare } from "../../src/engine/tolerance.ts";
import { tensorOf, trace, type Program, type StateBuffer, type Storage, type Tensor } from "../../src/engine/trace.ts";
import type { Dtype } from "../../src/kernel/dtype.ts";
import { gradients } from "../../src/ops/grad.ts";
import type { Value } from "./draw.ts";

type Tensors<V> = { readonly [name in keyof V]: Tensor };

type Inputs = Readonly<Record<string, Value>>;
type State = Readonly<Record<string, Value<Float32Array>>>;

/** What is claimed to be one and the same: outputs of `build`, of `oracle` under the same names, and the state after the run. */
export interface Claim<I extends Inputs, S extends State> {
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
export async function hear<I extends Inputs, S extends State>(engine: Engine, claim: Claim<I, S>): Promise<Hearing> {
  const state = makeState(engine, claim);
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
    freeState(engine, state);
  }
}

/** A claim's trace, and the values of its inputs. */
function traceClaim<I extends Inputs, S extends State>({ inputs, build }: Pick<Claim<I, S>, "inputs" | "build">, state: Tensors<S>): { program: Program; values: Map<Storage, ArrayLike<number>> } {
  const values = new Map<Storage, ArrayLike<number>>();
  const { result, nodes } = trace(() => {
    const x = Object.entries(inputs).map(([name, { shape, data }]) => {
      const storage: Storage = { kind: "input", name: `input ${name}`, dtype: dtypeOf(data), count: data.length };
      values.set(storage, data);
      return [name, tensorOf(storage, shape)] as const;
    });
    return build(Object.fromEntries(x) as Tensors<I>, state);
  });
  return { program: { nodes, outputs: new Map(Object.entries(result).map(([name, { storage }]) => [name, storage])) }, values };
}

/** Outputs and final state of the claim, on the host; what is on the device stays untouched. */
function interpretClaim<I extends Inputs, S extends State>(claim: Pick<Claim<I, S>, "inputs" | "state" | "build">, state: Tensors<S>, arithmetic: "exact" | "rounded"): Map<string, Float64Array> {
  const { program, values } = traceClaim(claim, state);
  const contents = contentsOf(claim, state);
  const outputs = interpret(program, { inputs: values, state: (buffer) => contents.get(buffer)!, arithmetic });
  for (const [name, tensor] of Object.entries<Tensor>(state)) outputs.set(name, contents.get(tensor.storage.state!.buffer)!);
  return outputs;
}

function contentsOf<I extends Inputs, S extends State>(claim: Pick<Claim<I, S>, "state">, state: Tensors<S>): Map<StateBuffer, Float64Array> {
  return new Map(Object.entries<Tensor>(state).map(([name, tensor]) => [tensor.storage.state!.buffer, Float64Array.from(claim.state![name]!.data)]));
}

/**
 * How far the arguments of ReLU keep away from its kink: the least |argument| of any, in units of the largest error that f32
 * makes in that tensor. Below a few units, arithmetic in another order may land on the other side, where the slope is another:
 * a difference that is no mistake and that no bound on rounding covers.
 */
export function kinkMargin<I extends Inputs, S extends State>(engine: Engine, claim: Pick<Claim<I, S>, "inputs" | "state" | "build">): number {
  const state = makeState(engine, claim);
  const { program, values } = traceClaim(claim, state);
  const kinks = program.nodes.flatMap((node) => (node.kind === "dispatch" && node.kernel.name === "activation" && node.flags.size === 0 ? [node.bindings["x"]!] : []));
  const outputs = new Map(kinks.map((storage, i) => [String(i), storage]));
  const run = (arithmetic: "exact" | "rounded") => {
    const contents = contentsOf(claim, state);
    return interpret({ nodes: program.nodes, outputs }, { inputs: values, state: (buffer) => contents.get(buffer)!, arithmetic });
  };
  const [exact, rounded] = [run("exact"), run("rounded")];
  freeState(engine, state);
  let least = Infinity;
  for (const [name, truth] of exact) {
    const other = rounded.get(name)!;
    let [nearest, error] = [Infinity, 0];
    truth.forEach((value, i) => {
      nearest = Math.min(nearest, Math.abs(value));
      error = Math.max(error, Math.abs(other[i]! - value));
    });
    least = Math.min(least, nearest / error);
  }
  return least;
}

function makeState<I extends Inputs, S extends State>(engine: Engine, claim: Pick<Claim<I, S>, "state">): Tensors<S> {
  return Object.fromEntries(Object.entries<Value<Float32Array>>(claim.state ?? {}).map(([name, { shape, data }]) => [name, engine.state(name, shape, "f32", data)])) as Tensors<S>;
}

function freeState(engine: Engine, state: Readonly<Record<string, Tensor>>): void {
  for (const tensor of Object.values(state)) engine.free(tensor);
}

/**
 * Holds device and oracle, element by element, to the f64 truth, within what `src/engine/tolerance.ts` derives for f32
 * arithmetic. Both are such arithmetic of the same formula in an order of their own, so one bound serves both, and what
 * lies between them is at most its double. A formula that differs lies outside by orders of magnitude. Throws with every
 * output that lies outside, and who says so.
 */
export async function expectAgreement<I extends Inputs, S extends State>(engine: Engine, claim: Claim<I, S>): Promise<void> {
  const { testimonies, allowance } = await hear(engine, claim);
  if (testimonies.size === 0) throw new Error("nobody says anything: the claim has no outputs");
  const lies: string[] = [];
  for (const [name, { device, oracle, truth, yardstick }] of testimonies)
    for (const [who, says] of [["the device", device], ["the oracle", oracle]] as const) {
      // Shifted by the size of their terms, numbers are judged relative to it.
      const shift = claim.terms?.[name] ?? 0;
      const lift = (values: ArrayLike<number>) => (shift === 0 ? values : Array.from(values, (value) => value + shift));
      const { ok, index, got, expected, worst } = compare(lift(says), lift(truth), lift(yardstick), "f32", allowance);
      if (!ok) lies.push(`${name}[${index}]: ${who} says ${got - shift}, f64 ${expected - shift}: ${worst.toPrecision(3)} times the allowed error`);
    }
  if (lies.length > 0) throw new Error(lies.join("\n"));
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

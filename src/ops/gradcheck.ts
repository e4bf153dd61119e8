// Checking an op's gradient: in f64 against central differences of the forward references, then on the device against f64.
import type { Engine } from "../engine/engine.ts";
import { interpret } from "../engine/interpret.ts";
import { optimise } from "../engine/passes.ts";
import { describeWrong } from "../engine/check-diagnosis.ts";
import { allowanceOf, compare, nearby } from "../engine/tolerance.ts";
import { sizeOf, tensorOf, trace, type Program, type Storage, type Tensor } from "../engine/trace.ts";
import type { CheckResult } from "../engine/check.ts";
import { rounderOf, toHostArray, toNumbers } from "../kernel/dtype.ts";
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import { gradients } from "./grad.ts";
import type { GradientCase } from "./gradient-case.ts";

/** Relative error of the extrapolated central difference that is allowed: its own error is about 1e-11. */
const DIFFERENCE_TOLERANCE = 1e-7;

interface Traced {
  readonly program: Program;
  readonly storages: ReadonlyMap<string, Storage>;
}

function traceCase(c: GradientCase): Traced & { wanted: string[] } {
  const storages = new Map<string, Storage>();
  const wanted = Object.entries(c.inputs).filter(([, i]) => !i.fixed && (i.dtype ?? "f32") === "f32").map(([name]) => name);
  const { result, nodes } = trace(() => {
    const tensors: Record<string, Tensor> = {};
    for (const [name, { shape, dtype = "f32" }] of Object.entries(c.inputs)) {
      const storage: Storage = { kind: "input", name: `input ${name}`, dtype, count: sizeOf(shape) };
      storages.set(name, storage);
      tensors[name] = tensorOf(storage, shape);
    }
    const y = c.build(tensors);
    const storage: Storage = { kind: "input", name: "input dy", dtype: y.dtype, count: sizeOf(y.shape) };
    storages.set("dy", storage);
    const found = gradients(y, wanted.map((name) => tensors[name]!), tensorOf(storage, y.shape));
    const outputs = new Map<string, Storage>([["y", y.storage]]);
    wanted.forEach((name, i) => {
      const gradient = found[i];
      if (!gradient) throw new Error(`${c.name}: no gradient reaches ${name}`);
      outputs.set(`d${name}`, gradient.storage);
    });
    return outputs;
  });
  return { program: { nodes, outputs: result }, storages, wanted };
}

/** Why the device cannot run a program: a type that it lacks. */
function lackOf(program: Program, engine: Engine): string | undefined {
  const half = program.nodes.some((node) => node.kind === "dispatch" && node.dtype === "f16");
  return half && !engine.device.traits.features.has("shader-f16") ? "the device lacks shader-f16" : undefined;
}

/** `gradient of matmul drawn 3 seed=1`: what `cytonet check --only` takes to run exactly this again. */
export function gradientId(c: GradientCase, seed: number): string {
  return `gradient of ${c.name} seed=${seed}`;
}

/** Checks one case with values of a seed. A wrong rule, a wrong backward reference and a wrong kernel are told apart. */
export async function checkGradient(engine: Engine, c: GradientCase, seed = 1): Promise<CheckResult> {
  const id = gradientId(c, seed);
  const { program, storages, wanted } = traceCase(c);
  const random = randomStream(keyOfSeed(seed), [1, 0, 0]).uniform;
  const values = new Map<Storage, Float64Array>();
  for (const [name, storage] of storages) {
    const make = c.inputs[name]?.values;
    const store = rounderOf(storage.dtype);
    values.set(storage, Float64Array.from({ length: storage.count }, (_, i) => store(make ? make(random, i) : 2 * random() - 1)));
  }
  const exact = interpret(program, { inputs: values });
  const forward: Program = { nodes: optimise({ nodes: program.nodes, outputs: new Map([["y", program.outputs.get("y")!]]) }).program.nodes, outputs: new Map([["y", program.outputs.get("y")!]]) };
  const dy = values.get(storages.get("dy")!)!;

  for (const name of wanted) {
    const x = values.get(storages.get(name)!)!;
    const direction = Float64Array.from(x, () => 2 * random() - 1);
    const along = (h: number) => {
      const moved = new Map(values).set(storages.get(name)!, x.map((value, i) => value + h * direction[i]!));
      const y = interpret(forward, { inputs: moved }).get("y")!;
      return y.reduce((sum, value, i) => sum + value * dy[i]!, 0);
    };
    const central = (h: number) => (along(h) - along(-h)) / (2 * h);
    const h = 1e-3;
    const difference = (4 * central(h / 2) - central(h)) / 3;
    const dx = exact.get(`d${name}`)!;
    let derivative = 0;
    let scale = 0;
    dx.forEach((value, i) => {
      derivative += value * direction[i]!;
      scale += Math.abs(value * direction[i]!);
    });
    const error = Math.abs(derivative - difference);
    if (!(error <= DIFFERENCE_TOLERANCE * Math.max(scale, 1e-3)))
      return { id, status: "failed", reason: `in f64, d${name} along a random direction is ${derivative}, differences of the forward reference give ${difference}${Math.abs(derivative + difference) < error / 100 ? "; the sign is wrong" : ""}` };
  }

  const rounded = interpret(program, { inputs: values, arithmetic: "rounded" });
  let around: Map<string, number> | undefined;
  const measureAround = () =>
    (around ??= nearby(random, (shift) => {
      const moved = new Map([...values].map(([storage, value]) => [storage, storage.dtype === "f32" ? value.map((x) => Math.fround(shift(x))) : value]));
      const yardsticks = interpret(program, { inputs: moved, arithmetic: "rounded" });
      return new Map([...interpret(program, { inputs: moved })].map(([name, truth]) => [name, { truth, yardstick: yardsticks.get(name)! }]));
    }));
  const lacking = lackOf(program, engine);
  if (lacking !== undefined) return { id, status: "skipped", reason: lacking };
  const specs = Object.fromEntries([...storages].map(([name, s]) => [name, { shape: name === "dy" ? [s.count] : c.inputs[name]!.shape, dtype: s.dtype }]));
  const plan = await engine.plan(
    (inputs) => {
      const y = c.build(inputs);
      const dyTensor = tensorOf(inputs["dy"]!.storage, y.shape);
      const found = gradients(y, wanted.map((name) => inputs[name]!), dyTensor);
      return Object.fromEntries([["y", y] as const, ...wanted.map((name, i) => [`d${name}`, found[i]!] as const)]);
    },
    specs,
    { label: id },
  );
  try {
    const got = await plan.run(Object.fromEntries([...storages].map(([name, s]) => [name, toHostArray(s.dtype, values.get(s)!)])));
    const allowance = plan.program.nodes.reduce((sum, node) => sum + (node.kind === "dispatch" ? allowanceOf(node.kernel.builtins) : 0), 0);
    let worst = 0;
    let ulps = 0;
    for (const [name, truth] of exact) {
      const { dtype } = plan.program.outputs.get(name)!;
      const own = toNumbers(dtype, got[name]!);
      const compareWith = (least: number) => compare(own, truth, rounded.get(name)!, dtype, allowance, least);
      let comparison = compareWith(0);
      if (!comparison.ok) comparison = compareWith(measureAround().get(name) ?? 0);
      worst = Math.max(worst, comparison.worst);
      ulps = Math.max(ulps, comparison.ulps);
      if (!comparison.ok) {
        const shape = (name === "y" ? [truth.length] : c.inputs[name.slice(1)]!.shape).map((extent, i) => ({ dim: `axis ${i}`, extent }));
        return { id, status: "failed", worst, ulps, reason: describeWrong(name, comparison, own, truth, shape) };
      }
    }
    return { id, status: "passed", worst, ulps };
  } finally {
    plan.dispose();
  }
}

// This engine as its users have it: the public library, one plan a case.
import { constant, createEngine, f32, ops, place, VERSION, type AdapterHandle, type Engine as Library, type HostArray, type Plan, type Tensor } from "../../../src/index.ts";
import type { Case } from "../cases.ts";
import type { Engine, Outputs, Prepared } from "../engine.ts";
import { draw, inputsOf, ORDERS, permute, sizeOf } from "../inputs.ts";
import { ADAM, networkOf, parametersOf, type Algebra, type Find } from "../networks.ts";
import { TAU } from "../truth.ts";

const views = (n: number): Tensor => constant(Uint32Array.from({ length: n }, (_, i) => i >> 1), [n], "u32");
const loss = (z: Tensor): Tensor => ops.spatialNce(z, { view: views(z.shape[0] ?? 0) }, { kernel: "views", tau: TAU }).loss;

const algebra: Algebra<Tensor> = {
  conv: (x, w, bias, stride, padding) => ops.conv2d(x, w, { stride, padding, ...(bias ? { bias } : {}) }),
  batchNorm: (x, gamma, beta, mean, variance) => ops.batchNorm(x, gamma, beta, { running: { mean, variance }, training: false }),
  maxPool: (x) => ops.maxPool2d(x, 3, { stride: 2, padding: 1 }),
  meanOverPlaces: ops.globalAvgPool,
  relu: ops.relu,
  gelu: ops.gelu,
  add: ops.add,
  linear: (x, w, bias) => ops.matmul(x, w, { bias }),
  layerNorm: (x, gamma, beta) => ops.layerNorm(x, gamma, beta),
  attention(q, k, v, { b, n, heads, d }) {
    const split = (x: Tensor) => ops.reshape(x, [b, n, heads, d]);
    return ops.reshape(ops.attention(split(q), split(k), split(v)), [b, n, heads * d]);
  },
  tokens: (x, b, n, c) => ops.reshape(x, [b, n, c]),
  prepend: (token, x, b, c) => ops.concat([ops.expand(token, [b, 1, c]), x], 1),
  first: (x, b, c) => ops.reshape(ops.slice(x, [0, 0, 0], [b, 1, c]), [b, c]),
};

/** The operation of a case on tensors by name. */
function compute({ kind, pass, numbers }: Case, x: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const n = (name: string): number => numbers[name] ?? 0;
  const t = (name: string): Tensor => x[name]!;
  const backward = (y: Tensor, wanted: readonly string[]) => Object.fromEntries(ops.gradients(y, wanted.map(t), t("dy")).map((gradient, i) => [`d${wanted[i]}`, gradient!]));
  switch (kind) {
    case "matmul":
      return { y: ops.matmul(t("a"), t("b")) };
    case "conv": {
      const options = { stride: n("s"), padding: n("p"), groups: n("g") };
      // The gradient with respect to one operand does not hang on its values: any will do.
      if (pass === "forward") return { y: ops.conv2d(t("x"), t("w"), options) };
      const [image, filter] = [ops.fill([n("b"), n("ih"), n("iw"), n("ci")], 0), ops.fill([n("f"), n("f"), n("ci") / n("g"), n("co")], 0)];
      const wanted = pass === "dx" ? image : filter;
      const [gradient] = ops.gradients(ops.conv2d(pass === "dx" ? image : t("x"), pass === "dx" ? t("w") : filter, options), [wanted], t("dy"));
      return { [pass]: gradient! };
    }
    case "attention": {
      const y = ops.attention(t("q"), t("k"), t("v"));
      return pass === "forward" ? { y } : backward(y, ["q", "k", "v"]);
    }
    case "layer-norm": {
      const y = ops.layerNorm(t("x"), t("gamma"), t("beta"));
      return pass === "forward" ? { y } : backward(y, ["x", "gamma", "beta"]);
    }
    case "softmax":
    case "gelu": {
      const y = ops[kind](t("x"));
      return pass === "forward" ? { y } : backward(y, ["x"]);
    }
    default: {
      const value = loss(t("z"));
      return pass === "forward" ? { loss: value } : { loss: value, dz: ops.gradients(value, [t("z")], ops.fill([], 1))[0]! };
    }
  }
}

const first = (x: HostArray | undefined): number => Number(x?.[0] ?? NaN);

/** Opens an engine on the adapter. */
export async function openCytonet(handle: AdapterHandle): Promise<Engine> {
  const engine = await createEngine(handle);
  return {
    description: `cytonet ${VERSION}`,
    forms: () => ["plan"],
    prepare: (problem) => (problem.pass === "step" ? prepareStep(engine, problem) : networkOf(problem.kind, problem.numbers) ? prepareNetwork(engine, problem) : prepareOperation(engine, problem)),
  };
}

async function prepareOperation(engine: Library, problem: Case): Promise<Prepared> {
  const tokens = problem.kind === "attention";
  const state = Object.fromEntries(
    Object.entries(inputsOf(problem)).map(([name, host]) => {
      const { shape, data } = tokens ? permute(host, ORDERS.heads) : host;
      return [name, engine.state(name, shape, "f32", data)];
    }),
  );
  const probe = await engine.plan(
    () => Object.fromEntries(Object.entries(compute(problem, state)).map(([name, y]) => [name, sizeOf(y.shape) === 1 ? y : ops.slice(y, y.shape.map(() => 0), y.shape.map(() => 1))])),
    {},
    { label: problem.name },
  );
  return {
    async outputs() {
      const shapes: Record<string, readonly number[]> = {};
      const whole = await engine.plan(() => {
        const found = compute(problem, state);
        for (const [name, { shape }] of Object.entries(found)) shapes[name] = shape;
        return found;
      }, {}, { label: problem.name });
      const read = (await whole.run({})) as Record<string, Float32Array>;
      whole.dispose();
      return tokens ? Object.fromEntries(Object.entries(read).map(([name, data]) => [name, permute({ shape: shapes[name]!, data }, ORDERS.heads).data])) : read;
    },
    run: async () => Object.values(await probe.run({})).map(first),
    dispose() {
      probe.dispose();
      for (const tensor of Object.values(state)) engine.free(tensor);
    },
  };
}

async function prepareNetwork(engine: Library, problem: Case): Promise<Prepared> {
  const weights: Tensor[] = [];
  const find: Find<Tensor> = (name, shape, how) => {
    const tensor = engine.state(name, shape, "f32", draw(problem.kind, name, shape, how).data);
    weights.push(tensor);
    return tensor;
  };
  const x = inputsOf(problem)["x"]!;
  const network = networkOf<Tensor>(problem.kind, problem.numbers)!;
  const plan: Plan = await engine.plan((inputs) => ({ y: network(algebra, find, inputs.x) }), { x: f32(...x.shape) }, { label: problem.name });
  const run = async () => (await plan.run({ x: x.data }))["y"] as Float32Array;
  return {
    outputs: async () => ({ y: await run() }),
    run: async () => [first(await run())],
    dispose() {
      plan.dispose();
      for (const tensor of weights) engine.free(tensor);
    },
  };
}

async function prepareStep(engine: Library, problem: Case): Promise<Prepared> {
  const { kind, numbers } = problem;
  const specs = parametersOf(kind, numbers);
  const [weights, gradients, m, v] = ["weights", "gradients", "m", "v"].map((name) => engine.stateGroup(name, specs)) as [Group, Group, Group, Group];
  specs.forEach(({ name, shape, how }, i) => engine.write(weights.members[i]!, draw(kind, name, shape, how).data));
  const control = engine.state("control", [ops.CONTROL_SIZE]);
  const x = inputsOf(problem)["x"]!;
  const network = networkOf<Tensor>(kind, numbers)!;
  const byName = new Map(specs.map(({ name }, i) => [name, weights.members[i]!]));
  const plan = await engine.plan(
    (inputs) => {
      const value = loss(network(algebra, (name) => byName.get(name)!, inputs.x));
      ops.gradients(value, weights.members, ops.fill([], 1)).forEach((gradient, i) => gradient && place(gradient, gradients.members[i]!));
      ops.gradientControl({ gradients: gradients.flat, control, hyper: inputs.hyper });
      ops.adamw({ parameters: weights.flat, gradients: gradients.flat, m: m.flat, v: v.flat, control, hyper: inputs.hyper, decayEnd: 0 });
      return { loss: value };
    },
    { x: f32(...x.shape), hyper: f32(ops.HYPER_SIZE) },
    { label: problem.name },
  );
  const hyper = ops.packHyper(ADAM);
  const run = async () => [first((await plan.run({ x: x.data, hyper }))["loss"])];
  return {
    async outputs(): Promise<Outputs> {
      const found: Record<string, Float32Array> = { loss: Float32Array.from(await run()) };
      for (const [i, { name }] of specs.entries()) {
        // After one step from zero, the first moment is a fixed share of the gradient.
        found[`gradient ${name}`] = ((await engine.read(m.members[i]!)) as Float32Array).map((value) => value / (1 - ADAM.beta1));
        found[`parameter ${name}`] = (await engine.read(weights.members[i]!)) as Float32Array;
      }
      return found;
    },
    run,
    dispose() {
      plan.dispose();
      for (const { flat } of [weights, gradients, m, v]) engine.free(flat);
      engine.free(control);
    },
  };
}

type Group = ReturnType<Library["stateGroup"]>;

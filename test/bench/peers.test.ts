// The bench beside the peers, as far as it needs none of them: cases, the truth it judges by, what counts as right, order and formats of results.
import { expect, test } from "vitest";
import { CASES, GROUPS, KINDS, MODELS, parseCase, selectCases } from "../../bench/peers/cases.ts";
import { distanceOf, toleranceOf } from "../../bench/peers/judge.ts";
import { draw, inputsOf, ORDERS, permute, sizeOf } from "../../bench/peers/inputs.ts";
import { EMBEDDING, networkOf, parametersOf } from "../../bench/peers/networks.ts";
import { benchCase } from "../../bench/peers/bench.ts";
import { isOursBad, isUnjudged, renderRows, sortRows, type EngineResult, type Row } from "../../bench/peers/table.ts";
import { EngineFailure, type Worker } from "../../bench/peers/worker.ts";
import { createTape, exact, type Exact } from "../../bench/peers/truth-networks.ts";
import { slicesOf, truthOf } from "../../bench/peers/truth-of.ts";
import { infoNce } from "../../bench/peers/truth.ts";
import { resolveConfig } from "../../src/model/config.ts";
import { describePreset } from "../../src/model/embed.ts";
import { presetOf } from "../../src/model/presets.ts";

test("a case is what its numbers say, and its name gives it again", () => {
  const conv = parseCase("conv size=28 f=5 dx");
  expect(conv).toMatchObject({ kind: "conv", pass: "dx", numbers: { ih: 28, iw: 28, f: 5, p: 2, s: 1, g: 1 } });
  const all = Object.values(GROUPS).flat();
  for (const one of [conv, ...all]) expect(parseCase(one.name)).toEqual(one);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(Object.keys(KINDS)));
});

test.each([
  ["matmull m=3", /no kind "matmull"/],
  ["matmul m=0", /"m=0", expected a whole number/],
  ["matmul m=3.5", /expected a whole number/],
  ["matmul q=3", /no number "q", expected m, k, n/],
  ["matmul m=3 dx", /"dx"/],
  ["conv ci=6 co=4 g=4", /6 and co 4 in 4 groups/],
  ["conv size=2 f=7 p=0", /larger than the image/],
  ["info-nce n=7", /even number/],
  ["vit-s side=100", /multiple of 16/],
])("%s is refused with the reason", (text, message) => {
  expect(() => parseCase(text)).toThrow(expect.objectContaining({ message: expect.stringMatching(message) as string, exitCode: 2 }));
});

test("patterns find standing cases by all of their words, numbers describe new ones", () => {
  expect(selectCases(["conv dw"]).every(({ name }) => name.startsWith("conv") && name.endsWith("dw"))).toBe(true);
  expect(selectCases(["matmul m=2", "matmul m=2"])).toHaveLength(1);
  expect(selectCases([])).toEqual(CASES);
  expect(() => selectCases(["nothing like it"])).toThrow(/no standing case/);
  expect([selectCases([], "models"), selectCases(["vit-b 512"], "models").map(({ name }) => name)]).toEqual([MODELS, ["model-vit-b b=1 side=512"]]);
  expect(() => selectCases(["matmul"], "models")).toThrow(/no case of models/);
  expect(() => selectCases([], "toString")).toThrow(/--cases "toString", expected one of standing, models/);
});

test.each(MODELS.filter(({ numbers }) => numbers["side"] === 224))("$kind is the preset's encoder: as many tensors of each size", ({ kind, numbers }) => {
  const preset = presetOf(resolveConfig({ preset: kind.slice("model-".length), "data.patch": 224, ...(kind === "model-r50" ? { "model.pool": "average" } : {}) }));
  const { parameters, statistics } = describePreset(preset, 224);
  const sizes = (list: readonly { readonly shape: readonly number[] }[]) => list.map(({ shape }) => sizeOf(shape)).sort((a, b) => a - b);
  expect(sizes(parametersOf(kind, numbers))).toEqual(sizes([...parameters, ...statistics].filter(({ name }) => name.startsWith("encoder."))));
});

test("a norm by running statistics, and its gradients, against differences", () => {
  const [x, ...vectors] = [[2, 1, 2, 3], [3], [3], [3], [3]].map((shape, i) => draw("norm", `${i}`, shape, { mean: i === 4 ? 2 : 0.5, deviation: 0.5 }));
  const values = [x!, ...vectors];
  const evaluate = (shift?: { readonly which: number; readonly at: number; readonly by: number }) => {
    const { algebra, backward } = createTape();
    const given = values.map(({ shape, data }, i) => exact(shape, Float64Array.from(data, (value, k) => value + (shift?.which === i && shift.at === k ? shift.by : 0))));
    const y = algebra.batchNorm(...(given as [Exact, Exact, Exact, Exact, Exact]));
    y.grad.set(draw("norm", "dy", y.shape, { deviation: 1 }).data);
    backward();
    return { value: dot(y.data, y.grad), gradients: given.map(({ grad }) => grad) };
  };
  const { gradients } = evaluate();
  for (const which of values.keys()) {
    const by = 1e-5;
    const slope = (evaluate({ which, at: 1, by }).value - evaluate({ which, at: 1, by: -by }).value) / (2 * by);
    expect(Math.abs(gradients[which]![1]! - slope)).toBeLessThan(1e-8 * Math.max(1, Math.abs(slope)));
  }
});

test("reordering and its inverse give the same tensor", () => {
  const x = { shape: [2, 3, 4, 5], data: Float32Array.from({ length: 120 }, (_, i) => i) };
  expect(permute(x, ORDERS.toFirst).shape).toEqual([2, 5, 3, 4]);
  expect(permute(x, ORDERS.toFirst).data[1]).toBe(5);
  expect(permute(permute(x, ORDERS.toFirst), ORDERS.toLast)).toEqual(x);
  expect(permute(permute(x, ORDERS.filterToFirst), ORDERS.filterToLast)).toEqual(x);
});

/** All slices of the truth, one behind the other. */
function wholeTruth(text: string): Record<string, Float64Array> {
  const problem = parseCase(text);
  const parts = Array.from({ length: slicesOf(problem).count }, (_, i) => truthOf(problem, i));
  return Object.fromEntries(Object.keys(parts[0]!).map((name) => [name, Float64Array.from(parts.flatMap((part) => [...part[name]!]))]));
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);

test.each(["b=2 ih=7 iw=6 ci=4 co=6 f=3 s=2 g=2", "b=1 ih=6 iw=7 ci=3 co=5 f=4 s=1 p=0"])("the gradients of a convolution are its transposes: %s", (sizes) => {
  // The result is linear in each operand: ⟨dy, x ∗ w⟩ = ⟨dx, x⟩ = ⟨dw, w⟩ for any values of all three.
  const cases = { forward: parseCase(`conv ${sizes}`), dx: parseCase(`conv ${sizes} dx`), dw: parseCase(`conv ${sizes} dw`) };
  // Inputs are drawn by the name of the case; here all passes must share theirs.
  const shared = { ...cases.forward, name: "shared" };
  const given = { ...inputsOf(shared), ...inputsOf({ ...cases.dx, name: "shared" }) };
  const whole = (pass: "forward" | "dx" | "dw") => {
    const problem = { ...cases[pass], name: "shared" };
    const parts = Array.from({ length: slicesOf(problem).count }, (_, i) => Object.values(truthOf(problem, i))[0]!);
    return Float64Array.from(parts.flatMap((part) => [...part]));
  };
  const product = dot(whole("forward"), given["dy"]!.data);
  expect(dot(whole("dx"), given["x"]!.data)).toBeCloseTo(product, 9);
  expect(dot(whole("dw"), given["w"]!.data)).toBeCloseTo(product, 9);
});

test("rows of an attention with equal values are these values, and of a softmax add up to 1", () => {
  const { y } = wholeTruth("softmax rows=3 n=7");
  for (const row of [0, 1, 2]) expect(dot(y!.subarray(7 * row, 7 * row + 7), new Float64Array(7).fill(1))).toBeCloseTo(1, 12);
  // A gradient of a softmax adds up to 0 in every row, whatever dy is.
  const { dx } = wholeTruth("softmax rows=3 n=7 backward");
  expect(dot(dx!.subarray(0, 7), new Float64Array(7).fill(1))).toBeCloseTo(0, 12);
  expect(Object.keys(wholeTruth("attention b=2 h=2 n=5 d=3 backward"))).toEqual(["dq", "dk", "dv"]);
});

test.each(["train-vit b=4 side=8", "train-conv b=4 side=8"])("the gradients of a trained network are the slope of its loss: %s", (text) => {
  const { kind, numbers } = parseCase(text);
  const x = inputsOf(parseCase(text))["x"]!;
  const specs = parametersOf(kind, numbers);
  /** The loss with every weight moved by `h` times a fixed direction; and its derivative there by the tape. */
  const evaluate = (h: number) => {
    const { algebra, backward } = createTape();
    const moved = new Map(specs.map(({ name, shape, how }) => [name, exact(shape, Float64Array.from(draw(kind, name, shape, how).data, (value, i) => value + h * direction(i)))]));
    const z = networkOf<Exact>(kind, numbers)!(algebra, (name) => moved.get(name)!, exact(x.shape, x.data));
    const { loss, dz } = infoNce(z.data, numbers["b"]!, EMBEDDING);
    z.grad.set(dz);
    backward();
    return { loss, slope: [...moved.values()].reduce((sum, { grad }) => sum + grad.reduce((part, value, i) => part + value * direction(i), 0), 0) };
  };
  const direction = (i: number) => Math.sin(1 + 0.7 * i);
  const h = 1e-6;
  const { slope } = evaluate(0);
  // The difference errs by h² and by the rounding of the losses over h; no argument of a ReLU lies within h of its kink here.
  expect(Math.abs((evaluate(h).loss - evaluate(-h).loss) / (2 * h) - slope)).toBeLessThan(1e-6 * Math.abs(slope) + 1e-15 / h);
});

test("what is too far from the truth, missing or not a number is wrong", () => {
  const truth = Float64Array.of(1, -2, 3, 0);
  const { error } = distanceOf("y", Float32Array.of(1, -2, 3, 0), truth);
  expect(error).toBe(0);
  expect(distanceOf("y", Float32Array.of(1, -2, 3.03, 0), truth)).toMatchObject({ error: expect.closeTo(0.01, 6) as number, at: expect.stringContaining("y[2]") as string });
  expect(distanceOf("y", Float32Array.of(1, -2, NaN, 0), truth).error).toBe(Infinity);
  expect(distanceOf("y", Float32Array.of(1, -2), truth).error).toBe(Infinity);
  expect(distanceOf("y", undefined, truth).error).toBe(Infinity);
  // Wide enough for f32, far too narrow for a formula that differs, or for f16.
  for (const one of CASES.filter(({ pass }) => pass !== "step")) {
    expect(toleranceOf(one)).toBeGreaterThan(1e-6);
    expect(toleranceOf(one)).toBeLessThan(3e-3);
  }
});

const result = (verdict: EngineResult["verdict"], ms: number | null): EngineResult => ({ verdict, ms });
const row = (name: string, ratio: number | null, ours: EngineResult = result("right", 10)): Row => ({
  case: name,
  adapter: "a, b",
  ours_ms: ours.verdict === "right" ? ours.ms : null,
  peers: { tfjs: ratio === null ? null : 10 * ratio },
  ratio,
  best: ratio === null ? null : "tfjs",
  native: { "ort-cpu": 1 },
  tolerance: 1e-5,
  judged: 1,
  engines: { cytonet: ours, tfjs: ratio === null ? { ...result("wrong", 3), error: 0.04, reason: "far" } : result("right", 10 * ratio), "ort-cpu": result("right", 1) },
});

test("what is wrong comes first, then what is lost, the worst first; the rest stays in order", () => {
  const rows = [row("won", 2), row("lost", 0.9), row("alone", null), row("lost by far", 0.2), row("ours wrong", 3, { ...result("wrong", 5), error: 1 }), row("won by far", 9)];
  expect(sortRows(rows).map((one) => one.case)).toEqual(["ours wrong", "lost by far", "lost", "won", "alone", "won by far"]);
  expect(rows.filter(isOursBad).map((one) => one.case)).toEqual(["ours wrong"]);
});

test("results are told as a table, JSON, Markdown and CSV", () => {
  const rows = [row("won", 2), row("lost", 0.5), row("alone", null)];
  const table = renderRows(rows, "table", (line) => `<${line}>`).split("\n");
  expect(table[0]).toMatch(/^case \(ms\) +cytonet +tfjs +ort-cpu +ratio$/);
  expect(table[1]).toMatch(/^<lost .* 5\.00 \* +1\.00 +0\.50>$/);
  expect(table[3]).toMatch(/^alone .* wrong \(4e-2\) .* –$/);
  expect(table.at(-2)).toBe("alone: tfjs wrong: far");
  expect((JSON.parse(renderRows(rows, "json", (line) => line)) as Row[])[0]).toMatchObject({ case: "lost", adapter: "a, b", ours_ms: 10, peers: { tfjs: 5 }, ratio: 0.5 });
  expect(renderRows(rows, "md", (line) => line)).toContain("| lost | 10.0 | 5.00 * | 1.00 | 0.50 |");
  expect(renderRows(rows, "csv", (line) => line).split("\n").slice(0, 2)).toEqual(["case,adapter,cytonet,tfjs,ort-cpu,ratio", 'lost,"a, b",10,5,1,0.5']);
});

test.each([0, 1])("a judge that fails at question %i leaves a case unjudged, releases every engine, and the next case goes on", async (failsAt) => {
  const released: string[] = [];
  const makeWorker = (name: string, answer: (request: Parameters<Worker["ask"]>[0]) => unknown): Worker => ({
    name,
    start: async () => ({ description: name, adapter: "" }),
    ask: (async (request: Parameters<Worker["ask"]>[0]) => {
      if (request.op === "release") released.push(name);
      return answer(request);
    }) as Worker["ask"],
    stop() {},
    close() {},
  });
  // Of its three rows one is computed in f64 at first; where the engines differ, the judge is asked once more.
  const problem = parseCase("matmul m=3 k=2 n=2");
  const engines = ["cytonet", "tfjs"].map((name, i) => {
    const y = Float32Array.from([0, 1, 2].flatMap((slice) => [...truthOf(problem, slice)["y"]!]));
    y[i]! *= 1 + 1e-7;
    return makeWorker(name, ({ op }) => (op === "forms" ? ["only"] : op === "outputs" ? { y } : op === "run" ? { milliseconds: [1], read: [y[0]!] } : undefined));
  });
  let asked = 0;
  let dead = true;
  const judge = makeWorker("judge", (request) => {
    if (dead && asked++ === failsAt) throw new EngineFailure("its process ended (SIGKILL)");
    return request.op === "truth" ? truthOf(request.problem, request.slice) : undefined;
  });
  const settings = { seconds: 1e-3, maxRunSeconds: 1, limitSeconds: 1, work: 1, stopped: () => false, say: () => {} };
  const failed = await benchCase(problem, "a", engines, judge, settings);
  expect(failed.engines).toMatchObject({ cytonet: { verdict: "unjudged", reason: expect.stringContaining("SIGKILL") as string }, tfjs: { verdict: "unjudged" } });
  expect([isUnjudged(failed), isOursBad(failed), failed.ours_ms, failed.ratio]).toEqual([true, false, null, null]);
  expect(released.slice(-2)).toEqual(["cytonet", "tfjs"]);
  dead = false;
  expect((await benchCase(problem, "a", engines, judge, settings)).engines).toMatchObject({ cytonet: { verdict: "right" }, tfjs: { verdict: "right" } });
});

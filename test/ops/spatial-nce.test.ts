// SpatialNCE against its formula in f64, written here a second time, densely; and on the device at the edges and at size.
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/engine/interpret.ts";
import { constant, sizeOf, tensorOf, trace, type Storage, type Tensor } from "../../src/engine/trace.ts";
import type { Dtype } from "../../src/kernel/dtype.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { gradients } from "../../src/ops/grad.ts";
import { spatialNce, type SpatialNceOptions } from "../../src/ops/spatial-nce.ts";
import { useEngine } from "../support/engine.ts";

interface Samples {
  readonly n: number;
  readonly d: number;
  readonly z: Float64Array;
  readonly position: Float64Array;
  readonly space: Float64Array;
  readonly view: Float64Array;
}

function drawSamples(n: number, d: number, seed: number, spaces = 2): Samples {
  const random = randomStream(keyOfSeed(seed), [9, 0, 0]);
  return {
    n,
    d,
    z: Float64Array.from({ length: n * d }, () => random.normal()),
    position: Float64Array.from({ length: 3 * n }, () => Math.fround(10 * random.uniform())),
    space: Float64Array.from({ length: n }, () => random.below(spaces)),
    view: Float64Array.from({ length: n }, (_, i) => i >> 1),
  };
}

/** K and whether the pair counts at all, for every pair. */
type PairRule = (i: number, j: number) => { readonly mass: number; readonly counts: boolean };

function ruleOf(x: Samples, o: SpatialNceOptions): PairRule {
  return (i, j) => {
    if (o.kernel === "views") return { mass: x.view[i] === x.view[j] ? 1 : 0, counts: true };
    if (x.space[i] !== x.space[j]) return { mass: 0, counts: o.crossSpace !== "ignore" };
    const d = Math.hypot(...[0, 1, 2].map((axis) => x.position[3 * i + axis]! - x.position[3 * j + axis]!));
    if (o.ignoreBand && d > o.ignoreBand[0] && d < o.ignoreBand[1]) return { mass: 0, counts: false };
    if (o.kernel === "radius") return { mass: d <= o.radius! ? 1 : 0, counts: true };
    return { mass: d <= 3 * o.sigma! ? Math.exp(-(d ** 2) / (2 * o.sigma! ** 2)) : 0, counts: true };
  };
}

function similarities(x: Samples, tau: number): number[][] {
  const rows = Array.from({ length: x.n }, (_, i) => {
    const row = [...x.z.subarray(i * x.d, (i + 1) * x.d)];
    const norm = Math.hypot(...row);
    return row.map((value) => value / norm);
  });
  return rows.map((a) => rows.map((b) => a.reduce((sum, value, k) => sum + value * b[k]!, 0) / tau));
}

function denseLoss(x: Samples, o: SpatialNceOptions) {
  const s = similarities(x, o.tau ?? 0.1);
  const rule = ruleOf(x, o);
  let [loss, entropy, anchors] = [0, 0, 0];
  for (let i = 0; i < x.n; i++) {
    const others = Array.from({ length: x.n }, (_, j) => j).filter((j) => j !== i && rule(i, j).counts);
    const mass = others.reduce((sum, j) => sum + rule(i, j).mass, 0);
    if (mass === 0) continue;
    const top = Math.max(...others.map((j) => s[i]![j]!));
    const lse = top + Math.log(others.reduce((sum, j) => sum + Math.exp(s[i]![j]! - top), 0));
    anchors++;
    for (const j of others) {
      const q = rule(i, j).mass / mass;
      loss -= q * (s[i]![j]! - lse);
      entropy -= q > 0 ? q * Math.log(q) : 0;
    }
  }
  return { loss: anchors && loss / anchors, entropy: anchors && entropy / anchors, anchors };
}

/** The op as traced, with its gradient, over inputs that are given by name. */
function build(x: Readonly<Record<string, Tensor>>, o: SpatialNceOptions) {
  const { z, position, space, view } = x;
  const places = o.kernel === "views" ? { view: view! } : { position: position!, space: space! };
  const result = spatialNce(z!, places, o);
  const [dz] = gradients(result.loss, [z!], constant(Float32Array.of(1), [], "f32"));
  return { ...result, dz: dz! };
}

const TYPES: Readonly<Record<string, Dtype>> = { z: "f32", position: "f32", space: "i32", view: "u32" };
const shapesOf = ({ n, d }: Samples, o: SpatialNceOptions): Record<string, number[]> =>
  o.kernel === "views" ? { z: [n, d], view: [n] } : { z: [n, d], position: [n, 3], space: [n] };

/** All results in f64, by the kernels' references. */
function interpretOp(x: Samples, o: SpatialNceOptions): Map<string, Float64Array> {
  const inputs = new Map<Storage, ArrayLike<number>>();
  const { result, nodes } = trace(() => {
    const tensors = Object.entries(shapesOf(x, o)).map(([name, shape]) => {
      const storage: Storage = { kind: "input", name, dtype: TYPES[name]!, count: sizeOf(shape) };
      inputs.set(storage, x[name as "z"]);
      return [name, tensorOf(storage, shape)] as const;
    });
    return build(Object.fromEntries(tensors), o);
  });
  return interpret({ nodes, outputs: new Map(Object.entries(result).map(([name, tensor]) => [name, tensor.storage])) }, { inputs });
}

const OPTIONS: Readonly<Record<string, SpatialNceOptions>> = {
  "hard radius": { kernel: "radius", radius: 3, tau: 0.1 },
  "hard radius, band": { kernel: "radius", radius: 3, ignoreBand: [3, 5], tau: 0.2 },
  "hard radius, other spaces ignored": { kernel: "radius", radius: 3, crossSpace: "ignore", tau: 0.2 },
  "gaussian": { kernel: "gaussian", sigma: 1, tau: 0.1 },
  "gaussian, band inside its reach": { kernel: "gaussian", sigma: 2, ignoreBand: [2, 4], tau: 0.3 },
  "views": { kernel: "views", tau: 0.07 },
};
const cases = Object.entries(OPTIONS);

describe("the formula in f64", () => {
  test.each(cases)("%s: loss, entropy, divergence and anchors", (_, o) => {
    for (const seed of [1, 2, 3]) {
      const x = drawSamples(24, 6, seed);
      const truth = denseLoss(x, o);
      const got = interpretOp(x, o);
      // Sums of some hundred terms of size 1/τ at most: f64 keeps twelve digits.
      expect(got.get("loss")![0]).toBeCloseTo(truth.loss, 11);
      expect(got.get("entropy")![0]).toBeCloseTo(truth.entropy, 11);
      expect(got.get("divergence")![0]).toBeCloseTo(truth.loss - truth.entropy, 11);
      expect(got.get("anchors")![0]).toBe(truth.anchors);
      expect(truth.loss).toBeGreaterThanOrEqual(truth.entropy);
    }
  });

  test("some samples have no positive: they are dropped as anchors and stay as negatives", () => {
    const x = drawSamples(24, 6, 1);
    const { anchors } = denseLoss(x, OPTIONS["hard radius"]!);
    expect(anchors).toBeGreaterThan(0);
    expect(anchors).toBeLessThan(24);
  });

  test("a hard radius without band is the supervised contrastive loss L_out", () => {
    const x = drawSamples(20, 5, 4, 1);
    const s = similarities(x, 0.1);
    const rule = ruleOf(x, { kernel: "radius", radius: 5 });
    let [sum, anchors] = [0, 0];
    s.forEach((row, i) => {
      const denominator = row.reduce((total, value, a) => total + (a === i ? 0 : Math.exp(value)), 0);
      const positives = row.filter((_, p) => p !== i && rule(i, p).mass > 0);
      if (positives.length === 0) return;
      anchors++;
      sum += (-1 / positives.length) * positives.reduce((total, value) => total + Math.log(Math.exp(value) / denominator), 0);
    });
    expect(interpretOp(x, { kernel: "radius", radius: 5, tau: 0.1 }).get("loss")![0]).toBeCloseTo(sum / anchors, 12);
  });

  test("views are NT-Xent", () => {
    const x = drawSamples(16, 5, 5);
    const s = similarities(x, 0.5);
    const terms = s.map((row, i) => -Math.log(Math.exp(row[i ^ 1]!) / row.reduce((total, value, k) => total + (k === i ? 0 : Math.exp(value)), 0)));
    expect(interpretOp(x, { kernel: "views", tau: 0.5 }).get("loss")![0]).toBeCloseTo(terms.reduce((a, b) => a + b) / 16, 12);
  });

  test.each(cases)("%s: the gradient is that of central differences", (_, o) => {
    const x = drawSamples(24, 4, 6);
    const dz = interpretOp(x, o).get("dz")!;
    // Richardson's extrapolation of steps h and h/2: truncation of order h^4 ~ 1e-13 / τ^5, rounding 1e-15 / h.
    const h = 1e-3 * (o.tau ?? 0.1);
    const at = (index: number, step: number) => denseLoss({ ...x, z: x.z.map((value, i) => (i === index ? value + step : value)) }, o).loss;
    const scale = Math.max(...dz.map(Math.abs));
    for (let index = 0; index < dz.length; index += 5) {
      const central = (step: number) => (at(index, step) - at(index, -step)) / (2 * step);
      const difference = (4 * central(h / 2) - central(h)) / 3;
      expect(Math.abs(dz[index]! - difference) / scale).toBeLessThan(1e-8);
    }
  });

  test("the gradient is at right angles to every embedding, whose length has no say", () => {
    const x = drawSamples(24, 4, 7);
    const dz = interpretOp(x, OPTIONS["gaussian"]!).get("dz")!;
    for (let i = 0; i < x.n; i++) {
      let along = 0;
      for (let k = 0; k < x.d; k++) along += dz[i * x.d + k]! * x.z[i * x.d + k]!;
      expect(Math.abs(along)).toBeLessThan(1e-13);
    }
  });

  test("a pair at exactly the radius is a positive, at exactly a band's end a negative", () => {
    // 3-4-5 triangles: every square is exact in f32, whatever the order of rounding.
    const x: Samples = { ...drawSamples(3, 4, 8, 1), position: Float64Array.of(0, 0, 0, 3, 4, 0, 0, 0, 9), space: new Float64Array(3) };
    expect(interpretOp(x, { kernel: "radius", radius: 5 }).get("anchors")![0]).toBe(2);
    expect(interpretOp(x, { kernel: "radius", radius: 4.999 }).get("anchors")![0]).toBe(0);
    const edge = interpretOp(x, { kernel: "radius", radius: 5, ignoreBand: [5, 9] }).get("loss")![0]!;
    const inside = interpretOp(x, { kernel: "radius", radius: 5, ignoreBand: [5, 9.001] }).get("loss")![0]!;
    expect(edge).toBeCloseTo(denseLoss(x, { kernel: "radius", radius: 5, ignoreBand: [5, 9] }).loss, 12);
    expect(inside).toBeLessThan(edge);
  });
});

describe("misuse", () => {
  const [n, d] = [4, 3];
  const leaf = (dtype: Dtype, ...shape: number[]): Tensor => tensorOf({ kind: "input", name: "x", dtype, count: sizeOf(shape) }, shape);
  const attempt = (z: Tensor, places: Parameters<typeof spatialNce>[1], o: SpatialNceOptions) => () => trace(() => spatialNce(z, places, o));
  const places = { position: leaf("f32", n, 3), space: leaf("i32", n) };
  test.each<[RegExp, () => unknown]>([
    [/embeddings have shape \[4\]/, attempt(leaf("f32", n), places, { kernel: "radius", radius: 1 })],
    [/embeddings are f16, expected f32/, attempt(leaf("f16", n, d), places, { kernel: "radius", radius: 1 })],
    [/no position, expected f32 \[4, 3\]/, attempt(leaf("f32", n, d), {}, { kernel: "radius", radius: 1 })],
    [/space is u32 \[4\], expected i32 \[4\]/, attempt(leaf("f32", n, d), { ...places, space: leaf("u32", n) }, { kernel: "radius", radius: 1 })],
    [/view is u32 \[5\]/, attempt(leaf("f32", n, d), { view: leaf("u32", 5) }, { kernel: "views" })],
    [/radius is undefined/, attempt(leaf("f32", n, d), places, { kernel: "radius" })],
    [/sigma is -1/, attempt(leaf("f32", n, d), places, { kernel: "gaussian", sigma: -1 })],
    [/tau is 0/, attempt(leaf("f32", n, d), places, { kernel: "gaussian", sigma: 1, tau: 0 })],
    [/ignored band is 5 to 3 mm/, attempt(leaf("f32", n, d), places, { kernel: "gaussian", sigma: 1, ignoreBand: [5, 3] })],
    [/the kernel views has no distances/, attempt(leaf("f32", n, d), { view: leaf("u32", n) }, { kernel: "views", crossSpace: "ignore" })],
  ])("%s", (message, run) => expect(run).toThrow(message));
});

describe("on the device", () => {
  const engine = useEngine();

  const planOf = (x: Samples, o: SpatialNceOptions) =>
    engine().plan((inputs) => build(inputs, o), Object.fromEntries(Object.entries(shapesOf(x, o)).map(([name, shape]) => [name, { shape, dtype: TYPES[name]! }])), { label: "spatialNce" });
  const arraysOf = (x: Samples, o: SpatialNceOptions) =>
    Object.fromEntries(Object.keys(shapesOf(x, o)).map((name) => [name, name === "space" ? Int32Array.from(x.space) : name === "view" ? Uint32Array.from(x.view) : Float32Array.from(x[name as "z"])]));
  async function run(x: Samples, o: SpatialNceOptions) {
    const plan = await planOf(x, o);
    try {
      return { got: await plan.run(arraysOf(x, o)), plan };
    } finally {
      plan.dispose();
    }
  }

  test("edges: one sample, two, nobody near, all in one point", async () => {
    const near: SpatialNceOptions = { kernel: "radius", radius: 2, tau: 0.07 };
    const one = (await run(drawSamples(1, 4, 1), near)).got;
    expect([one["loss"]![0], one["anchors"]![0], ...one["dz"]!]).toEqual([0, 0, 0, 0, 0, 0]);

    const pair = { ...drawSamples(2, 4, 2), space: new Float64Array(2), position: new Float64Array(6) };
    const two = (await run(pair, near)).got;
    // Each is the other's only alternative: p = q = 1, up to the rounding of lse - s at |s| ≤ 1/τ and the allowance of exp and log.
    expect(two["anchors"]![0]).toBe(2);
    expect(Math.abs(two["loss"]![0]!)).toBeLessThan(8 * 2 ** -23 / 0.07);

    const far = { ...drawSamples(9, 4, 3), position: Float64Array.from({ length: 27 }, (_, i) => 100 * i) };
    const alone = (await run(far, near)).got;
    expect([alone["loss"]![0], alone["entropy"]![0], alone["anchors"]![0]]).toEqual([0, 0, 0]);
    expect([...alone["dz"]!].every((value) => value === 0)).toBe(true);

    const heap = { ...drawSamples(33, 8, 4), z: new Float64Array(33 * 8).fill(1), position: new Float64Array(99), space: new Float64Array(33) };
    const same = (await run(heap, near)).got;
    // p and q are both uniform over 32 others; s = 1/τ is rounded, sums of 32 terms lose 5 bits at most.
    expect(Math.abs(same["loss"]![0]! - Math.log(32))).toBeLessThan(32 * 2 ** -23 / 0.07);
    expect(Math.abs(same["entropy"]![0]! - Math.log(32))).toBeLessThan(32 * 2 ** -23 * Math.log(32));
    expect([...same["dz"]!].every((value) => Math.abs(value) < (32 * 2 ** -23) / 0.07 ** 2)).toBe(true);

    const zeros = { ...drawSamples(9, 4, 5), z: new Float64Array(36) };
    const nothing = (await run(zeros, { kernel: "views", tau: 0.07 })).got;
    expect(Number.isFinite(nothing["loss"]![0])).toBe(true);
    expect([...nothing["dz"]!].every((value) => value === 0)).toBe(true);
  });

  test("16,384 embeddings of 32: right, and in memory of O(n·d)", async (context) => {
    const o: SpatialNceOptions = { kernel: "gaussian", sigma: 2, tau: 0.1 };
    const trial = drawSamples(2048, 32, 1);
    await run(trial, o);                                             // compiles, which does not grow with n
    const begin = performance.now();
    await run(trial, o);
    const predicted = ((performance.now() - begin) / 1000) * 64;
    if (predicted > 60) context.skip(`${engine().device.fingerprint.adapter} would take about ${predicted.toFixed(0)} s, more than 60`);

    // 64 places with one embedding each, every one 256 times: sums over 16,384 samples collapse to sums over 64, exact in f64.
    const [places, copies, n, d] = [64, 256, 16384, 32];
    const few = drawSamples(places, d, 2);
    const spread = (values: Float64Array, width: number) => Float64Array.from({ length: n * width }, (_, at) => values[(Math.floor(at / width) % places) * width + (at % width)]!);
    const x: Samples = { n, d, z: spread(few.z, d), position: spread(few.position, 3), space: spread(few.space, 1), view: new Float64Array(n) };
    const { got, plan } = await run(x, o);

    const s = similarities(few, 0.1);
    const rule = ruleOf(few, o);
    const count = (g: number, h: number) => (g === h ? copies - 1 : copies);
    const rows = s.map((row, g) => {
      const total = row.reduce((sum, value, h) => sum + count(g, h) * Math.exp(value), 0);
      const mass = row.reduce((sum, _, h) => sum + count(g, h) * rule(g, h).mass, 0);
      return { lse: Math.log(total), mass };
    });
    let [loss, entropy] = [0, 0];
    rows.forEach(({ lse, mass }, g) => {
      s[g]!.forEach((value, h) => {
        const q = rule(g, h).mass / mass;
        loss += (count(g, h) * q * (lse - value)) / places;
        entropy -= q > 0 ? (count(g, h) * q * Math.log(q)) / places : 0;
      });
    });
    // Rounding errors of n additions add up like a random walk: √n half-ulps, eightfold for the tail, on terms of size 1/τ.
    const relative = 8 * Math.sqrt(n) * 2 ** -24;
    expect(got["anchors"]![0]).toBe(n);
    expect(Math.abs(got["loss"]![0]! - loss)).toBeLessThan(relative / 0.1);
    expect(Math.abs(got["entropy"]![0]! - entropy)).toBeLessThan(relative * Math.log(n));

    // The gradient of one sample of each place.
    const unit = Array.from({ length: places }, (_, g) => {
      const row = [...few.z.subarray(g * d, (g + 1) * d)];
      const norm = Math.hypot(...row);
      return { row: row.map((value) => value / norm), norm };
    });
    let [largest, worst] = [0, 0];
    unit.forEach(({ row, norm }, g) => {
      const dy = new Float64Array(d);
      unit.forEach(({ row: other }, h) => {
        const { mass } = rule(g, h);
        const weight = Math.exp(s[g]![h]! - rows[g]!.lse) - mass / rows[g]!.mass + Math.exp(s[g]![h]! - rows[h]!.lse) - mass / rows[h]!.mass;
        for (let k = 0; k < d; k++) dy[k]! += (count(g, h) * weight * other[k]!) / 0.1 / n;
      });
      const along = dy.reduce((sum, value, k) => sum + value * row[k]!, 0);
      dy.forEach((value, k) => {
        const dz = (value - row[k]! * along) / norm;
        largest = Math.max(largest, Math.abs(dz));
        worst = Math.max(worst, Math.abs(got["dz"]![g * d + k]! - dz));
      });
    });
    // p and q of a row sum to 1 each, in both directions: 4 terms of size 1/(τ n); the error of s adds 1/τ of theirs.
    const bound = (relative * 4 * (1 + 1 / 0.1)) / 0.1 / n / Math.min(...unit.map(({ norm }) => norm));
    expect(worst).toBeLessThan(bound);
    expect(largest).toBeGreaterThan(20 * bound);

    // z, its unit rows, two gradients and a dozen numbers a sample; the similarities alone would be 1 GiB.
    expect(plan.statistics.ownBytes).toBeLessThan(4 * n * (6 * d + 32));
    const half = await planOf({ ...trial, n: n / 2 }, o);
    expect(plan.statistics.ownBytes / half.statistics.ownBytes).toBeLessThan(2.01);
    half.dispose();
    expect(engine().device.ledger().peak).toBeLessThan(16 * 4 * n * d);
  }, 300_000);
});

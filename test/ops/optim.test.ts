// Optimizers against formulas in f64 written here a second time; skipping, clipping and the loss scale on the device.
import { describe, expect, test } from "vitest";
import { f32 } from "../../src/engine/engine.ts";
import { place } from "../../src/engine/trace.ts";
import { keyOfSeed, randomStream } from "../../src/kernel/rng.ts";
import { accumulate, adamw, CONTROL, CONTROL_SIZE, ema, HYPER_SIZE, gradientControl, lars, lossSeed, packHyper, sgd } from "../../src/ops/optim.ts";
import { scale } from "../../src/ops/scale.ts";
import { useEngine } from "../support/engine.ts";

const engine = useEngine();

type Kind = "adamw" | "sgd" | "nesterov";

/** State and a plan of one step whose gradient is an input. */
async function prepare(kind: Kind, n: number, decayEnd: number, initial: Float32Array) {
  const parameters = engine().state("parameters", [n], "f32", initial);
  const gradients = engine().state("gradients", [n]);
  const first = engine().state("first", [n]);
  const second = engine().state("second", [n]);
  const control = engine().state("control", [CONTROL_SIZE]);
  const plan = await engine().plan(
    ({ g, hyper }) => {
      place(scale(g, 1), gradients);
      const step = { parameters, gradients, control, hyper, decayEnd };
      gradientControl({ gradients, control, hyper });
      if (kind === "adamw") adamw({ ...step, m: first, v: second });
      else sgd({ ...step, velocity: first, nesterov: kind === "nesterov" });
      return { seed: lossSeed(control) };
    },
    { g: f32(n), hyper: f32(HYPER_SIZE) },
    { label: kind },
  );
  const states = { parameters, first, second, control };
  const read = async () => Object.fromEntries(await Promise.all(Object.entries(states).map(async ([name, tensor]) => [name, [...(await engine().read(tensor))]] as const)));
  const dispose = () => {
    plan.dispose();
    for (const tensor of [parameters, gradients, first, second, control]) engine().free(tensor);
  };
  return { plan, read, dispose };
}

const n = 260;
const decayEnd = 130;
const draw = (seed: number, size: number) => {
  const random = randomStream(keyOfSeed(seed), [5, 0, 0]);
  return Float32Array.from({ length: n }, () => size * random.normal());
};
const lengthOf = (g: ArrayLike<number>) => Math.hypot(...Array.from(g));

describe.each<Kind>(["adamw", "sgd", "nesterov"])("%s", (kind) => {
  test("ten steps are those of the formula in f64", async () => {
    const initial = draw(100, 1);
    const { plan, read, dispose } = await prepare(kind, n, decayEnd, initial);
    const [p, a, b] = [Float64Array.from(initial), new Float64Array(n), new Float64Array(n)];
    const [beta1, beta2, weightDecay, clip] = [0.9, 0.99, 0.1, 4].map(Math.fround) as [number, number, number, number];
    const [epsilon, gradientScale] = [1e-8, 0.5];
    let norm = 0;
    for (let t = 1; t <= 10; t++) {
      const lr = 0.02 / t;
      const g = draw(t, t % 2 ? 1 : 0.1);
      await plan.run({ g, hyper: packHyper({ learningRate: lr, beta1, beta2, epsilon, weightDecay, clip, gradientScale }) });
      norm = gradientScale * lengthOf(g);
      const factor = gradientScale * Math.min(1, clip / norm);
      for (let i = 0; i < n; i++) {
        const decay = i < decayEnd ? weightDecay : 0;
        let gi = factor * g[i]!;
        if (kind === "adamw") {
          a[i] = beta1 * a[i]! + (1 - beta1) * gi;
          b[i] = beta2 * b[i]! + (1 - beta2) * gi * gi;
          p[i] = p[i]! * (1 - lr * decay) - (lr * (a[i]! / (1 - beta1 ** t))) / (Math.sqrt(b[i]! / (1 - beta2 ** t)) + epsilon);
        } else {
          gi += decay * p[i]!;
          a[i] = beta1 * a[i]! + gi;
          p[i] = p[i]! - lr * (kind === "nesterov" ? gi + beta1 * a[i]! : a[i]!);
        }
      }
    }
    const got = await read();
    // Per step fewer than 20 roundings of 2^-24 and three divisions or roots of 3 ulp: under 2^-18 of a step or a moment each.
    const worst = (name: string, truth: Float64Array) => Math.max(...Array.from(truth, (value, i) => Math.abs(got[name]![i]! - value)));
    expect(worst("parameters", p)).toBeLessThan(10 * 2 ** -18 * 0.1 + 10 * 2 ** -24 * Math.max(...p.map(Math.abs)));
    expect(worst("first", a)).toBeLessThan(10 * 2 ** -18 * Math.max(...a.map(Math.abs)));
    if (kind === "adamw") expect(worst("second", b)).toBeLessThan(10 * 2 ** -18 * Math.max(...b));
    const control = got["control"]!;
    expect(control[CONTROL.steps]).toBe(10);
    expect(control[CONTROL.finite]).toBe(1);
    expect(Math.abs(control[CONTROL.norm]! / norm - 1)).toBeLessThan(2 ** -18);
    expect(Math.abs(control[CONTROL.correction2]! / (1 - beta2 ** 10) - 1)).toBeLessThan(2 ** -18);
    dispose();
  });

  test("a step whose gradient is not finite changes no parameter, moment or count", async () => {
    const { plan, read, dispose } = await prepare(kind, n, decayEnd, draw(100, 1));
    const hyper = packHyper({ learningRate: 0.01, clip: 1, weightDecay: 0.1 });
    await plan.run({ g: draw(1, 1), hyper });
    const before = await read();
    for (const [at, value] of [[0, NaN], [n - 1, Infinity], [131, -Infinity], [7, 3e38]] as const) {
      const g = draw(2, 1);
      g[at] = value;
      await plan.run({ g, hyper });
      const after = await read();
      expect(after["control"]![CONTROL.finite], `${value} at ${at}`).toBe(0);
      for (const name of ["parameters", "first", "second"]) expect(after[name]).toEqual(before[name]);
      for (const place of [CONTROL.steps, CONTROL.correction1, CONTROL.correction2]) expect(after["control"]![place]).toBe(before["control"]![place]);
    }
    await plan.run({ g: draw(3, 1), hyper });
    const later = await read();
    expect(later["control"]![CONTROL.steps]).toBe(2);
    expect(later["parameters"]).not.toEqual(before["parameters"]);
    dispose();
  });
});

test("the loss scale grows after a streak, halves at an overflow, and does not reach the weights", async () => {
  const scaled = await prepare("adamw", n, decayEnd, draw(100, 1));
  const plain = await prepare("adamw", n, decayEnd, draw(100, 1));
  let lossScale = 1;
  const scales: number[] = [];
  for (let t = 0; t < 8; t++) {
    const g = draw(t, 1);
    const raw = g.map((value) => value * lossScale);
    if (t === 5) raw[3] = Infinity;
    const { seed } = await scaled.plan.run({ g: raw, hyper: packHyper({ learningRate: 0.01, clip: 1, growthInterval: 2, maxLossScale: 4 }) });
    if (t !== 5) await plain.plan.run({ g, hyper: packHyper({ learningRate: 0.01, clip: 1 }) });
    lossScale = seed![0]!;
    scales.push(lossScale);
  }
  expect(scales).toEqual([1, 2, 2, 4, 4, 2, 2, 4]);
  // Powers of two change no digit.
  const [a, b] = [await scaled.read(), await plain.read()];
  expect(a["parameters"]).toEqual(b["parameters"]);
  scaled.dispose();
  plain.dispose();
});

test("LARS moves a tensor by its trust ratio, biases and norms by the plain rate; averages follow faster at first", async () => {
  // Two tensors of 70 and 64 elements at 0 and 128; the second, beyond decayEnd, is a bias. Between them lies padding.
  const tensors = [{ first: 0, count: 70 }, { first: 128, count: 64 }];
  const inside = (i: number) => i < 70 || i >= 128;
  const [p, g] = [draw(5, 1).subarray(0, 192).map((value, i) => (inside(i) ? value : 0)), draw(6, 1).subarray(0, 192).map((value, i) => (inside(i) ? value : 0))];
  const state = (name: string, data: Float32Array) => engine().state(name, [192], "f32", data);
  const [parameters, gradients, velocity, average] = [state("p", p), state("g", g), state("v", new Float32Array(192)), state("a", p)];
  const control = engine().state("control", [CONTROL_SIZE]);
  const plan = await engine().plan(
    ({ hyper }) => {
      gradientControl({ gradients, control, hyper: hyper! });
      lars({ parameters, gradients, velocity, control, hyper: hyper!, decayEnd: 128, tensors, trust: 0.02 });
      ema({ average, values: parameters, control, decay: 0.9 });
      return {};
    },
    { hyper: f32(HYPER_SIZE) },
  );
  await plan.run({ hyper: packHyper({ learningRate: 0.5, weightDecay: 0.1 }) });
  const norm = (x: Float32Array) => Math.sqrt(x.subarray(0, 70).reduce((sum, value) => sum + value * value, 0));
  const ratio = (0.02 * norm(p)) / (norm(g) + 0.1 * norm(p));
  const expected = Array.from(p, (value, i) => value - 0.5 * (i < 128 ? ratio * (g[i]! + 0.1 * value) : g[i]!));
  // Sums of 70 squares, a root, a division: some roundings of numbers below 8, half an ulp of 2^-21 each.
  (await engine().read(parameters)).forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(10 * 2 ** -22));
  // After one step 1 − 2/11 of the way.
  (await engine().read(average)).forEach((value, i) => expect(Math.abs(value - (p[i]! + (9 / 11) * (expected[i]! - p[i]!)))).toBeLessThan(12 * 2 ** -22));
  plan.dispose();
  await expect(engine().plan(({ hyper }) => (lars({ parameters, gradients, velocity, control, hyper: hyper!, decayEnd: 128, tensors: [{ first: 0, count: 130 }, tensors[1]!] }), {}), { hyper: f32(HYPER_SIZE) })).rejects.toThrow(/tensor 0 has 130 elements from 0, expected a multiple of 64 to begin at and an end before the next, at 128/);
  [parameters, gradients, velocity, average, control].forEach((tensor) => engine().free(tensor));
});

test("adding up a gradient keeps what is not finite, by its bits, and begins at zero", async () => {
  const total = engine().state("total", [8], "f32", Float32Array.of(1, NaN, Infinity, -Infinity, 3e38, 2, 0.5, -1));
  const part = engine().state("part", [8], "f32", Float32Array.of(2, 1, -Infinity, 1, 3e38, NaN, Infinity, 1));
  const adding = await engine().plan(() => (accumulate(total, part), {}), {});
  await adding.run({});
  expect([...(await engine().read(total))]).toEqual([3, NaN, Infinity, -Infinity, Infinity, NaN, Infinity, 0]);
  const clearing = await engine().plan(() => (accumulate(total), {}), {});
  await clearing.run({});
  expect([...(await engine().read(total))]).toEqual(Array(8).fill(0));
  [adding, clearing].forEach((plan) => plan.dispose());
  [total, part].forEach((tensor) => engine().free(tensor));
});

test("misuse is refused", async () => {
  const state = (count: number) => engine().state("x", [count]);
  const [p, g, m, v, control] = [state(8), state(8), state(8), state(8), state(CONTROL_SIZE)];
  const attempt = (change: object) =>
    engine().plan(({ hyper }) => (adamw({ parameters: p, gradients: g, m, v, control, hyper, decayEnd: 8, ...change }), {}), { hyper: f32(HYPER_SIZE) });
  await expect(attempt({ gradients: state(12) })).rejects.toThrow(/gradients is f32 \[12\], expected 8 f32 elements/);
  await expect(attempt({ control: state(4) })).rejects.toThrow(/control is f32 \[4\], expected 8/);
  await expect(attempt({ decayEnd: 9 })).rejects.toThrow(/decayEnd is 9, expected an integer from 0 to 8/);
});

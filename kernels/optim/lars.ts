// The descriptors of LARS: the trust ratio of each tensor, and gradient descent by it.
import { as, ceilDiv, defineKernel, read, update, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_INPUT, CONTROL_SIZE, HYPER, HYPER_INPUT, HYPER_SIZE, decayWithin } from "./control.ts";
import ratioNaive from "./lars-ratio.naive.wgsl?raw";
import ratioTree from "./lars-ratio.tree.wgsl?raw";
import naive from "./lars.naive.wgsl?raw";
import vec4 from "./lars.vec4.wgsl?raw";

/** Every tensor begins at a multiple of so many elements of the flat buffers: 256 bytes. */
export const TENSOR_STEP = 64;

/** Layer-wise trust ratio (You, Gitman and Ginsburg 2017). Tensors from `decayEnd` on, biases and norms, keep the plain rate. */
export const larsRatio = defineKernel({
  name: "lars-ratio",
  doc: "ratio = trust · |p|/(|g| + decay · |p|) of each tensor, g = factor · gradient; 1 for tensors from decayEnd on, and where either norm is 0. Of tensors that begin in the n elements from `base` on, which are what it sees of both.",
  dims: ["n", "tensors", "decayEnd", "base"],
  scalars: ["trust"],
  derive: () => ({ base: 0 }),
  dtypes: ["f32"],
  args: {
    parameters: read("n"),
    gradients: read("n"),
    first: as("u32", read("tensors")),
    count: as("u32", read("tensors")),
    control: as("f32", read(CONTROL_SIZE)),
    hyper: as("f32", read(HYPER_SIZE)),
    ratio: as("f32", write("tensors")),
  },
  libraries,
  variants: {
    naive: { source: ratioNaive, grid: ({ tensors }) => [ceilDiv(tensors, 64), 1, 1] },
    tree: { source: ratioTree, grid: ({ tensors }) => [tensors, 1, 1] },
  },
  choose: (_, { barriers }) => (barriers === "dear" ? [{ variant: "naive" }] : [{ variant: "tree" }]),
  flops: ({ n }) => 4 * n,
  builtins: { sqrt: 2, division: 1 },
  inputs: {
    hyper: HYPER_INPUT,
    control: CONTROL_INPUT,
    // Tensors of one size; the first is all zeros in the larger cases.
    parameters: (random, index, { n, tensors }) => (n > 500 && index < Math.floor(n / tensors!) ? 0 : 2 * random() - 1),
    first: (_, index, { n, tensors }) => index * Math.floor(n! / tensors!),
    count: (_, __, { n, tensors }) => Math.floor(n! / tensors!),
  },
  reference({ parameters, gradients, first, count, control, hyper, ratio }, { n, tensors, decayEnd, base, trust }, { round }) {
    for (let t = 0; t < tensors; t++) {
      if (first[t]! < base || first[t]! >= base + n) continue;
      let [p, g] = [0, 0];
      for (let i = first[t]!; i < first[t]! + count[t]!; i++) {
        p = round(p + round(parameters[i - base]! ** 2));
        g = round(g + round(round(gradients[i - base]! * control[CONTROL.factor]!) ** 2));
      }
      [p, g] = [round(Math.sqrt(p)), round(Math.sqrt(g))];
      const whole = round(g + round(hyper[HYPER.weightDecay]! * p));
      ratio[t] = first[t]! >= decayEnd || p === 0 || g === 0 ? 1 : round(round(trust * p) / whole);
    }
  },
  cases: {
    one: { numbers: { n: 7, tensors: 1, decayEnd: 7, trust: 0.001 } },
    some: { numbers: { n: 1920, tensors: 5, decayEnd: 1200, trust: 0.02 } },
    "161 of r50": { numbers: { n: 25_000_000, tensors: 161, decayEnd: 24_000_000, trust: 0.001 }, bench: true },
  },
  // Whole tensors, as many as fit.
  split: (numbers, _, room) => {
    const [first, count] = [room.data("first"), room.data("count")];
    if (!first || !count) return undefined;
    const spans: { base: number; end: number }[] = [];
    const most = Math.min(room.most("parameters"), room.most("gradients"));
    Array.from(first, (from, t) => {
      const end = from + count[t]!;
      const last = spans.at(-1);
      if (last && end - last.base <= most) last.end = end;
      else spans.push({ base: from, end });
    });
    return spans.map(({ base, end }) => {
      const window = { first: base, count: end - base };
      return { numbers: { ...numbers, n: end - base, base }, windows: { parameters: window, gradients: window } };
    });
  },
  gradient: { none: "works on gradients" },
});

/** Gradient descent with momentum in which every tensor has a rate of its own. */
export const lars = defineKernel({
  name: "lars",
  doc: "velocity ← momentum · velocity + ratio · (factor · gradient + decay · p), p ← p − lr · velocity, by the ratio of the tensor that owns each 64 elements; nothing where the step is not taken.",
  dims: ["n", "decayEnd", "tensors", "blocks"],
  derive: ({ n }) => ({ blocks: ceilDiv(n, TENSOR_STEP) }),
  dtypes: ["f32"],
  args: {
    parameters: update("n"),
    gradients: read("n"),
    velocity: update("n"),
    owner: as("u32", read("blocks")),
    ratio: as("f32", read("tensors")),
    control: as("f32", read(CONTROL_SIZE)),
    hyper: as("f32", read(HYPER_SIZE)),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => 8 * n,
  inputs: { hyper: HYPER_INPUT, control: CONTROL_INPUT, owner: (_, index, { tensors }) => index % tensors!, ratio: (random) => 0.1 + random() },
  reference({ parameters, gradients, velocity, owner, ratio, control, hyper }, { n, decayEnd }, { round }) {
    if (control[CONTROL.finite] === 0) return;
    for (let i = 0; i < n; i++) {
      const decay = i < decayEnd ? hyper[HYPER.weightDecay]! : 0;
      const g = round(round(gradients[i]! * control[CONTROL.factor]!) + round(decay * parameters[i]!));
      velocity[i] = round(round(hyper[HYPER.beta1]! * velocity[i]!) + round(ratio[owner[Math.floor(i / TENSOR_STEP)]!]! * g));
      parameters[i] = round(parameters[i]! - round(hyper[HYPER.learningRate]! * velocity[i]!));
    }
  },
  cases: {
    one: { numbers: { n: 1, decayEnd: 1, tensors: 1 } },
    odd: { numbers: { n: 333, decayEnd: 100, tensors: 3 } },
    even: { numbers: { n: 1024, decayEnd: 510, tensors: 5 } },
    "25 million": { numbers: { n: 25_000_000, decayEnd: 24_000_000, tensors: 161 }, bench: true },
  },
  free: { n: "decayEnd" },
  split: (numbers, flags, room) =>
    splitAlong("n", { step: () => TENSOR_STEP * room.step("owner"), numbers: decayWithin })(numbers, flags, { ...room, args: Object.fromEntries(Object.entries(room.args).filter(([name]) => name !== "owner")) })?.map((launch) => {
      const { first, count } = launch.windows["parameters"]!;
      const blocks = ceilDiv(count, TENSOR_STEP);
      return { numbers: { ...launch.numbers, blocks }, windows: { ...launch.windows, owner: { first: first / TENSOR_STEP, count: blocks } } };
    }),
  gradient: { none: "changes parameters" },
});

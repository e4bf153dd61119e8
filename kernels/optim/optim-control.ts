// The descriptor of the kernel that decides what an optimizer's step does.
import { as, defineKernel, read, update } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_SIZE, CONTROL_INPUT, HYPER, HYPER_SIZE, HYPER_INPUT } from "./control.ts";
import naive from "./optim-control.naive.wgsl?raw";
import tree from "./optim-control.tree.wgsl?raw";

/** Second stage of the gradient norm, and everything that follows from it; see `CONTROL` for the layout. */
export const optimControl = defineKernel({
  name: "optim_control",
  doc: "Norm √Σ squares, factor gradientScale/lossScale · min(1, clip/norm), finite or not, step count, bias corrections, loss scale. Non-finite: nothing counts, the loss scale halves. Beyond the limit: nothing counts.",
  dims: ["parts"],
  dtypes: ["f32"],
  args: {
    squares: as("f32", read("parts")),
    broken: as("u32", read("parts")),
    hyper: as("f32", read(HYPER_SIZE)),
    control: as("f32", update(CONTROL_SIZE)),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: () => [1, 1, 1] },
    tree: { source: tree, grid: () => [1, 1, 1] },
  },
  choose: ({ parts }, { barriers }) => (barriers === "dear" && parts < 1024 ? [{ variant: "naive" }] : [{ variant: "tree" }]),
  flops: ({ parts }) => 2 * parts,
  builtins: { division: 3, sqrt: 1 },
  inputs: {
    hyper: (random, index, { parts }) => (index === HYPER.limit ? ({ 38: 0.5, 1000: 1e4 }[parts] ?? 0) : HYPER_INPUT(random, index)),
    control: CONTROL_INPUT,
    squares: (random) => random(),
    broken: (_, index, { parts }) => (parts === 37 && index === 5 ? 3 : 0),
  },
  reference({ squares, broken, hyper, control }, _, { round }) {
    const [sum, bad] = [squares.reduce((a, b) => round(a + b), 0), broken.reduce((a, b) => a + b, 0)];
    const scale = control[CONTROL.lossScale]! > 0 ? control[CONTROL.lossScale]! : 1;
    const interval = hyper[HYPER.growthInterval]!;
    if (bad > 0 || !(Math.fround(sum) < Infinity)) {
      control[CONTROL.norm] = 0;
      control[CONTROL.factor] = 0;
      control[CONTROL.finite] = 0;
      control[CONTROL.lossScale] = interval > 0 ? Math.max(1, scale / 2) : scale;
      control[CONTROL.streak] = 0;
      return;
    }
    const norm = round(Math.sqrt(sum));
    if (hyper[HYPER.limit]! > 0 && norm > hyper[HYPER.limit]!) {
      control[CONTROL.norm] = norm;
      control[CONTROL.factor] = 0;
      control[CONTROL.finite] = 0;
      return;
    }
    const clip = hyper[HYPER.clip]!;
    control[CONTROL.steps]! += 1;
    control[CONTROL.norm] = norm;
    control[CONTROL.factor] = round(round(hyper[HYPER.gradientScale]! / scale) * (clip > 0 && norm > clip ? round(clip / norm) : 1));
    control[CONTROL.finite] = 1;
    control[CONTROL.correction1] = round(round(hyper[HYPER.beta1]! * control[CONTROL.correction1]!) + (1 - hyper[HYPER.beta1]!));
    control[CONTROL.correction2] = round(round(hyper[HYPER.beta2]! * control[CONTROL.correction2]!) + (1 - hyper[HYPER.beta2]!));
    const streak = control[CONTROL.streak]! + 1;
    const due = interval > 0 && streak >= interval;
    control[CONTROL.lossScale] = due ? Math.min(scale * 2, Math.max(scale, hyper[HYPER.maxLossScale]!)) : scale;
    control[CONTROL.streak] = due ? 0 : streak;
  },
  cases: {
    one: { numbers: { parts: 1 } },
    "not finite": { numbers: { parts: 37 } },
    "beyond the limit": { numbers: { parts: 38 } },
    many: { numbers: { parts: 1000 } },
    all: { numbers: { parts: 16384 }, bench: true },
  },
  free: { parts: 1 },
  gradient: { none: "works on gradients" },
});

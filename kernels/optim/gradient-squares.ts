// The descriptor of the first stage of the gradient norm.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_SIZE, CONTROL_INPUT, HYPER, HYPER_SIZE, HYPER_INPUT } from "./control.ts";
import naive from "./gradient-squares.naive.wgsl?raw";
import vec4 from "./gradient-squares.vec4.wgsl?raw";

/** Enough invocations for a GPU, few enough for one workgroup to add up. */
const MAX_PARTS = 16384;

/** Parts that a gradient of n elements is summed in. */
export function partsOf(n: number): number {
  return Math.min(MAX_PARTS, Math.max(1, ceilDiv(n, 64)));
}

/** Partial sums of squares; the second stage is `optim_control`. */
export const gradientSquares = defineKernel({
  name: "gradient_squares",
  doc: "Per part (every parts-th group of four elements): Σ (g · gradientScale / lossScale)² over the finite elements, and the number of those that are not. From `first` elements on they add to what is there.",
  dims: ["n", "parts", "first"],
  derive: ({ n }) => ({ parts: partsOf(n), first: 0 }),
  dtypes: ["f32"],
  args: {
    gradients: read("n"),
    hyper: as("f32", read(HYPER_SIZE)),
    control: as("f32", read(CONTROL_SIZE)),
    squares: as("f32", write("parts")),
    broken: as("u32", write("parts")),
  },
  libraries,
  variants: {
    naive: { source: naive, grid: ({ parts }) => [ceilDiv(parts, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ parts }) => [ceilDiv(parts, 64), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => 3 * n,
  builtins: { division: 2 },
  // One element in fifty is infinite in the larger cases.
  inputs: { hyper: HYPER_INPUT, control: CONTROL_INPUT, gradients: (random, _, { n }) => (n > 500 && random() < 0.02 ? Infinity : 2 * random() - 1) },
  reference({ gradients, hyper, control, squares, broken }, { n, parts, first }, { round }) {
    const scale = round(hyper[HYPER.gradientScale]! / (control[CONTROL.lossScale]! > 0 ? control[CONTROL.lossScale]! : 1));
    if (first === 0) {
      squares.fill(0);
      broken.fill(0);
    }
    for (let i = 0; i < n; i++) {
      const p = Math.floor(i / 4) % parts;
      if (Number.isFinite(gradients[i])) squares[p] = round(squares[p]! + round(round(gradients[i]! * scale) ** 2));
      else broken[p]!++;
    }
  },
  cases: {
    one: { numbers: { n: 1 } },
    odd: { numbers: { n: 333 } },
    even: { numbers: { n: 1024 } },
    "some broken": { numbers: { n: 6401 } },
    "25 million": { numbers: { n: 25_000_000 }, bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n", { step: ({ parts }) => 4 * parts!, numbers: (_, from) => ({ first: from }) }),
  gradient: { none: "works on gradients" },
});

// The descriptor of the number that a backward pass begins with.
import { as, defineKernel, read, write } from "../../src/kernel/define.ts";
import { libraries } from "../lib/index.ts";
import { CONTROL, CONTROL_SIZE, CONTROL_INPUT } from "./control.ts";
import naive from "./loss-seed.naive.wgsl?raw";

/** The gradient of the scaled loss with respect to the loss. */
export const lossSeed = defineKernel({
  name: "loss_seed",
  doc: "dy = the control state's loss scale, or 1 where it is 0.",
  dims: [],
  dtypes: ["f32"],
  args: { control: as("f32", read(CONTROL_SIZE)), dy: as("f32", write(1)) },
  libraries,
  variants: { naive: { source: naive, grid: () => [1, 1, 1] } },
  flops: () => 0,
  inputs: { control: CONTROL_INPUT },
  reference({ control, dy }) {
    dy[0] = control[CONTROL.lossScale]! > 0 ? control[CONTROL.lossScale]! : 1;
  },
  cases: { one: { numbers: {}, bench: true } },
  gradient: { none: "begins a backward pass" },
});

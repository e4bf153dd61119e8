// The descriptor of adding up a gradient over parts of a batch.
import { ceilDiv, defineKernel, read, update, when } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import naive from "./accumulate.naive.wgsl?raw";
import vec4 from "./accumulate.vec4.wgsl?raw";

/** total ← total + part, or 0 to begin with. What is not finite stays so, whatever is added: the check at the step's end must see it. */
export const accumulate = defineKernel({
  name: "accumulate",
  doc: "total ← total + part (`more`), or total ← 0; an element that is not finite by its bits, in either, keeps those bits.",
  dims: ["n"],
  flags: ["more"],
  dtypes: ["f32"],
  args: { total: update("n"), part: when("more", read("n")) },
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    vec4: { source: vec4, grid: ({ n }) => [ceilDiv(n, 256), 1, 1], legal: ({ n }) => n % 4 === 0 },
  },
  flops: ({ n }) => n,
  reference({ total, part }, { n }, { round, has }) {
    for (let i = 0; i < n; i++) {
      if (!has("more")) total[i] = 0;
      else if (Number.isFinite(total[i])) total[i] = Number.isFinite(part[i]) ? round(total[i]! + part[i]!) : part[i]!;
    }
  },
  cases: {
    one: { numbers: { n: 1 }, flags: ["more"] },
    odd: { numbers: { n: 333 }, flags: ["more"] },
    even: { numbers: { n: 1024 }, flags: ["more"] },
    clear: { numbers: { n: 333 } },
    "clear, even": { numbers: { n: 512 } },
    "25 million": { numbers: { n: 25_000_000 }, flags: ["more"], bench: true },
  },
  free: { n: 1 },
  split: splitAlong("n"),
  gradient: { none: "works on gradients" },
});

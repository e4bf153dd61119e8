// The descriptor of sums and maxima along one dimension.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { alignment, cutEvenly, splitAlong, splitBy } from "../../src/kernel/split.ts";
import columns from "./reduce.columns.wgsl?raw";
import naive from "./reduce.naive.wgsl?raw";
import subgroup from "./reduce.subgroup.wgsl?raw";
import workgroup from "./reduce.workgroup.wgsl?raw";

/** y[o, p, j] = scale · Σₖ x[o, p + k·parts, j], or the maximum over k. One part is the whole reduction. */
export const reduce = defineKernel({
  name: "reduce",
  doc: "y[o, p, j] = scale · Σₖ x[o, p + k·parts, j], or the maximum; 1 ≤ parts ≤ r. With one part the reduction is whole, with more its first stage. Sums in f32.",
  dims: ["outer", "r", "inner", "parts"],
  scalars: ["scale"],
  flags: ["max"],
  args: { x: read("outer", "r", "inner"), y: write("outer", "parts", "inner") },
  variants: {
    naive: { source: naive, grid: ({ outer, parts, inner }) => [ceilDiv(outer * parts * inner, 64), 1, 1] },
    workgroup: {
      source: workgroup,
      grid: ({ outer }) => [outer, 1, 1],
      params: { WIDTH: [32, 64, 128, 256] },
      legal: ({ inner, parts }) => inner === 1 && parts === 1,
      tiles: { r: "WIDTH" },
    },
    subgroup: {
      source: subgroup,
      grid: ({ outer }) => [outer, 1, 1],
      specialize: { WIDTH: (_, { subgroupMin }) => subgroupMin },
      needs: ["subgroups"],
      legal: ({ inner, parts }, { subgroupMin, subgroupMax }) => inner === 1 && parts === 1 && subgroupMin === subgroupMax,
      tiles: { r: "WIDTH" },
    },
    columns: {
      source: columns,
      grid: ({ outer, parts, inner }) => [ceilDiv((outer * parts * inner) / 4, 64), 1, 1],
      legal: ({ r, parts, inner }) => (parts * inner) % 4 === 0 && (r * inner) % 4 === 0,
    },
  },
  // On processors one lane for each row (naive) beat one subgroup for each by 1.3, on 2364×197 and 2364×384.
  choose: (_, { barriers }) => ["columns", ...(barriers === "cheap" ? ["subgroup", "workgroup"] : ["naive"])].map((variant) => ({ variant })),
  flops: ({ outer, r, inner }) => outer * r * inner,
  reference({ x, y }, { outer, r, inner, parts, scale }, { round, has }) {
    for (let o = 0; o < outer; o++)
      for (let p = 0; p < parts; p++)
        for (let j = 0; j < inner; j++) {
          let v = x[(o * r + p) * inner + j]!;
          for (let k = p + parts; k < r; k += parts) {
            const next = x[(o * r + k) * inner + j]!;
            v = has("max") ? Math.max(v, next) : round(v + next);
          }
          y[(o * parts + p) * inner + j] = has("max") ? v : round(v * scale);
        }
  },
  cases: {
    one: { numbers: { outer: 1, r: 1, inner: 1, parts: 1, scale: 1 } },
    rows: { numbers: { outer: 37, r: 52, inner: 1, parts: 1, scale: 1 } },
    "ragged rows": { numbers: { outer: 5, r: 131, inner: 1, parts: 1, scale: 1 } },
    "mean of columns": { numbers: { outer: 1, r: 83, inner: 36, parts: 1, scale: 1 / 83 } },
    "middle, ragged": { numbers: { outer: 3, r: 17, inner: 13, parts: 1, scale: 1 } },
    "maximum of rows": { numbers: { outer: 9, r: 64, inner: 1, parts: 1, scale: 1 }, flags: ["max"] },
    "maximum in the middle": { numbers: { outer: 4, r: 19, inner: 8, parts: 1, scale: 1 }, flags: ["max"] },
    "parts of all": { numbers: { outer: 1, r: 1003, inner: 1, parts: 32, scale: 1 } },
    "parts of columns": { numbers: { outer: 2, r: 100, inner: 20, parts: 7, scale: 1 } },
    "parts of columns, maximum": { numbers: { outer: 2, r: 45, inner: 3, parts: 4, scale: 1 }, flags: ["max"] },
    "bias gradient 788×1536": { numbers: { outer: 1, r: 788, inner: 1536, parts: 8, scale: 1 }, bench: true },
    "rows of 2364×197": { numbers: { outer: 2364, r: 197, inner: 1, parts: 1, scale: 1 }, bench: true },
    "rows of 2364×384": { numbers: { outer: 2364, r: 384, inner: 1, parts: 1, scale: 1 }, bench: true },
    "a million in parts": { numbers: { outer: 1, r: 1048576, inner: 1, parts: 8192, scale: 1 }, bench: true },
  },
  free: { outer: 1, r: "parts", inner: 1 },
  // The first stage of a reduction may make any parts of it; of a whole one, only what stands outside is cut.
  split: splitBy(splitAlong("outer"), (numbers, _, room) => {
    const [r, inner, parts] = [numbers["r"]!, numbers["inner"]!, numbers["parts"]!];
    if (numbers["outer"] !== 1 || parts === 1) return undefined;
    const unit = alignment(room.step("x"), inner);
    const rows = Math.floor(room.most("x") / inner) - unit;
    const at = (part: number) => (part === parts ? r : Math.floor((part * r) / parts / unit) * unit);
    const pieces = cutEvenly(parts, Math.floor((rows * parts) / r), alignment(room.step("y"), inner));
    if (pieces?.some(([from, to]) => at(to) - at(from) < to - from)) return undefined;
    return pieces?.map(([from, to]) => ({
      numbers: { ...numbers, r: at(to) - at(from), parts: to - from },
      windows: { x: { first: at(from) * inner, count: (at(to) - at(from)) * inner }, y: { first: from * inner, count: (to - from) * inner } },
    }));
  }),
  gradient: "op",
});

// The descriptor of strided reading: slices, permutations and repetitions.
import { ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { alignment, cutEvenly } from "../../src/kernel/split.ts";
import gather from "./strided.gather.wgsl?raw";
import naive from "./strided.naive.wgsl?raw";
import vector from "./strided.vector.wgsl?raw";

/** Numbers of a case: extents of y, strides in x, where it begins and how much x holds. */
function view(d: readonly [number, number, number, number, number], s: readonly [number, number, number, number, number], nx: number, offset = 0) {
  const [d0, d1, d2, d3, d4] = d;
  const [s0, s1, s2, s3, s4] = s;
  return { nx, offset, d0, d1, d2, d3, d4, s0, s1, s2, s3, s4 };
}

/** y[i0, …, i4] = x[offset + Σ i_k s_k], whole: y is contiguous, x is read with any strides, 0 repeats. */
export const strided = defineKernel({
  name: "strided",
  doc: "y[i0, …, i4] = x[offset + Σ i_k s_k]: a slice, a permutation or a repetition of x, written contiguously.",
  dims: ["nx", "offset", "d0", "d1", "d2", "d3", "d4", "s0", "s1", "s2", "s3", "s4", "n"],
  args: { x: read("nx"), y: write("n") },
  derive: ({ d0, d1, d2, d3, d4 }) => ({ n: d0 * d1 * d2 * d3 * d4 }),
  variants: {
    naive: { source: naive, grid: ({ n }) => [ceilDiv(n, 64), 1, 1] },
    gather: { source: gather, grid: ({ n }) => [ceilDiv(n / 4, 64), 1, 1], legal: ({ d4 }) => d4 % 4 === 0 },
    vector: {
      source: vector,
      grid: ({ n }) => [ceilDiv(n / 4, 64), 1, 1],
      legal: ({ nx, offset, d4, s0, s1, s2, s3, s4 }) => s4 === 1 && [nx, offset, d4, s0, s1, s2, s3].every((size) => size % 4 === 0),
    },
  },
  flops: () => 0,
  reference({ x, y }, { offset, d0, d1, d2, d3, d4, s0, s1, s2, s3, s4 }) {
    let i = 0;
    for (let i0 = 0; i0 < d0; i0++)
      for (let i1 = 0; i1 < d1; i1++)
        for (let i2 = 0; i2 < d2; i2++)
          for (let i3 = 0; i3 < d3; i3++) for (let i4 = 0; i4 < d4; i4++) y[i++] = x[offset + i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3 + i4 * s4]!;
  },
  cases: {
    one: { numbers: view([1, 1, 1, 1, 1], [0, 0, 0, 0, 1], 1) },
    "slice of rows": { numbers: view([1, 1, 1, 5, 24], [0, 0, 0, 36, 1], 300, 44) },
    "ragged slice": { numbers: view([1, 1, 3, 4, 5], [0, 0, 42, 7, 1], 150, 10) },
    transpose: { numbers: view([1, 1, 1, 13, 21], [0, 0, 0, 1, 13], 273) },
    "transpose of vectors": { numbers: view([1, 1, 2, 13, 20], [0, 0, 260, 1, 13], 520) },
    "heads to the front": { numbers: view([1, 2, 3, 7, 8], [0, 168, 8, 24, 1], 336) },
    "five dimensions": { numbers: view([2, 3, 2, 3, 5], [1, 2, 6, 12, 36], 180) },
    "repeated rows": { numbers: view([1, 1, 1, 9, 16], [0, 0, 0, 0, 1], 16) },
    "repeated columns": { numbers: view([1, 1, 1, 9, 13], [0, 0, 0, 1, 0], 9) },
    "heads of 12×197×64": { numbers: view([1, 4, 6, 197, 64], [0, 75648, 64, 384, 1], 302592), bench: true },
    "transpose 1536×384": { numbers: view([1, 1, 1, 1536, 384], [0, 0, 0, 1, 1536], 589824), bench: true },
  },
  split(numbers, _, room) {
    const at = [0, 1, 2, 3, 4].find((i) => numbers[`d${i}`]! > 1) ?? 4;
    const rest = [0, 1, 2, 3, 4].slice(at + 1);
    const [size, stride, offset] = [numbers[`d${at}`]!, numbers[`s${at}`]!, numbers["offset"]!];
    const inner = rest.reduce((product, i) => product * numbers[`d${i}`]!, 1);
    const reach = rest.reduce((sum, i) => sum + (numbers[`d${i}`]! - 1) * numbers[`s${i}`]!, 1);
    const most = Math.min(Math.floor(room.most("y") / inner), stride > 0 ? Math.floor((room.most("x") - room.step("x") - reach) / stride) + 1 : reach <= room.most("x") ? size : 0);
    return cutEvenly(size, most, alignment(room.step("y"), inner))?.map(([from, to]) => {
      const begin = offset + from * stride;
      const first = begin - (begin % room.step("x"));
      const count = offset + (to - 1) * stride + reach - first;
      return { numbers: { ...numbers, [`d${at}`]: to - from, offset: begin - first, nx: count, n: (to - from) * inner }, windows: { x: { first, count }, y: { first: from * inner, count: (to - from) * inner } } };
    });
  },
  gradient: "op",
});

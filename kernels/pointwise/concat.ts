// The descriptor of joining tensors side by side.
import { ceilDiv, defineKernel, read, when, write } from "../../src/kernel/define.ts";
import { cutEvenly, type Launch, splitAlong, splitBy } from "../../src/kernel/split.ts";
import naive from "./concat.naive.wgsl?raw";
import vector from "./concat.vector.wgsl?raw";

/** y[o] = x0[o], x1[o] and, by flag, x2[o] and x3[o], one behind the other; `four` goes with `three`. */
export const concat = defineKernel({
  name: "concat",
  doc: "y[o] = x0[o], x1[o] and, by the flags `three` and then `four`, x2[o] and x3[o], one behind the other. Widths of absent tensors are 0.",
  dims: ["outer", "w0", "w1", "w2", "w3", "width"],
  flags: ["three", "four"],
  args: {
    x0: read("outer", "w0"),
    x1: read("outer", "w1"),
    x2: when("three", read("outer", "w2")),
    x3: when("four", read("outer", "w3")),
    y: write("outer", "width"),
  },
  derive: ({ w0, w1, w2, w3 }) => ({ width: w0 + w1 + w2 + w3 }),
  variants: {
    naive: { source: naive, grid: ({ outer, width }) => [ceilDiv(outer * width, 64), 1, 1] },
    vector: {
      source: vector,
      grid: ({ outer, width }) => [ceilDiv((outer * width) / 4, 64), 1, 1],
      legal: ({ w0, w1, w2, w3 }) => [w0, w1, w2, w3].every((width) => width % 4 === 0),
    },
  },
  flops: () => 0,
  reference({ x0, x1, x2, x3, y }, { outer, w0, w1, w2, w3 }) {
    let at = 0;
    const parts = [[x0, w0], [x1, w1], [x2, w2], [x3, w3]] as const;
    for (let o = 0; o < outer; o++)
      for (const [x, width] of parts)
        if (width > 0) {
          y.set(x.subarray(o * width, (o + 1) * width), at);
          at += width;
        }
  },
  cases: {
    two: { numbers: { outer: 5, w0: 3, w1: 7, w2: 0, w3: 0 } },
    "two in vectors": { numbers: { outer: 3, w0: 8, w1: 36, w2: 0, w3: 0 } },
    "one row": { numbers: { outer: 1, w0: 40, w1: 24, w2: 0, w3: 0 } },
    three: { numbers: { outer: 4, w0: 1, w1: 2, w2: 5, w3: 0 }, flags: ["three"] },
    four: { numbers: { outer: 4, w0: 4, w1: 12, w2: 8, w3: 4 }, flags: ["three", "four"] },
    "class token": { numbers: { outer: 4, w0: 384, w1: 196 * 384, w2: 0, w3: 0 }, bench: true },
  },
  free: { outer: 1, w0: 1, w1: 1 },
  // One row is a stretch of each tensor after the other; those that a launch takes nothing of are there in name.
  split: splitBy(splitAlong("outer"), (numbers, _, room) => {
    // Arguments that a launch leaves out are bound with their first elements: of fewer than four, none fills a vector.
    if (numbers["outer"] !== 1 || [0, 1, 2, 3].some((j) => numbers[`w${j}`]! % 4 !== 0)) return undefined;
    let before = 0;
    const launches: Launch[] = [];
    for (const i of [0, 1, 2, 3]) {
      const width = numbers[`w${i}`]!;
      if (width === 0) continue;
      const pieces = cutEvenly(width, Math.min(room.most(`x${i}`), room.most("y")), room.step("y"));
      if (!pieces || before % room.step("y")) return undefined;
      for (const [from, to] of pieces)
        launches.push({
          numbers: { ...numbers, w0: 0, w1: 0, w2: 0, w3: 0, [`w${i}`]: to - from, width: to - from },
          windows: { ...Object.fromEntries([0, 1, 2, 3].filter((j) => room.args[`x${j}`]).map((j) => [`x${j}`, { first: 0, count: Math.min(numbers[`w${j}`]!, room.step("y")) }])), [`x${i}`]: { first: from, count: to - from }, y: { first: before + from, count: to - from } },
        });
      before += width;
    }
    return launches;
  }),
  gradient: "op",
});

// The descriptors of moving rows between a matrix and a part of it, at a place that a run decides.
import { as, ceilDiv, defineKernel, read, update, write, type Numbers } from "../../src/kernel/define.ts";
import put from "./put-rows.naive.wgsl?raw";
import take from "./take-rows.naive.wgsl?raw";

const grid = ({ rows, c }: { readonly rows: number; readonly c: number }): readonly [number, number, number] => [ceilDiv(rows * c, 64), 1, 1];
/** The last rows that fit. */
const LAST = (_random: () => number, _index: number, numbers: Numbers): number => numbers["total"]! - numbers["rows"]!;

/** Rows of a part into a matrix that is state. */
export const putRows = defineKernel({
  name: "put-rows",
  doc: "all[first + i] = part[i] for the rows of part; the other rows stay. first + rows ≤ total.",
  dims: ["total", "rows", "c"],
  dtypes: ["f32"],
  args: { first: as("u32", read(1)), part: read("rows", "c"), all: update("total", "c") },
  variants: { naive: { source: put, grid } },
  flops: () => 0,
  inputs: { first: LAST },
  reference({ first, part, all }, { c }) {
    all.set(part, first[0]! * c);
  },
  cases: {
    one: { numbers: { total: 1, rows: 1, c: 1 } },
    some: { numbers: { total: 11, rows: 4, c: 37 } },
    "16 of 4096": { numbers: { total: 4096, rows: 16, c: 2048 }, bench: true },
  },
  free: { total: "rows", c: 1 },
  gradient: { none: "keeps what another plan reads" },
});

/** Rows of a matrix. */
export const takeRows = defineKernel({
  name: "take-rows",
  doc: "part[i] = all[first + i] for the rows of part. first + rows ≤ total.",
  dims: ["total", "rows", "c"],
  dtypes: ["f32"],
  args: { first: as("u32", read(1)), all: read("total", "c"), part: write("rows", "c") },
  variants: { naive: { source: take, grid } },
  flops: () => 0,
  inputs: { first: LAST },
  reference({ first, part, all }, { rows, c }) {
    part.set(all.subarray(first[0]! * c, (first[0]! + rows) * c));
  },
  cases: {
    one: { numbers: { total: 1, rows: 1, c: 1 } },
    some: { numbers: { total: 11, rows: 4, c: 37 } },
    "16 of 4096": { numbers: { total: 4096, rows: 16, c: 2048 }, bench: true },
  },
  free: { total: "rows", c: 1 },
  gradient: { none: "reads what another plan keeps" },
});

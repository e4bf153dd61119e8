// What the variants of the attention kernels have in common: which problems they take, and which is preferred where.
import { ceilDiv, type Choice, type Constants, type Traits } from "../../src/kernel/define.ts";

/** Largest head dimension: the naive variants keep sums of this length. */
export const MAX_HEAD = 128;

interface Head {
  readonly d: number;
}

/** Constants of the `columns` variants: as many rows as lanes, each lane with a share of the columns. */
export const columns = {
  specialize: { WIDTH: (_: Head, { subgroupMin }: Traits) => subgroupMin, PARTS: ({ d }: Head, { subgroupMin }: Traits) => ceilDiv(d, 4 * subgroupMin) },
  needs: ["subgroups"],
  /** Rows in whole vec4s, at most four a lane of a subgroup whose width is certain and known to the template. */
  legal: ({ d }: Head, { subgroupMin, subgroupMax }: Traits) =>
    d % 4 === 0 && subgroupMin === subgroupMax && (subgroupMin === 4 || subgroupMin === 8) && d <= 16 * subgroupMin,
};

/** Constants of the `tiled` variants: ROWS rows in registers, STEP rows of two operands in workgroup memory. */
export const tiled = {
  params: { ROWS: [32, 64, 128], STEP: [8, 16, 32] },
  specialize: { D4: ({ d }: Head) => d / 4 },
  /** Longer rows would spill: an invocation holds two or three of them. */
  legal: ({ d }: Head, { workgroupMemory, invocations }: Traits, _: ReadonlySet<string>, constant: Constants) =>
    d % 4 === 0 && d <= 64 && 32 * constant("STEP") * constant("D4") <= workgroupMemory && constant("ROWS") <= invocations,
};

/** Subgroups where barriers are dear, workgroup memory where they are cheap. */
export function chooseAttention(_: unknown, { barriers }: Traits): readonly Choice[] {
  return barriers === "dear" ? [{ variant: "columns" }] : [{ variant: "tiled" }];
}

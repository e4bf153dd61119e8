// What the variants of the attention kernels have in common: which problems they take, and which is preferred where.
import { ceilDiv, type Choice, type Constants, type Traits } from "../../src/kernel/define.ts";
import { emulatedMatrix } from "../lib/index.ts";
import { multipliesMatrices } from "../lib/matrix-tile.ts";

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

/** Constants of the `block` variants: ROWS rows, STEP rows at a time of two operands in workgroup memory, and the weights of both. */
export const block = {
  params: { ROWS: [16, 32, 64], STEP: [8, 16, 32] },
  specialize: { D4: ({ d }: Head) => 8 * ceilDiv(d, 32) },
  legal: ({ d }: Head, { workgroupMemory, invocations }: Traits, _: ReadonlySet<string>, constant: Constants) => {
    const [rows, step] = [constant("ROWS"), constant("STEP")];
    const vectors = 2 * step * (constant("D4") + 1) + rows * (step / 4 + 1) + (rows * step) / 16;
    return d % 4 === 0 && d <= MAX_HEAD && 16 * vectors <= workgroupMemory && (rows * step) / 16 <= invocations;
  },
};

/**
 * The variants with subgroup matrices and what stands in for them: `kept` of four operands stay in workgroup memory, and as many blocks of
 * scores. `rows` is the dimension that workgroups share.
 */
export function matrixHeads(source: string, rows: "n" | "m", kept: 1 | 2) {
  const shared = {
    source,
    dtypes: ["f16"],
    params: { ROWS: [32, 64, 128], STEP: [32, 64] },
    tiles: { [rows]: "ROWS" },
    grid: (numbers: Readonly<Record<"b" | "h" | "n" | "m", number>>, constant: Constants) => [ceilDiv(numbers[rows], constant("ROWS")), numbers.h, numbers.b] as const,
    legal: ({ d }: Head, { workgroupMemory, invocations }: Traits, _: ReadonlySet<string>, constant: Constants) => {
      const [height, step] = [constant("ROWS"), constant("STEP")];
      const vectors = (kept * height + 2 * step) * (d / 8 + 1) + kept * height * (step / 4 + 1);
      return d % 32 === 0 && d <= MAX_HEAD && 16 * vectors + 4 * height <= workgroupMemory && (height / 16) * constant("SG") <= invocations;
    },
  } as const;
  const D8 = ({ d }: Head) => Math.max(4, Math.ceil(d / 8));
  return {
    matrix: {
      ...shared,
      needs: ["chromium-experimental-subgroup-matrix", "subgroups"],
      specialize: { D8, SG: (_: Head, { subgroupMin }: Traits) => subgroupMin },
      legal: (numbers: Head, traits: Traits, flags: ReadonlySet<string>, constant: Constants) => multipliesMatrices(traits) && shared.legal(numbers, traits, flags, constant),
    },
    "matrix-emulated": { ...shared, libraries: emulatedMatrix, standsInFor: "matrix", needs: ["shader-f16"], specialize: { D8, SG: () => 64 } },
  } as const;
}

/** Subgroups where barriers are dear; matrices where there are any, and workgroup memory, where they are cheap: as many rows at a time as fit. */
export function chooseAttention(_: unknown, { barriers }: Traits): readonly Choice[] {
  return barriers === "dear" ? [{ variant: "columns" }] : [{ variant: "matrix", params: { ROWS: 64 } }, { variant: "matrix" }, { variant: "block", params: { ROWS: 64 } }, { variant: "block" }, { variant: "block", params: { STEP: 16 } }, { variant: "block", params: { STEP: 8 } }];
}

// The variants of kernels that are products of matrices by `lib/matrix-tile`: with subgroup matrices, and what stands in for them.
import { ceilDiv, type Choice, type Constants, offersMatrix, type Traits, type Variant } from "../../src/kernel/define.ts";
import { emulatedMatrix } from "./index.ts";

/** What a kernel says of its product. */
interface Product<N> {
  readonly source: string;
  /** Workgroups, given the rows and columns of a tile, BM and BN. */
  readonly grid: (numbers: N, constant: Constants, flags: ReadonlySet<string>) => readonly [number, number, number];
  /** Whether what is read and written as vectors of eight halves begins and ends at whole ones. */
  readonly takes: (numbers: N, flags: ReadonlySet<string>) => boolean;
  readonly tiles: Readonly<Record<string, string>>;
}

/** Bytes of workgroup memory, as the template declares them. */
function memoryOf(constant: Constants): number {
  const [bm, bn, wn] = [constant("BM"), constant("BN"), constant("WN")];
  return 16 * Math.max(constant("STAGES") * 5 * (bm + bn), (bm / 64) * (bn / wn) * 16 * (wn / 4 + 1));
}

/** Whether a device has the products of lib/matrix, in subgroups of one known width. */
export function multipliesMatrices(traits: Traits): boolean {
  return traits.subgroupMin === traits.subgroupMax && [16, 32, 64].includes(traits.subgroupMin) && offersMatrix(traits, { component: "f16", result: "f32", M: 16, N: 16, K: 16 });
}

export function matrixTileVariants<N>({ source, grid, takes, tiles }: Product<N>) {
  const shared = {
    source,
    grid,
    tiles,
    params: { BM: [64, 128, 256], BN: [64, 128, 256], WN: [32, 64], STAGES: [1, 2] },
    dtypes: ["f16"],
    legal: (numbers: N, { invocations, workgroupMemory }: Traits, flags: ReadonlySet<string>, constant: Constants) => {
      const [bm, bn, wn, sg] = [constant("BM"), constant("BN"), constant("WN"), constant("SG")];
      const lanes = (bm / 64) * (bn / wn) * sg;
      const each = [(4 * bm) / lanes, (4 * bn) / lanes];
      return takes(numbers, flags) && lanes <= invocations && each.every((n) => n === 1 || n === 2 || n === 4) && memoryOf(constant) <= workgroupMemory;
    },
  } as const satisfies Partial<Variant<N, string>>;
  return {
    matrix: {
      ...shared,
      needs: ["chromium-experimental-subgroup-matrix", "subgroups"],
      specialize: { SG: (_: N, { subgroupMin }: Traits) => subgroupMin },
      legal: (numbers: N, traits: Traits, flags: ReadonlySet<string>, constant: Constants) => multipliesMatrices(traits) && shared.legal(numbers, traits, flags, constant),
    },
    "matrix-emulated": { ...shared, libraries: emulatedMatrix, standsInFor: "matrix", needs: ["shader-f16"], specialize: { SG: () => 64 } },
  } as const;
}

/** Workgroups below which a GPU of some size is not filled, so that smaller tiles are the faster ones. */
export const FILLS_A_GPU = 128;

/** Tiles of the matrix variant for so many products, the preferred first: the largest that are whole and still fill a GPU. */
export function chooseMatrixTile(rows: number, columns: number, products: number): readonly Choice[] {
  const fills = (bm: number, bn: number) => ceilDiv(rows, bm) * ceilDiv(columns, bn) * products >= FILLS_A_GPU;
  const wide = columns > 64 && rows > 64 && fills(128, 128) ? [{ BM: 128, BN: 128 }, { BM: 128, BN: 128, STAGES: 1 }] : [];
  const tall = rows > 64 && fills(128, 64) ? [{ BM: 128 }] : [];
  return [...wide, ...tall, {}].map((params) => ({ variant: "matrix", params }));
}

// Which variant of a convolution kernel suits which problem and device.
import { ceilDiv, type Choice, type Traits } from "../../src/kernel/define.ts";
import { chooseMatrixTile } from "../lib/matrix-tile.ts";
import type { ConvNumbers } from "./problem.ts";

/** Whether every channel has a filter of its own, in fours. */
export function isDepthwise({ cg, og, groups }: ConvNumbers): boolean {
  return cg === 1 && og === 1 && groups % 4 === 0;
}

/** Whether neighbouring pixels meet neighbouring taps along rows; filters of up to 11 columns are unrolled. */
export function slidesAlongRows({ strideW, dilationW, fw }: ConvNumbers): boolean {
  return strideW === 1 && dilationW === 1 && fw <= 11;
}

/** Whether the channels of a group, on both sides, are whole vectors of eight halves. */
export function inEights({ cg, og }: ConvNumbers): boolean {
  return cg % 8 === 0 && og % 8 === 0;
}

/** Whether a workgroup of `width` consists of whole subgroups of one known size that can hand round eight vectors. */
export function broadcastWidth({ subgroupMin, subgroupMax }: Traits, width: number): boolean {
  return subgroupMin === subgroupMax && subgroupMin >= 4 && width % subgroupMin === 0;
}

/** Whether the lanes of a subgroup, four channels each, are mostly of use for so many channels of a group. */
function fillsLanes(channels: number, { subgroupMin }: Traits): boolean {
  return channels >= 3 * subgroupMin * ceilDiv(channels, 4 * subgroupMin);
}

/**
 * Chooses registers and subgroups where barriers are dear, workgroup memory where they are cheap, and
 * `channels` where the channels that its lanes take, `across`, fill them. `rows` is the height of the matrix that the kernel computes, as
 * wide as there are such channels, and `products` how many of them: tiles of subgroup matrices follow from these.
 */
export function preferVariants<N extends ConvNumbers>(dear: readonly string[], cheap: readonly string[], across: "cg" | "og", rows: (numbers: N) => number, products: (numbers: N) => number): (numbers: N, traits: Traits) => readonly Choice[] {
  return (numbers, traits) => {
    const best = traits.barriers === "dear" ? [...(fillsLanes(numbers[across], traits) ? ["channels"] : []), ...dear] : cheap;
    // GPUs' compilers unroll well; processors' take long over it and gain nothing.
    return best.flatMap((variant): readonly Choice[] => {
      if (variant === "matrix") return chooseMatrixTile(rows(numbers), numbers[across], products(numbers));
      return [variant === "tiled" && traits.barriers === "cheap" ? { variant, params: { UNROLL: 1 } } : { variant }];
    });
  };
}

// Which variant of a convolution kernel suits which problem and device.
import type { Choice, Traits } from "../../src/kernel/define.ts";
import type { ConvNumbers } from "./problem.ts";

/** Whether every channel has a filter of its own, in fours. */
export function isDepthwise({ cg, og, groups }: ConvNumbers): boolean {
  return cg === 1 && og === 1 && groups % 4 === 0;
}

/** Whether a workgroup of `width` consists of whole subgroups of one known size that can hand round eight vectors. */
export function broadcastWidth({ subgroupMin, subgroupMax }: Traits, width: number): boolean {
  return subgroupMin === subgroupMax && subgroupMin >= 4 && width % subgroupMin === 0;
}

/** Chooses registers and subgroups where barriers are dear, workgroup memory where they are cheap; depthwise kernels where they fit. */
export function preferVariants(dear: readonly string[], cheap: readonly string[]): (numbers: ConvNumbers, traits: Traits) => readonly Choice[] {
  return (_, { barriers }) => ["depthwise", ...(barriers === "dear" ? dear : cheap)].map((variant) => ({ variant }));
}

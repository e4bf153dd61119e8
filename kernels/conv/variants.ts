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

/** Depthwise where it is; registers and subgroups where barriers are dear, workgroup memory where they are cheap. */
export function preferVariants(_: ConvNumbers, { barriers }: Traits): readonly Choice[] {
  const order = barriers === "dear" ? ["depthwise", "broadcast", "direct"] : ["depthwise", "tiled", "direct"];
  return order.map((variant) => ({ variant }));
}

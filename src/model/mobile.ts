// A small encoder of depthwise separable convolutions around a block of several receptive fields.
import type { Tensor } from "../engine/trace.ts";
import { relu } from "../ops/activation.ts";
import { add } from "../ops/arithmetic.ts";
import { concat } from "../ops/shape.ts";
import { convolve, normaliseBatch, pool, type ConvolveOptions, type Encoder, type Mode, type PoolKind } from "./encoder.ts";
import { within, type Parameters } from "./parameters.ts";

/** A unit: channels behind it and its stride. */
interface Unit {
  readonly channels: number;
  readonly stride: number;
}

/** A branch of the block: 3×3 convolutions behind the 1×1, each with ReLU but the last, which is dilated. */
interface Branch {
  readonly channels: readonly number[];
  readonly dilation: number;
}

export interface MobileConfig {
  readonly stem: Unit;
  /** Units before the block, and behind it. */
  readonly before: readonly Unit[];
  readonly after: readonly Unit[];
  /** `inner` channels behind the 1×1 that each branch begins with. */
  readonly block: { readonly inner: number; readonly branches: readonly Branch[] };
  readonly pool: PoolKind;
  readonly poolHead: number;
}

/** Howard et al., "MobileNets", 2017; Liu et al., "Receptive Field Block Net", 2018, as the face detector UltraFace RFB-320 joins them. */
export function mobile({ stem, before, block, after, pool: kind, poolHead }: MobileConfig): Encoder {
  return (p, x, mode) => {
    let y = within(p, "stem", (q) => relu(convNorm(q, "", x, stem.channels, 3, mode, { stride: stem.stride })));
    before.forEach((unit, i) => (y = within(p, `before${i}`, (q) => separable(q, y, unit, mode))));
    y = within(p, "fields", (q) => receptiveFields(q, y, block, mode));
    after.forEach((unit, i) => (y = within(p, `after${i}`, (q) => separable(q, y, unit, mode))));
    return pool(p, y, kind, poolHead);
  };
}

function convNorm(p: Parameters, name: string, x: Tensor, channels: number, filter: number, mode: Mode, options: ConvolveOptions = {}): Tensor {
  return normaliseBatch(p, `norm${name}`, convolve(p, `conv${name}`, x, channels, filter, options), mode);
}

/** 3×3 in each channel by itself, then 1×1 over all. */
function separable(p: Parameters, x: Tensor, { channels, stride }: Unit, mode: Mode): Tensor {
  const spatial = relu(convNorm(p, "1", x, x.shape.at(-1) ?? 0, 3, mode, { stride, depthwise: true }));
  return relu(convNorm(p, "2", spatial, channels, 1, mode));
}

/** Branches side by side, joined by a 1×1, plus a 1×1 shortcut; the channels stay as many. */
function receptiveFields(p: Parameters, x: Tensor, { inner, branches }: MobileConfig["block"], mode: Mode): Tensor {
  const channels = x.shape.at(-1) ?? 0;
  const parts = branches.map(({ channels: list, dilation }, i) =>
    within(p, `branch${i}`, (q) => {
      let y = convNorm(q, "0", x, inner, 1, mode);
      list.forEach((co, k) => (y = relu(convNorm(q, `${k + 1}`, y, co, 3, mode))));
      return convNorm(q, `${list.length + 1}`, y, list.at(-1) ?? inner, 3, mode, { dilation });
    }),
  );
  const joined = within(p, "join", (q) => convNorm(q, "", concat(parts, -1), channels, 1, mode));
  return relu(add(joined, within(p, "shortcut", (q) => convNorm(q, "", x, channels, 1, mode))));
}

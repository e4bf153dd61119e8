// Augmentation parameters: drawn on the host from counters, applied on the device. A function of (seed, step, row) only.
import { keyOfSeed, randomStream } from "../kernel/rng.ts";
import type { TrainConfig } from "./config.ts";

/** Parameters of one batch of views, for the image kernels. */
export interface ViewParameters {
  /** [b, 6]: pixel centres of the patch to coordinates in the window, both from their middles. */
  readonly matrix: Float32Array;
  /** [b, 4]: gain, offset, gamma, standard deviation of the noise; what comes out has the mean 1, see `adjustedScale`. */
  readonly adjust: Float32Array;
  /** [b]: standard deviation of the blur, px; 0 for none. */
  readonly blur: Float32Array;
}

const STREAM = 0x61;

/**
 * Mean and deviation of intensities after `adjust`: it works on multiples of the mean, so that gain and gamma turn about the
 * tissue's own grey and one setting suits every stain.
 */
export function adjustedScale({ data }: TrainConfig): { unit: number; mean: number; deviation: number } {
  const unit = Math.max(data.mean!, 1e-3);
  return { unit, mean: data.mean! / unit, deviation: data.deviation! / unit };
}

/** Side of the window, px, that holds a patch however it is turned, sheared and enlarged. */
export function windowSide(config: TrainConfig): number {
  const { scale, shear, rotation } = config.augment;
  const widest = Math.max(1, 1 / scale[0]) * (1 + Math.tan((shear * Math.PI) / 180)) * (rotation > 0 ? Math.SQRT2 : 1);
  return Math.ceil(config.data.patch * widest) + 2;
}

/** Draws `count` views for a step; `view` tells the two views of one patch apart. */
export function drawViews(config: TrainConfig, step: number, view: number, count: number): ViewParameters {
  const { augment, seed } = config;
  const views = { matrix: new Float32Array(6 * count), adjust: new Float32Array(4 * count), blur: new Float32Array(count) };
  const { unit, mean, deviation } = adjustedScale(config);
  const key = keyOfSeed(seed);
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  for (let i = 0; i < count; i++) {
    const random = randomStream(key, [step, i, STREAM + view]);
    const within = ([low, high]: readonly [number, number]) => low + (high - low) * random.uniform();
    const evenInLog = (bounds: readonly [number, number]) => Math.exp(within([Math.log(bounds[0]), Math.log(bounds[1])]));
    const signed = (most: number) => within([-most, most]);
    const angle = signed(radians(augment.rotation));
    const mirror = augment.flip && random.uniform() < 0.5 ? -1 : 1;
    const scale = evenInLog(augment.scale);
    const shear = Math.tan(signed(radians(augment.shear)));
    // Window coordinate = rotation · shear · mirror / scale · patch coordinate.
    const [cos, sin] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
    views.matrix.set([cos * mirror, cos * shear - sin, 0, sin * mirror, sin * shear + cos, 0], 6 * i);
    const gain = evenInLog(augment.gain);
    const gamma = evenInLog(augment.gamma);
    const offset = signed(augment.offset);
    const noise = augment.noise * random.uniform();
    const blurred = random.uniform() < augment.blurShare;
    const sigma = within(augment.blur);
    views.blur[i] = blurred ? sigma : 0;
    // Density is concentration times absorption (Beer and Lambert), so more stain is a factor about the density of glass, which is 0, and stain that is
    // everywhere adds to all of it (Tellez et al. 2018, for one channel). It comes before the contrast, which turns about the mean.
    const stain = evenInLog(augment.stain);
    const shift = signed(augment.stainShift);
    views.adjust.set([(gain * stain) / unit, mean * (1 - gain) + (gain * shift) / unit + offset * deviation, gamma, noise * deviation], 4 * i);
  }
  return views;
}

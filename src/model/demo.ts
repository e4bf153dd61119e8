// The settings of the demo, in the program and on the page: as much as a small model can learn of generated brains in few minutes.

/** Brains of different stain and scanner, but of one magnification: patches are turned, mirrored and changed in tone, not in size. */
export const DEMO_SETTINGS = {
  preset: "tiny",
  "loss.sigmaMm": 4,
  "augment.scale": [1, 1],
  "augment.shear": 0,
  "augment.blurShare": 0.2,
  "augment.noise": 0.15,
} as const;

/** Steps where a GPU or a fast CPU adapter runs them, and where SwiftShader does, which takes several times as long for one. */
const STEPS = { fast: 300, slow: 150 } as const;

/** Steps of the demo on an adapter, by its name alone: the same adapter always takes the same number. */
export function chooseDemoSteps(adapter: string): number {
  return /swiftshader/i.test(adapter) ? STEPS.slow : STEPS.fast;
}

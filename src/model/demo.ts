// The settings of the demo, in the program and on the page: as much as a small model can learn of one generated section in few steps.

/**
 * Steps that leave the demo well under its time on a processor that emulates a GPU. The section has one stain and one scanner, so patches are
 * turned and mirrored only; the high rate suits a run that is over before it could do harm.
 */
export const DEMO_SETTINGS = {
  preset: "tiny",
  steps: 140,
  "optimizer.learningRate": 0.006,
  "augment.scale": [1, 1],
  "augment.shear": 0,
  "augment.gain": [1, 1],
  "augment.gamma": [1, 1],
  "augment.offset": 0,
  "augment.blurShare": 0,
  "augment.noise": 0,
} as const;

// Where the optimizers' control state and hyper-parameters keep what; kernels/optim/control.ts names the same places.
const STEPS = 0u;
const NORM = 1u;
const FACTOR = 2u;
const FINITE = 3u;
const CORRECTION_1 = 4u;
const CORRECTION_2 = 5u;
const LOSS_SCALE = 6u;
const STREAK = 7u;

const LEARNING_RATE = 0u;
const BETA_1 = 1u;
const BETA_2 = 2u;
const EPSILON = 3u;
const WEIGHT_DECAY = 4u;
const CLIP = 5u;
const GRADIENT_SCALE = 6u;
const GROWTH_INTERVAL = 7u;
const MAX_LOSS_SCALE = 8u;
const LIMIT = 9u;

// Principal components of features, in f64 on the host: deterministic, signs fixed.

export interface Components {
  /** [k, channels], orthonormal, by falling variance. */
  readonly axes: Float64Array;
  /** [channels] */
  readonly mean: Float64Array;
  /** [k] share of the whole variance. */
  readonly share: Float64Array;
  /** [count, k] coordinates of the rows. */
  readonly scores: Float64Array;
}

/** Rounds of orthogonal iteration at most; it stops when no axis turns by more than 1e-9. */
const ROUNDS = 500;

/**
 * The `k` leading principal components of rows [count, channels], by orthogonal iteration on the covariance matrix.
 * The largest entry of each axis is positive, so that equal features give equal colours.
 */
export function principalComponents(values: ArrayLike<number>, count: number, channels: number, k: number): Components {
  const mean = new Float64Array(channels);
  for (let i = 0; i < count; i++) for (let c = 0; c < channels; c++) mean[c]! += values[i * channels + c]!;
  for (let c = 0; c < channels; c++) mean[c]! /= Math.max(1, count);
  const covariance = new Float64Array(channels * channels);
  const row = new Float64Array(channels);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < channels; c++) row[c] = values[i * channels + c]! - mean[c]!;
    for (let a = 0; a < channels; a++) {
      const x = row[a]! / Math.max(1, count - 1);
      for (let b = a; b < channels; b++) covariance[a * channels + b]! += x * row[b]!;
    }
  }
  let total = 0;
  for (let a = 0; a < channels; a++) {
    total += covariance[a * channels + a]!;
    for (let b = 0; b < a; b++) covariance[a * channels + b] = covariance[b * channels + a]!;
  }
  let axes = new Float64Array(k * channels);
  // Any start that no axis is orthogonal to will do; cosines of different frequencies are one.
  for (let j = 0; j < k; j++) for (let c = 0; c < channels; c++) axes[j * channels + c] = Math.cos((j + 1) * (c + 0.5)) + (c % k === j ? 1 : 0);
  orthonormalise(axes, k, channels);
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Float64Array(k * channels);
    for (let j = 0; j < k; j++)
      for (let a = 0; a < channels; a++) {
        let sum = 0;
        for (let b = 0; b < channels; b++) sum += covariance[a * channels + b]! * axes[j * channels + b]!;
        next[j * channels + a] = sum;
      }
    orthonormalise(next, k, channels);
    let turned = 0;
    for (let j = 0; j < k; j++) {
      let dot = 0;
      for (let c = 0; c < channels; c++) dot += next[j * channels + c]! * axes[j * channels + c]!;
      turned = Math.max(turned, 1 - Math.abs(dot));
    }
    axes = next;
    if (turned < 1e-9) break;
  }
  const share = new Float64Array(k);
  for (let j = 0; j < k; j++) {
    let largest = 0;
    for (let c = 0; c < channels; c++) if (Math.abs(axes[j * channels + c]!) > Math.abs(axes[j * channels + largest]!)) largest = c;
    if (axes[j * channels + largest]! < 0) for (let c = 0; c < channels; c++) axes[j * channels + c]! *= -1;
    for (let a = 0; a < channels; a++) for (let b = 0; b < channels; b++) share[j]! += (axes[j * channels + a]! * covariance[a * channels + b]! * axes[j * channels + b]!) / (total || 1);
  }
  const scores = new Float64Array(count * k);
  for (let i = 0; i < count; i++)
    for (let j = 0; j < k; j++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += (values[i * channels + c]! - mean[c]!) * axes[j * channels + c]!;
      scores[i * k + j] = sum;
    }
  return { axes, mean, share, scores };
}

/** Gram and Schmidt, twice for stability; an axis that vanishes becomes a unit vector of its own. */
function orthonormalise(axes: Float64Array, k: number, channels: number): void {
  for (let j = 0; j < k; j++) {
    const own = axes.subarray(j * channels, (j + 1) * channels);
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const other = axes.subarray(i * channels, (i + 1) * channels);
        let dot = 0;
        for (let c = 0; c < channels; c++) dot += own[c]! * other[c]!;
        for (let c = 0; c < channels; c++) own[c]! -= dot * other[c]!;
      }
      let norm = Math.hypot(...own);
      if (norm < 1e-150) {
        own.fill(0);
        own[j % channels] = 1;
        norm = 1;
      }
      for (let c = 0; c < channels; c++) own[c]! /= norm;
    }
  }
}

/** Three scores a row as colours [count, 3] of 0…255: each component stretched between its 2nd and 98th percentile. */
export function colourScores(scores: Float64Array, count: number): Uint8Array {
  const colours = new Uint8Array(3 * count);
  for (let j = 0; j < 3; j++) {
    const column = Float64Array.from({ length: count }, (_, i) => scores[3 * i + j]!);
    const sorted = column.slice().sort();
    const low = sorted[Math.floor(0.02 * (count - 1))] ?? 0;
    const high = sorted[Math.ceil(0.98 * (count - 1))] ?? 1;
    for (let i = 0; i < count; i++) colours[3 * i + j] = Math.round(255 * Math.min(1, Math.max(0, (column[i]! - low) / (high - low || 1))));
  }
  return colours;
}

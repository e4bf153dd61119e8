// k-means++ on the host, in f64: seeded, several starts, the tightest kept.
import { keyOfSeed, randomStream, type RandomStream } from "../kernel/rng.ts";

export interface KMeansOptions {
  /** Clusters; at most as many as there are rows. */
  readonly k: number;
  readonly seed: number;
  /** Starts from other centres, of which the one with the least inertia is kept; default 8. */
  readonly restarts?: number;
  /** Rounds of a start at most; it ends when no row changes its cluster. Default 100. */
  readonly rounds?: number;
}

export interface KMeans {
  /** [count] cluster of each row. */
  readonly labels: Int32Array;
  /** [k, channels] */
  readonly centres: Float64Array;
  /** Sum of the squared distances of the rows to their centres. */
  readonly inertia: number;
  readonly rounds: number;
  readonly restarts: number;
}

const STREAM = 0x6b;

/**
 * Clusters rows [count, channels] by Lloyd's rounds from centres drawn by squared distance (Arthur and Vassilvitskii, "k-means++", 2007). A cluster
 * that loses all its rows takes the row farthest from its own centre. The same input and seed give the same clusters.
 * @throws RangeError where k is not a whole number from 1 to count
 */
export function clusterByKMeans(values: ArrayLike<number>, count: number, channels: number, options: KMeansOptions): KMeans {
  const { k, seed, restarts = 8, rounds = 100 } = options;
  if (!Number.isInteger(k) || k < 1 || k > count) throw new RangeError(`k-means: k ${k}, expected a whole number from 1 to the ${count} rows`);
  const rows = Float64Array.from(values);
  let best: KMeans | undefined;
  for (let start = 0; start < restarts; start++) {
    const found = runLloyd(rows, count, channels, drawCentres(rows, count, channels, k, randomStream(keyOfSeed(seed), [start, 0, STREAM])), k, rounds);
    if (!best || found.inertia < best.inertia) best = { ...found, restarts };
  }
  return best!;
}

function squaredDistance(rows: Float64Array, i: number, centres: Float64Array, j: number, channels: number): number {
  let sum = 0;
  for (let c = 0, a = i * channels, b = j * channels; c < channels; c++) {
    const d = rows[a + c]! - centres[b + c]!;
    sum += d * d;
  }
  return sum;
}

/** The first centre is any row, each further one a row drawn in proportion to its squared distance to the nearest centre so far. */
function drawCentres(rows: Float64Array, count: number, channels: number, k: number, random: RandomStream): Float64Array {
  const centres = new Float64Array(k * channels);
  const nearest = new Float64Array(count).fill(Infinity);
  let chosen = random.below(count);
  for (let j = 0; j < k; j++) {
    centres.set(rows.subarray(chosen * channels, (chosen + 1) * channels), j * channels);
    let total = 0;
    for (let i = 0; i < count; i++) {
      nearest[i] = Math.min(nearest[i]!, squaredDistance(rows, i, centres, j, channels));
      total += nearest[i]!;
    }
    let left = random.uniform() * total;
    chosen = 0;
    while (chosen < count - 1 && (left -= nearest[chosen]!) >= 0) chosen++;
  }
  return centres;
}

function runLloyd(rows: Float64Array, count: number, channels: number, centres: Float64Array, k: number, most: number): Omit<KMeans, "restarts"> {
  const labels = new Int32Array(count).fill(-1);
  const distances = new Float64Array(count);
  const sizes = new Int32Array(k);
  /** Returns how many rows changed. */
  const assign = (): number => {
    let changed = 0;
    for (let i = 0; i < count; i++) {
      let [nearest, least] = [0, Infinity];
      for (let j = 0; j < k; j++) {
        const distance = squaredDistance(rows, i, centres, j, channels);
        if (distance < least) [nearest, least] = [j, distance];
      }
      if (labels[i] !== nearest) changed++;
      labels[i] = nearest;
      distances[i] = least;
    }
    return changed;
  };
  let rounds = 0;
  while (assign() > 0 && rounds < most) {
    rounds++;
    sizes.fill(0);
    for (const label of labels) sizes[label]! += 1;
    for (let j = 0; j < k; j++) {
      if (sizes[j]! > 0) continue;
      let farthest = -1;
      for (let i = 0; i < count; i++) if (sizes[labels[i]!]! > 1 && (farthest < 0 || distances[i]! > distances[farthest]!)) farthest = i;
      sizes[labels[farthest]!]! -= 1;
      sizes[j] = 1;
      labels[farthest] = j;
      distances[farthest] = 0;
    }
    centres.fill(0);
    for (let i = 0; i < count; i++) for (let c = 0; c < channels; c++) centres[labels[i]! * channels + c]! += rows[i * channels + c]! / sizes[labels[i]!]!;
  }
  let inertia = 0;
  for (const distance of distances) inertia += distance;
  return { labels, centres, inertia, rounds };
}

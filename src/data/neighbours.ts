// Finds the samples around a point: a spatial grid over hashed cells, built once, fast at a million samples.
import type { Samples } from "./dataset.ts";

export interface NeighbourIndex {
  /** Samples of the same space within `radiusMm` of sample `centre` (f32 positions, d² ≤ r²), without itself, in ascending order of cell and index. */
  find(centre: number): number[];
}

/**
 * Indexes the samples `members`. Cells are cubes of side `radiusMm`, hashed into buckets: a query reads at most 27 buckets,
 * and samples that share a bucket by accident fail the test of distance or space.
 */
export function indexNeighbours(samples: Samples, members: Uint32Array, radiusMm: number): NeighbourIndex {
  const { position, space } = samples;
  let buckets = 1;
  while (buckets < members.length) buckets *= 2;
  const bucketOf = (s: number, x: number, y: number, z: number): number => {
    let h = Math.imul(s + 1, 0x9e3779b1) ^ Math.imul(x, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35) ^ Math.imul(y, 0x27d4eb2f);
    h = Math.imul(h ^ (h >>> 13), 0x165667b1) ^ Math.imul(z, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    return (h ^ (h >>> 14)) & (buckets - 1);
  };
  // Spaces by their order among the members: what is no member, such as a brain held out, must not decide in which order neighbours are found.
  const spaceNumbers = new Map<number, number>();
  for (const i of members) if (!spaceNumbers.has(space[i]!)) spaceNumbers.set(space[i]!, spaceNumbers.size);
  const spaceOf = (i: number): number => spaceNumbers.get(space[i]!) ?? -1;
  const cell = (i: number, axis: number): number => Math.floor(position[3 * i + axis]! / radiusMm);

  // Counting sort by bucket: starts[b] … starts[b + 1] are the members of bucket b.
  const home = new Uint32Array(members.length);
  const starts = new Uint32Array(buckets + 1);
  members.forEach((i, k) => {
    const b = bucketOf(spaceOf(i), cell(i, 0), cell(i, 1), cell(i, 2));
    home[k] = b;
    starts[b + 1] = starts[b + 1]! + 1;
  });
  for (let b = 0; b < buckets; b++) starts[b + 1] = starts[b + 1]! + starts[b]!;
  const next = starts.slice(0, buckets);
  const sorted = new Uint32Array(members.length);
  members.forEach((i, k) => {
    const b = home[k]!;
    sorted[next[b]!] = i;
    next[b] = next[b]! + 1;
  });

  const radius2 = radiusMm * radiusMm;
  return {
    find(centre) {
      const [cx, cy, cz] = [position[3 * centre]!, position[3 * centre + 1]!, position[3 * centre + 2]!];
      const found: number[] = [];
      const read = new Set<number>();
      for (let dz = -1; dz <= 1; dz++) {
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) {
            const b = bucketOf(spaceOf(centre), cell(centre, 0) + dx, cell(centre, 1) + dy, cell(centre, 2) + dz);
            if (read.has(b)) continue;
            read.add(b);
            for (let k = starts[b]!; k < starts[b + 1]!; k++) {
              const i = sorted[k]!;
              if (i === centre || space[i] !== space[centre]) continue;
              const x = position[3 * i]! - cx;
              const y = position[3 * i + 1]! - cy;
              const z = position[3 * i + 2]! - cz;
              if (x * x + y * y + z * z <= radius2) found.push(i);
            }
          }
        }
      }
      return found;
    },
  };
}

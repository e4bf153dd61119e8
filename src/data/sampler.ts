// Draws training batches as groups of neighbours: a pure function of (seed, epoch, index), so that resuming needs no state.
import { EXIT_CODES, UserError } from "../errors.ts";
import { keyOfSeed, randomStream, type RandomStream } from "../kernel/rng.ts";
import type { Dataset } from "./dataset.ts";
import { didYouMean } from "./mistakes.ts";
import { indexNeighbours } from "./neighbours.ts";

export interface SamplerOptions {
  readonly seed: number;
  /** Samples in a group: a centre and its neighbours. */
  readonly groupSize: number;
  readonly groupsPerBatch: number;
  /** Neighbours lie within this distance of the centre, in mm, in the same space. */
  readonly radiusMm: number;
  /** Ids of brains whose samples are never drawn. */
  readonly holdOut?: readonly string[];
  /** Indices of sections whose samples are never drawn. */
  readonly holdOutSections?: ReadonlySet<number>;
}

export interface Batch {
  /** [groupsPerBatch · groupSize] sample indices, group after group, the centre first. */
  readonly samples: Uint32Array<ArrayBuffer>;
  /** How many of them were drawn as neighbours of their centre; the others of a group are centres or strangers. */
  readonly neighbours: number;
}

export interface Sampler {
  /** Batches in an epoch. */
  readonly batches: number;
  /** Samples that may be drawn. */
  readonly members: Uint32Array;
  /** Batch `index` (0 to batches - 1) of an epoch. */
  draw(epoch: number, index: number): Batch;
}

/** Names of the random streams. */
const ORDER = 1;
const GROUPS = 2;

function checkCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) throw new UserError(EXIT_CODES.config, `sampler: ${name} ${value}, expected a whole number from ${least}; correct the configuration`);
}

/** Members after leaving brains and sections out. Errors: UserError 2 for a brain that is not there, 65 where nothing is left. */
export function selectMembers(dataset: Dataset, holdOut: readonly string[], holdOutSections?: ReadonlySet<number>): Uint32Array<ArrayBuffer> {
  const brains = dataset.brains.map(({ id }) => id);
  for (const brain of holdOut) {
    if (!brains.includes(brain)) throw new UserError(EXIT_CODES.usage, `hold-out: unknown brain "${brain}"${didYouMean(brain, brains)}, expected one of ${brains.join(", ")}; correct the name`);
  }
  const kept = dataset.sections.map(({ brain }, index) => !holdOut.includes(brain) && !holdOutSections?.has(index));
  const members = new Uint32Array(dataset.samples.count);
  let count = 0;
  for (let i = 0; i < members.length; i++) if (kept[dataset.samples.section[i]!]) members[count++] = i;
  if (count === 0 && holdOutSections?.size) throw new UserError(EXIT_CODES.badData, `${dataset.path}: no samples are left to train on beside the ${holdOutSections.size} of ${dataset.sections.length} sections that validation keeps; set a smaller validate.share, or validate.every=null`);
  if (count === 0) throw new UserError(EXIT_CODES.badData, `${dataset.path}: no samples are left after holding out ${holdOut.join(", ")}; hold out fewer brains`);
  return members.slice(0, count);
}

/** Shuffles in place (Fisher and Yates). */
function shuffle(values: Uint32Array, stream: RandomStream): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    [values[i], values[j]] = [values[j]!, values[i]!];
  }
}

/**
 * Makes a sampler.
 * An epoch takes every member once as a centre, in shuffled order; the last batch of an epoch is filled up from the epoch's beginning.
 * Neighbours are drawn evenly, without repetition, from all members within the radius: across sections and brains that share the space.
 * A centre with too few is given strangers, drawn evenly from all members; no sample is twice in a batch while there are enough of them.
 * Errors: UserError 78 for options out of range, 2 and 65 as selectMembers.
 */
export function createSampler(dataset: Dataset, options: SamplerOptions): Sampler {
  const { groupSize, groupsPerBatch, radiusMm } = options;
  checkCount("groupSize", groupSize, 1);
  checkCount("groupsPerBatch", groupsPerBatch, 1);
  checkCount("seed", options.seed, 0);
  if (!(radiusMm > 0 && Number.isFinite(radiusMm))) throw new UserError(EXIT_CODES.config, `sampler: radius ${radiusMm}, expected a number of mm above 0; correct the configuration`);
  const key = keyOfSeed(options.seed);
  const members = selectMembers(dataset, options.holdOut ?? [], options.holdOutSections);
  const index = indexNeighbours(dataset.samples, members, radiusMm);
  const batches = Math.ceil(members.length / groupsPerBatch);

  // Kept for speed only: it is a function of seed and epoch.
  let order: { epoch: number; centres: Uint32Array } | undefined;
  const centresOf = (epoch: number): Uint32Array => {
    if (order?.epoch !== epoch) {
      const centres = members.slice();
      shuffle(centres, randomStream(key, [epoch, 0, ORDER]));
      order = { epoch, centres };
    }
    return order.centres;
  };

  const draw = (epoch: number, batch: number): Batch => {
    if (!Number.isInteger(batch) || batch < 0 || batch >= batches) throw new RangeError(`sampler: batch ${batch}, expected 0 to ${batches - 1}`);
    if (!Number.isInteger(epoch) || epoch < 0 || epoch >= 2 ** 32) throw new RangeError(`sampler: epoch ${epoch}, expected 0 to 2^32 - 1`);
    const centres = centresOf(epoch);
    const stream = randomStream(key, [epoch, batch, GROUPS]);
    const samples = new Uint32Array(groupsPerBatch * groupSize);
    // Centres first, so that none is taken as another's neighbour before its turn.
    for (let g = 0; g < groupsPerBatch; g++) samples[g * groupSize] = centres[(batch * groupsPerBatch + g) % centres.length]!;
    const used = new Set<number>();
    for (let g = 0; g < groupsPerBatch; g++) used.add(samples[g * groupSize]!);
    let neighbours = 0;
    for (let g = 0; g < groupsPerBatch; g++) {
      const around = index.find(samples[g * groupSize]!);
      for (let k = 1; k < groupSize; k++) {
        let drawn: number | undefined;
        while (drawn === undefined && around.length > 0) {
          const at = stream.below(around.length);
          const candidate = around[at]!;
          around[at] = around[around.length - 1]!;
          around.pop();
          if (!used.has(candidate)) drawn = candidate;
        }
        if (drawn !== undefined) neighbours += 1;
        else {
          do drawn = members[stream.below(members.length)]!;
          while (used.has(drawn) && used.size < members.length);
        }
        used.add(drawn);
        samples[g * groupSize + k] = drawn;
      }
    }
    return { samples, neighbours };
  };
  return { batches, members, draw };
}

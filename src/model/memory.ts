// The memory that a training run may take: what was said, or what the device has; and plans that keep to it.
import type { Device } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { formatBytes, formatBytesUp, OverBudget } from "../engine/errors.ts";
import { sizeOf } from "../engine/trace.ts";
import { storageBytes } from "../kernel/dtype.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { TrainConfig } from "./config.ts";
import { parseMemorySize } from "./memory-size.ts";

/** Share of what the device has that a run takes at most unless it is told how much: the machine has other things to hold. */
const SHARE = 3 / 4;
/** Share of the budget that is left for what plans later in a step have of their own, besides inputs: they lie where the first one lies. */
const LATER = 1 / 128;

/** Bytes that a run may take on the device; undefined where nothing was said and nothing is known. */
export function memoryOf(config: Pick<TrainConfig, "memory">, device: Pick<Device, "memory">): number | undefined {
  if (config.memory !== null) return parseMemorySize(config.memory);
  return device.memory === undefined ? undefined : Math.floor(SHARE * device.memory);
}

/**
 * The engine, with plans that leave room: for what is on the device already, for reading back `staging` bytes at once, and for plans to come.
 * Its `plan` throws NoRoom, a UserError 78, which says what the least is, where that cannot be.
 */
export function withinMemory(engine: Engine, config: TrainConfig, staging: number): Engine {
  const budget = memoryOf(config, engine.device);
  if (budget === undefined) return engine;
  return {
    ...engine,
    async plan(build, inputs, options) {
      const { live, total } = engine.device.ledger();
      // What runs have read back is not counted: how far they have come must not decide plans.
      const held = total - (live.readback ?? 0) + staging;
      const within = (memory: number) => engine.plan(build, inputs, { ...options, memory });
      // Plans that come later and borrow have inputs of their own, of the same patches.
      const images = options?.borrow ? 0 : Object.values(inputs).reduce((sum, { dtype, shape }) => sum + storageBytes(dtype, sizeOf(shape)), 0);
      return within(Math.floor((1 - LATER) * budget) - held - images).catch((cause: unknown) => {
        if (!(cause instanceof OverBudget)) throw cause;
        if (cause.least <= budget - held) return within(budget - held);
        throw refuse(config, budget, (held + images + cause.least) / (1 - LATER));
      });
    },
  };
}

/** A run that does not fit into its memory, however much is computed twice. */
export class NoRoom extends UserError {}

function refuse(config: TrainConfig, budget: number, least: number): NoRoom {
  const { groups, groupSize, views, micro } = config.batch;
  const patches = (micro ?? groups * groupSize) * views;
  const way = micro === null || micro > 1 ? ["Fewer patches at once take less: batch.micro cuts a batch into parts, with the gradient of the whole."] : [];
  const asIs = config.memory === null ? [] : [`With --memory ${formatBytesUp(least).replace(" ", "")} it fits as it is.`];
  return new NoRoom(EXIT_CODES.config, `config: memory: ${formatBytes(budget)}, expected at least ${formatBytesUp(least)} for ${config.preset} with ${patches} patches of ${config.data.patch} px at once, however much is computed twice`, [
    ...asIs,
    ...way,
    "A smaller data.patch, precision f16 and a smaller preset take less, too; `cytonet train --dry-run` shows how much.",
  ]);
}

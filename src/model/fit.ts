// A batch that finds no memory: planned again in smaller parts, where that leaves its gradient what it is or where that was allowed; else told what would fit.
import type { Engine } from "../engine/engine.ts";
import { Unavailable } from "../engine/errors.ts";
import { UserError } from "../errors.ts";
import { batchSizes } from "./batches.ts";
import type { TrainConfig } from "./config.ts";
import { planTraining } from "./dry-run.ts";
import { describePreset } from "./embed.ts";
import { NoRoom } from "./memory.ts";
import { presetOf } from "./presets.ts";

/** Whether an encoder normalises over the patches that go through it together, so that another number of them is another training. */
export function normalisesBatch(config: TrainConfig): boolean {
  return describePreset(presetOf(config), config.data.patch).statistics.some(({ name }) => name.startsWith("encoder."));
}

/** A configuration that fits, and what people are to know of how it came to. */
export interface Fitted {
  readonly config: TrainConfig;
  readonly note?: string;
}

/**
 * Plans a run, and where it does not fit finds the largest `batch.micro` that does, by halving. It is taken where `batch.fit` allows it.
 * Errors: those of `planTraining`, with what would fit.
 * @param begun the run has begun: its batches keep their parts
 */
export async function fitBatch(engine: Engine, config: TrainConfig, begun = false): Promise<Fitted> {
  const refused = await refusalOf(engine, config);
  if (!refused) return { config };
  if (begun) throw refused;
  const fitting = await findFitting(engine, config);
  if (!fitting) throw refused;
  const [asked, { n, micro }] = [batchSizes(config).micro, batchSizes(fitting)];
  const mixes = normalisesBatch(config);
  const what = mixes ? `batch norm in the encoder takes its statistics over ${micro} patches, so it is another training than with ${asked} at once` : "the gradient is that of the whole batch all the same";
  if (config.batch.fit === "any" || (config.batch.fit === "same" && !mixes))
    return { config: fitting, note: `${mixes ? "warning: " : ""}${refused.message}: the ${n} patches of a batch go through the encoder ${micro} at a time (batch.micro=${micro}); ${what}` };
  const [Refusal, remedy] = [refused instanceof NoRoom ? NoRoom : UserError, `With --micro ${micro} it would fit: ${what}. Say so, or set batch.fit=${mixes ? "any" : "same"}.`];
  throw new Refusal(refused.exitCode, refused.message, [remedy, ...refused.notes], { cause: refused });
}

/** Why a run does not fit; undefined where it does. Errors: those that have other reasons. */
async function refusalOf(engine: Engine, config: TrainConfig): Promise<UserError | undefined> {
  try {
    await planTraining(engine, config);
    return undefined;
  } catch (error) {
    if (error instanceof NoRoom || error instanceof Unavailable) return error;
    throw error;
  }
}

async function findFitting(engine: Engine, config: TrainConfig): Promise<TrainConfig | undefined> {
  const { n, micro: asked } = batchSizes(config);
  for (let micro = asked; micro > 1; ) {
    let next = Math.floor(micro / 2);
    while (n % next) next--;
    micro = next;
    const tried = { ...config, batch: { ...config.batch, micro } };
    // Too small a part may be none that this encoder can be trained with.
    const refused = await refusalOf(engine, tried).catch((error: unknown) => (error instanceof UserError ? error : Promise.reject(error)));
    if (!refused) return tried;
  }
  return undefined;
}

// The untrained encoder: the same network with its first weights, its batch-norm statistics measured on training patches.
import type { Dataset } from "../data/dataset.ts";
import { cropWindows, type SectionCache } from "../data/sections.ts";
import { storeFloat32, type StoredTensor } from "../data/tensors.ts";
import type { Engine } from "../engine/engine.ts";
import { f32 } from "../engine/engine.ts";
import { flattenSettings, resolveConfig } from "../model/config.ts";
import { describePreset, freeWeights } from "../model/embed.ts";
import { windowOptions } from "../model/objective.ts";
import { bindParameters, createWeights } from "../model/parameters.ts";
import { precisionOn } from "../model/precision.ts";
import { encode, presetOf } from "../model/presets.ts";
import type { Weights } from "../model/weights.ts";
import { normalise } from "../ops/image.ts";
import { RUNNING_MOMENTUM } from "../ops/norm.ts";
import { shuffleSome } from "./probe-split.ts";

/** Patches of a batch, and batches that are averaged. */
const BATCH = 64;
const BATCHES = 16;

/**
 * Weights of the configuration of `trained` as they were before its first step. Their running statistics are means over up to 16 batches of 64 of the
 * `samples`, mixed from all of them, each batch normalised by itself on its way as in training (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021).
 */
export async function makeUntrained(engine: Engine, trained: Weights, dataset: Dataset, cache: SectionCache, samples: Uint32Array, onBatch: (done: number, total: number) => Promise<void> = async () => {}): Promise<Weights> {
  const config = resolveConfig(flattenSettings(trained.config));
  const preset = presetOf(config);
  const { patch, mean, deviation } = config.data;
  const device = createWeights(engine, describePreset(preset, patch), config.seed);
  const tensors = new Map<string, StoredTensor>();
  try {
    // Those of the encoder only: the projection is no part of what is embedded.
    const running = [...device.statistics].filter(([name]) => name.startsWith("encoder."));
    const drawn = shuffleSome(samples, BATCH * BATCHES, config.seed);
    const size = Math.min(BATCH, drawn.length);
    const batches = running.length === 0 ? 0 : Math.floor(drawn.length / size);
    const sums = new Map(running.map(([name, tensor]) => [name, new Float64Array(tensor.storage.count)] as const));
    if (batches > 0) {
      const plan = await engine.plan(
        ({ x }) => ({ h: encode(preset, bindParameters(device, precisionOn(engine, config)), normalise(x, mean!, deviation!), { training: true }) }),
        { x: f32(size, patch, patch, 1) },
        { label: `calibrate ${preset.name}` },
      );
      try {
        for (let batch = 0; batch < batches; batch++) {
          // From 0 a batch moves them to its own times the momentum.
          for (const [, tensor] of running) engine.write(tensor, new Float32Array(tensor.storage.count));
          await plan.run({ x: await cropWindows(dataset, cache, drawn.slice(batch * size, (batch + 1) * size), patch, windowOptions(config)) });
          for (const [name, tensor] of running) {
            const sum = sums.get(name)!;
            ((await engine.read(tensor)) as Float32Array).forEach((value, i) => (sum[i]! += value / RUNNING_MOMENTUM / batches));
          }
          await onBatch(batch + 1, batches);
        }
      } finally {
        plan.dispose();
      }
    }
    for (const [name, tensor] of [...device.parameters, ...device.statistics]) {
      const sum = sums.get(name);
      tensors.set(name, storeFloat32(sum ? Float32Array.from(sum) : ((await engine.read(tensor)) as Float32Array), tensor.shape));
    }
  } finally {
    freeWeights(engine, device);
  }
  return { tensors, config: trained.config, step: 0 };
}

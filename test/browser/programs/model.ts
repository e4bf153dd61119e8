// The model for tests in Node and in pages: trained for a few steps on a generated section, and embedding an image.
import { createMemoryFiles, createEngine, decodeWeights, embedImage, generateDataset, openAdapter, resolveConfig, train, type Engine, type StepMetrics } from "../../../src/browser.ts";

const SETTINGS = { preset: "tiny", "data.patch": 32, "batch.groups": 4, "batch.groupSize": 2, "checkpoint.every": 1000 };

/** Some steps of the trainer in memory; the same everywhere, up to the device's arithmetic. */
export async function trainModel(engine: Engine, steps: number): Promise<{ weights: Uint8Array; metrics: StepMetrics[] }> {
  const files = createMemoryFiles();
  const dataset = await generateDataset({ seed: 3, brains: 1, sections: 1, width: 192, height: 144, pixelSizeUm: 24 }, "data", files);
  const metrics: StepMetrics[] = [];
  await train({ engine, files, dataset, config: resolveConfig({ ...SETTINGS, steps }), out: "run", environment: {}, onProgress: (state) => void metrics.push(state.metrics) });
  return { weights: await files.read("run/model.safetensors"), metrics };
}

/** Features of an image on a grid. */
export async function embedBytes(engine: Engine, weights: Uint8Array, image: Uint8Array, grid: { readonly pixelSizeUm: number; readonly strideUm: number }): Promise<Float32Array> {
  const files = createMemoryFiles();
  await files.writeAtomic("image.png", image);
  const embeddings = await embedImage(engine, "image.png", { files, weights: decodeWeights(weights, "weights"), batch: 8, ...grid });
  if (!embeddings) throw new Error("unreachable: nothing stops it");
  return embeddings.values;
}

async function withEngine<T>(body: (engine: Engine) => Promise<T>): Promise<T> {
  const handle = await openAdapter({ log: () => undefined });
  const engine = await createEngine(handle);
  try {
    return await body(engine);
  } finally {
    engine.dispose();
    handle.close();
  }
}

/** The same in a page of its own engine. */
export const trainHere = (steps: number) => withEngine((engine) => trainModel(engine, steps));
export const embedHere = (weights: Uint8Array, image: Uint8Array, grid: { readonly pixelSizeUm: number; readonly strideUm: number }) => withEngine((engine) => embedBytes(engine, weights, image, grid));

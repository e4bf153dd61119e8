// Training on the page: a generated section in memory, the same trainer as in Node, a live curve, and the features painted at the end.
import {
  colourScores, createMemoryFiles, DEMO_SETTINGS, drawFeatureMap, embedDataset, formatBytes, generateDataset, loadSections, principalComponents, readWeights,
  resolveConfig, RUN_FILES, joinPath, train, VERSION, type Dataset, type Engine, type Files, type Image,
} from "../src/browser.ts";
import { drawCurve } from "./curve.ts";
import { find } from "./dom.ts";

/** 8 × 6 mm of cortex: enough folds to see layers, small enough to be generated in a moment. */
const SECTION = { brains: 1, sections: 1, truth: false, width: 640, height: 480, pixelSizeUm: 12, sampleSpacingMm: 0.16 } as const;
const RUN = "run";

export interface TrainingSettings {
  readonly steps: number;
  readonly seed: number;
}

/** Generates, trains, embeds and paints. Ends early, without features, where the signal says so. */
export async function showTraining(engine: Engine, settings: TrainingSettings, signal: AbortSignal): Promise<void> {
  const state = find("training-state", HTMLElement);
  const canvas = find("section", HTMLCanvasElement);
  const curve = drawCurve(find("curve", SVGSVGElement), settings.steps);
  const files = createMemoryFiles();

  state.textContent = "generating a section …";
  await nextFrame();
  const dataset = await generateDataset({ ...SECTION, seed: settings.seed }, "data", files);
  await paint(canvas, dataset, files, new Uint8Array(3 * dataset.samples.count).fill(200));

  const result = await train({
    engine,
    files,
    dataset,
    config: resolveConfig({ ...DEMO_SETTINGS, ...settings }),
    out: RUN,
    environment: { cytonet: VERSION, device: engine.device.fingerprint.adapter },
    signal,
    onProgress({ step, steps, metrics, rate, eta, memory }) {
      curve.add(metrics.divergence);
      state.textContent = `step ${step} of ${steps}: loss ${metrics.loss.toFixed(3)}, ${metrics.divergence.toFixed(3)} above its floor; ${rate.toFixed(0)} patches/s, ${formatBytes(memory)}, ${eta.toFixed(0)} s left`;
    },
  });
  if (!result.finished) {
    state.textContent = `stopped after step ${result.step}`;
    return;
  }

  const weights = await readWeights(files, joinPath(RUN, RUN_FILES.weights));
  const embeddings = await embedDataset(engine, dataset, {
    files,
    weights,
    batch: 64,
    signal,
    onProgress: (done, total) => (state.textContent = `embedding: ${done} of ${total} patches`),
  });
  if (!embeddings) return;
  const { scores, share } = principalComponents(embeddings.values, embeddings.count, embeddings.channels, 3);
  await paint(canvas, dataset, files, colourScores(scores, embeddings.count));
  find("section-caption", HTMLElement).textContent = `Left the section, right the features of ${embeddings.count} patches: their three leading components (${[...share].map((part) => `${(100 * part).toFixed(0)} %`).join(", ")} of the variance) as red, green and blue. Equal colours look alike to the model.`;
  state.textContent = `done: ${result.step} steps, ${result.parameters} parameters, ${result.patchesPerSecond.toFixed(0)} patches/s; loss ${result.last?.divergence.toFixed(3) ?? "–"} above its floor`;
}

/** The section and the samples' colours over it. */
async function paint(canvas: HTMLCanvasElement, dataset: Dataset, files: Files, colours: Uint8Array): Promise<void> {
  const image = drawFeatureMap(dataset, 0, await loadSections(dataset, files).get(0), colours);
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(toImageData(image), 0, 0);
}

function toImageData({ width, height, data }: Image): ImageData {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set([data[3 * i] ?? 0, data[3 * i + 1] ?? 0, data[3 * i + 2] ?? 0, 255], 4 * i);
  return pixels;
}

/** Lets the page show what it says before the processor is busy. */
function nextFrame(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

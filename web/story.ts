// The story on the page: generated brains in memory, the same steps as in Node, a live curve, and the same report at the end.
import { createMemoryFiles, DEMO_SETTINGS, formatBytes, renderReport, runStory, STAGES, VERSION, type Engine, type Files } from "../src/browser.ts";
import { drawCurve } from "./curve.ts";
import { find } from "./dom.ts";

export interface StorySettings {
  readonly steps: number;
  readonly seed: number;
  /** Sections of each brain. */
  readonly sections: number;
}

/** Thrown in the midst of work that asks for no signal. */
class Stopped extends Error {}

/** Tells the story and shows its report. Ends early, without one, where the signal says so. */
export async function showStory(engine: Engine, settings: StorySettings, signal: AbortSignal): Promise<void> {
  const state = find("story-state", HTMLElement);
  const bar = find("progress", HTMLProgressElement);
  const curve = drawCurve(find("curve", SVGSVGElement), settings.steps);
  const { steps, seed, sections } = settings;
  hideReport();
  let stage = 0;
  const show = (text: string, share: number): void => {
    state.textContent = text;
    bar.value = (stage + Math.min(1, share)) / STAGES.length;
  };
  let stageText = "";
  const images = 3 * sections;
  let written = 0;
  const files = breatheBetween(createMemoryFiles(), signal, (path) => {
    if (path.endsWith(".png") && stage === 0) show(`${stageText}: section ${Math.min(++written, images)} of ${images}`, written / images);
  });
  try {
    await files.makeFolder("demo");
    const story = await runStory(engine, files, {
      phantom: { seed, size: "small", brains: 3, sections, truth: false },
      settings: { ...DEMO_SETTINGS, seed, steps },
      folder: "demo",
      environment: { cytonet: VERSION, device: engine.device.fingerprint.adapter },
      signal,
      onStage(name, text) {
        stage = STAGES.indexOf(name);
        stageText = text;
        show(`${text} …`, 0);
      },
      onTraining({ step, metrics, rate, eta, memory }) {
        curve.add(metrics.divergence);
        show(`step ${step} of ${steps}: loss ${metrics.loss.toFixed(3)}, ${metrics.divergence.toFixed(3)} above its floor; ${formatBytes(memory)}${Number.isNaN(rate) ? "" : `, ${rate.toFixed(0)} patches/s, ${eta.toFixed(0)} s left`}`, step / steps);
      },
      onProgress: (text, done, total) => show(`${text}: ${done} of ${total}`, done / total),
    });
    if (!story) throw new Stopped();
    bar.value = 1;
    const { value, low, high } = story.probe.probe.macroF1;
    state.textContent = `done: ${steps} steps, macro-F1 ${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)}) on the brain that was held out`;
    showReport(renderReport(story, { command: `the page of cytonet, with ${steps} steps, seed ${seed} and ${sections} ${sections === 1 ? "section" : "sections"} a brain`, host: "a browser", maps: false }));
  } catch (error) {
    bar.value = 0;
    state.textContent = error instanceof Stopped ? "stopped" : "ended by an error, see above";
    if (!(error instanceof Stopped)) throw error;
  }
}

/** Files that let the page live before each write, tell of it, and end the work where the signal says so. */
function breatheBetween(files: Files, signal: AbortSignal, onWrite: (path: string) => void): Files {
  return {
    ...files,
    async writeAtomic(path, bytes) {
      onWrite(path);
      await new Promise((done) => setTimeout(done));
      if (signal.aborted) throw new Stopped();
      return files.writeAtomic(path, bytes);
    },
  };
}

let address: string | undefined;

function hideReport(): void {
  find("result", HTMLElement).hidden = true;
  if (address !== undefined) URL.revokeObjectURL(address);
  address = undefined;
}

/** Shows the document as high as it is, and offers it as a file. */
function showReport(text: string): void {
  const frame = find("report", HTMLIFrameElement);
  address = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  find("download", HTMLAnchorElement).href = address;
  find("result", HTMLElement).hidden = false;
  const fit = (): void => {
    const height = frame.contentDocument?.documentElement.scrollHeight;
    if (height !== undefined) frame.style.height = `${height + 2}px`;
  };
  frame.addEventListener("load", () => {
    fit();
    if (frame.contentDocument) new ResizeObserver(fit).observe(frame.contentDocument.body);
  }, { once: true });
  frame.srcdoc = text;
}

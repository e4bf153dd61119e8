// The page's script: finds the adapter, tells the story, checks the kernels, each by its button; the settings stand in the address.
import { chooseDemoSteps, createEngine, formatBytes, openAdapter, parseDebug, VERSION, type Engine } from "../src/browser.ts";
import { showChecks } from "./checks.ts";
import { describeError, find, make, notify } from "./dom.ts";
import { showStory } from "./story.ts";

/** `?run=` names what starts by itself: `story` by default, `check`, both with a comma between them, or `none`. */
const parameters = new URLSearchParams(location.search);
const startsByItself = (parameters.get("run") ?? "story").split(",");
/** Sections of each generated brain. */
const SECTIONS = 4;

const steps = find("steps", HTMLInputElement);
const seed = find("seed", HTMLInputElement);
seed.value = parameters.get("seed") ?? "1";

/** One job at a time: they share the device, and each other's time. */
let running: { readonly button: HTMLButtonElement; readonly controller: AbortController } | undefined;

function connect(id: string, label: string, job: (signal: AbortSignal) => Promise<void>): () => Promise<void> {
  const button = find(id, HTMLButtonElement);
  const start = async () => {
    const controller = new AbortController();
    running = { button, controller };
    refresh();
    button.textContent = "Stop";
    notify("");
    try {
      await job(controller.signal);
    } catch (error) {
      notify(describeError(error));
    } finally {
      button.textContent = label;
      running = undefined;
      refresh();
    }
  };
  button.addEventListener("click", () => {
    if (running?.button === button) running.controller.abort();
    else if (!running) void start();
  });
  return start;
}

function refresh(): void {
  for (const id of ["story", "check"]) {
    const button = find(id, HTMLButtonElement);
    button.disabled = running !== undefined && running.button !== button;
  }
}

function showAdapter(engine: Engine): void {
  const { adapter, driver, kind, features, limits, subgroups } = engine.device.fingerprint;
  const rows: [string, string][] = [
    ["name", `${adapter}${driver === "" ? "" : ` (${driver})`}`],
    ["kind", kind === "gpu" ? "GPU" : "CPU: no GPU found, this is far slower"],
    ["features", features.join(", ") || "none beyond the core"],
    ["subgroups", subgroups[1] > 1 ? `${subgroups[0]} to ${subgroups[1]} lanes` : "none"],
    ["limits", `${formatBytes(limits["maxBufferSize"] ?? 0)} a buffer, ${formatBytes(limits["maxStorageBufferBindingSize"] ?? 0)} a binding`],
  ];
  find("adapter", HTMLElement).replaceChildren(...rows.flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]));
}

async function begin(): Promise<void> {
  document.title = `cytonet ${VERSION}`;
  const handle = await openAdapter({ log: () => undefined });
  // `?debug=time` also draws every kernel in the devtools' performance panel.
  const engine = await createEngine(handle, { debug: parseDebug(parameters.get("debug") ?? undefined), log: (line) => console.log(line) });
  showAdapter(engine);
  void engine.device.gpu.lost.then(({ message }) => notify(`The device was lost (${message || "no reason given"}). Reload the page.`));
  steps.value = parameters.get("steps") ?? String(chooseDemoSteps(engine.device.fingerprint.adapter));
  const sections = Math.max(1, Math.round(Number(parameters.get("sections") ?? SECTIONS)) || SECTIONS);
  const story = connect("story", "Start", (signal) => {
    const settings = { steps: readWhole(steps), seed: readWhole(seed), sections };
    const address = new URL(location.href);
    address.searchParams.set("steps", String(settings.steps));
    address.searchParams.set("seed", String(settings.seed));
    history.replaceState(null, "", address);
    return showStory(engine, settings, signal);
  });
  const check = connect("check", "Check", (signal) => showChecks(engine, signal));
  refresh();
  find("story-state", HTMLElement).textContent = "ready";
  if (startsByItself.includes("story")) await story();
  if (startsByItself.includes("check") && !running) await check();
}

/** The whole number in a field, kept within the field's bounds. */
function readWhole(field: HTMLInputElement): number {
  const value = Math.round(Number(field.value));
  const kept = Math.min(Number(field.max), Math.max(Number(field.min), Number.isFinite(value) ? value : 1));
  field.value = String(kept);
  return kept;
}

begin().catch((error: unknown) => {
  find("adapter", HTMLElement).replaceChildren(make("dt", "", "name"), make("dd", "", "none"));
  find("story-state", HTMLElement).textContent = "nothing to train on";
  notify(describeError(error));
});

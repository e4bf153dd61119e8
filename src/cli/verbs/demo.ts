// `cytonet demo`: the whole story in small: generated brains, a tiny model trained on two, and a report of what it learned about the third.
import { EXIT_CODES, UserError } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { chooseDemoSteps, DEMO_SETTINGS } from "../../model/demo.ts";
import { RUN_FILES } from "../../model/run.ts";
import { formatBytes } from "../../engine/errors.ts";
import { renderReport } from "../../report/report.ts";
import { runStory, STAGES, STORY_FILES, type Story } from "../../story/story.ts";
import { summariseStory } from "../../story/summary.ts";
import type { Estimate } from "../../analysis/bootstrap.ts";
import type { Format } from "../arguments.ts";
import { describeEnvironment, listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";
import { describeProgress } from "./train.ts";

export interface DemoFlags extends DeviceFlags {
  readonly out?: string;
  readonly steps?: number;
  readonly seed?: number;
  readonly sections?: number;
  readonly format: Format;
}

const DEFAULT_FOLDER = "runs/demo";
/** What the demo writes into its folder, and all that it ever replaces there. */
const FILES = { marker: "demo.json", ...STORY_FILES, report: "report.html", summary: "summary.json" } as const;
const LOCK = ".demo.lock";

export async function runDemo(flags: DemoFlags): Promise<void> {
  const began = performance.now();
  const { folder, lock } = await takeFolder(flags.out);
  const stop = listenForStop((name) => process.stderr.write(`${name}: finishing what runs; once more leaves at once\n`));
  const progress = createProgress();
  const seed = flags.seed ?? 1;
  try {
    const { story, environment } = await withEngine(flags, async (engine) => {
      const { adapter } = engine.device.fingerprint;
      const environment = describeEnvironment(engine);
      // What an earlier demo said is not true of what comes now.
      for (const name of [FILES.report, FILES.summary, FILES.embeddings]) await nodeFiles.remove(joinPath(folder, name));
      const story = await runStory(engine, nodeFiles, {
        phantom: { seed, size: "small", brains: 3, ...(flags.sections === undefined ? {} : { sections: flags.sections }) },
        settings: { ...DEMO_SETTINGS, seed, steps: flags.steps ?? chooseDemoSteps(adapter) },
        folder,
        environment,
        signal: stop.signal,
        onStage: (stage, text) => {
          progress.end("");
          progress.note(`[${STAGES.indexOf(stage) + 1}/${STAGES.length}] ${text}${stage === "train" ? `, on ${adapter}` : ""}`);
        },
        onTraining: (state) => progress.update(describeProgress(state)),
        onProgress: (text, done, total) => progress.update(`${text} ${done}/${total}`),
        onNote: (line) => progress.note(line),
      });
      return { story, environment };
    });
    progress.end("");
    stop.throwIfStopped();
    if (!story) throw new UserError(EXIT_CODES.interrupted, "stopped");
    const seconds = (performance.now() - began) / 1000;
    const write = (name: string, text: string) => nodeFiles.writeAtomic(joinPath(folder, name), new TextEncoder().encode(text));
    const summary = summariseStory(story, { seconds, environment, files: { report: joinPath(folder, FILES.report), ...listFiles(folder) } });
    await write(FILES.summary, `${JSON.stringify(summary, null, 2)}\n`);
    await write(FILES.report, renderReport(story, { command: describeCommand(flags), host: `Node ${process.version} on ${process.platform} ${process.arch}`, files: DESCRIBED }));
    const row = summarise(story, folder, seconds);
    await emit(flags.format === "table" ? describeOutcome(story, folder, seconds) : formatRows(flags.format, "cytonet-demo/2", [row]));
  } finally {
    progress.end("");
    stop.dispose();
    await lock.release();
  }
}

/** The folder to write to, locked. The default one gives way to a demo that runs already; a folder with files of somebody else's is refused (73). */
async function takeFolder(asked: string | undefined): Promise<{ folder: string; lock: { release(): Promise<void> } }> {
  for (let number = 1; ; number++) {
    const folder = asked ?? (number === 1 ? DEFAULT_FOLDER : `${DEFAULT_FOLDER}-${number}`);
    await nodeFiles.makeFolder(folder);
    const names = (await nodeFiles.list(folder)).map(({ name }) => name);
    const ours: readonly string[] = Object.values(FILES);
    if (!names.includes(FILES.marker) && names.some((name) => ours.includes(name)))
      throw new UserError(EXIT_CODES.cannotCreate, `${folder}: holds ${names.filter((name) => ours.includes(name)).join(", ")} that no demo made, expected a new folder or that of an earlier demo; choose another --out`);
    try {
      const lock = await nodeFiles.lock(joinPath(folder, LOCK));
      if (!names.includes(FILES.marker)) await nodeFiles.writeAtomic(joinPath(folder, FILES.marker), new TextEncoder().encode('{ "schema": "cytonet-demo/2" }\n'));
      return { folder, lock };
    } catch (error) {
      if (asked !== undefined || !(error instanceof UserError) || error.exitCode !== EXIT_CODES.locked || number >= 9) throw error;
      process.stderr.write(`${folder} is in use by another demo; trying ${DEFAULT_FOLDER}-${number + 1}\n`);
    }
  }
}

/** Files beside the report, for people. */
const DESCRIBED = [
  [FILES.summary, "these numbers as JSON; its probe, knn, baselines and differences are those of cytonet probe"],
  [`${FILES.data}/`, "the dataset: sections, table of places, truth"],
  [`${FILES.run}/`, `the run: configuration, metrics, checkpoints, weights (${RUN_FILES.weights})`],
  [FILES.embeddings, "the features of every place"],
  [`${FILES.maps}/`, "all sections beside their features, parcels and true areas"],
] as const;

function listFiles(folder: string): Record<string, string> {
  return { data: joinPath(folder, FILES.data), run: joinPath(folder, FILES.run), weights: joinPath(folder, FILES.run, RUN_FILES.weights), embeddings: joinPath(folder, FILES.embeddings), maps: joinPath(folder, FILES.maps) };
}

/** What was typed, as far as it decides what comes out: not where to, which may be a path that is nobody else's business. */
function describeCommand({ steps, seed, sections, adapter }: DemoFlags): string {
  const given = Object.entries({ steps, seed, sections, adapter }).filter(([, value]) => value !== undefined);
  return ["cytonet demo", ...given.map(([name, value]) => `--${name} ${String(value)}`)].join(" ");
}

function summarise(story: Story, folder: string, seconds: number): Row {
  const { probe, losses } = story;
  const cells = (name: string, { value, low, high }: Estimate): Row => ({ [name]: value, [`${name}Low`]: low, [`${name}High`]: high });
  return {
    adapter: story.device.adapter,
    kind: story.device.kind,
    samples: story.dataset.samples,
    steps: losses.length,
    parameters: story.parameters,
    loss: losses.at(-1)?.loss ?? null,
    floor: losses.at(-1)?.floor ?? null,
    ...cells("macroF1", probe.probe.macroF1),
    chance: probe.baselines.chance.macroF1.value,
    intensity: probe.baselines.intensity.macroF1.value,
    untrained: probe.baselines.untrained.macroF1.value,
    trainPatchesPerSecond: Number(story.throughput.trainPatchesPerSecond.toFixed(1)),
    embedPatchesPerSecond: Number(story.throughput.embedPatchesPerSecond.toFixed(1)),
    peakDeviceBytes: story.device.peakBytes,
    seconds: Number(seconds.toFixed(1)),
    report: joinPath(folder, FILES.report),
    summary: joinPath(folder, FILES.summary),
    ...listFiles(folder),
  };
}

/** The summary for people. */
function describeOutcome(story: Story, folder: string, seconds: number): string {
  const { probe, device, losses, throughput, parcels } = story;
  const interval = ({ value, low, high }: Estimate) => `${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
  const more = ({ value, low, high }: Estimate) => `${value < 0 ? "" : "+"}${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
  const last = losses.at(-1)!;
  const rows: [string, string][] = [
    ["adapter", `${device.adapter} [${device.kind}]`],
    ["model", `tiny, ${story.parameters} parameters, ${losses.length} steps on ${probe.train.brains.join(" and ")}`],
    ["loss", `${last.loss.toFixed(3)} at the last step; its floor is ${last.floor.toFixed(3)}`],
    ["areas read off", `macro-F1 ${interval(probe.probe.macroF1)} on ${probe.test.brains.join(", ")}, which training never saw`],
    ["  beside", `untrained ${interval(probe.baselines.untrained.macroF1)}, grey levels ${interval(probe.baselines.intensity.macroF1)}, chance ${probe.baselines.chance.macroF1.value.toFixed(2)}`],
    ["  difference", `${more(probe.differences.untrained.macroF1)} to untrained, ${more(probe.differences.intensity.macroF1)} to grey levels`],
    ["parcels", `adjusted Rand index ${parcels.heldOut.ari.toFixed(2)}, NMI ${parcels.heldOut.nmi.toFixed(2)} with the true areas`],
    ["speed", `${throughput.trainPatchesPerSecond.toFixed(0)} patches/s in training, ${throughput.embedPatchesPerSecond.toFixed(0)} in embedding; ${formatSeconds(seconds)} in all`],
    ["memory", `${formatBytes(device.peakBytes)} on the device at most`],
    ["report", `${joinPath(folder, FILES.report)}  (open it in a browser)`],
    ["summary", joinPath(folder, FILES.summary)],
    ["dataset", `${joinPath(folder, FILES.data)}  (${story.dataset.samples} places; generated, no real brain)`],
    ["weights", joinPath(folder, FILES.run, RUN_FILES.weights)],
    ["features", `${joinPath(folder, FILES.embeddings)}  (${story.dataset.samples} × ${story.channels})`],
    ["maps", joinPath(folder, FILES.maps)],
  ];
  return [
    ...rows.map(([name, text]) => `${name.padEnd(16)}  ${text}`),
    "",
    "intervals are of 95 %, over spatial blocks of the brain held out; scores are from 0 to 1",
    "",
    "next:",
    `  open ${joinPath(folder, FILES.report)}; it says how to go on`,
    "  your own sections: cytonet import --help, then cytonet train DATASET --preset tiny --steps 1000 --out RUN",
    `  the curves: tensorboard --logdir ${joinPath(folder, FILES.run)}`,
    "",
  ].join("\n");
}

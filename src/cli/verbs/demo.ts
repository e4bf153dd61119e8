// `cytonet demo`: the main job in small: a generated section, a tiny CytoNet trained on it, its features, and a picture of them.
import { writeFeatureMaps } from "../../analysis/maps.ts";
import { encodeEmbeddings } from "../../data/embeddings.ts";
import { generateDataset } from "../../phantom/phantom.ts";
import type { Engine } from "../../engine/engine.ts";
import { formatBytes } from "../../engine/errors.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { resolveConfig } from "../../model/config.ts";
import { DEMO_SETTINGS } from "../../model/demo.ts";
import { embedDataset } from "../../model/embed.ts";
import { train, type Progress, type TrainResult } from "../../model/trainer.ts";
import { RUN_FILES } from "../../model/run.ts";
import { readWeights } from "../../model/weights.ts";
import type { Format } from "../arguments.ts";
import { describeEnvironment, listenForStop, withEngine, type DeviceFlags, type Stop } from "../device.ts";
import { emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds, type ProgressLine } from "../progress.ts";
import { describeProgress } from "./train.ts";

export interface DemoFlags extends DeviceFlags {
  readonly out?: string;
  readonly steps?: number;
  readonly format: Format;
}

const DEFAULT_FOLDER = "runs/demo";
/** What the demo writes into its folder, and all that it ever replaces there. */
const FILES = { marker: "demo.json", data: "data", run: "run", embeddings: "embeddings.safetensors", maps: "maps" } as const;
const LOCK = ".demo.lock";
const SECTION = { seed: 1, brains: 1, sections: 1, width: 1024, height: 768, pixelSizeUm: 12, sampleSpacingMm: 0.2 } as const;
const EMBED_BATCH = 64;
/** Steps that the first and the last loss are averaged over: single batches differ. */
const AVERAGED = 10;

interface Outcome {
  readonly adapter: string;
  readonly kind: string;
  readonly samples: number;
  readonly training: TrainResult;
  /** Loss above its floor: averaged over the first and over the last steps. */
  readonly first: number;
  readonly last: number;
  readonly embedded: number;
  readonly channels: number;
  readonly embedRate: number;
  readonly maps: readonly string[];
  readonly share: readonly number[];
  readonly memory: number;
}

export async function runDemo(flags: DemoFlags): Promise<void> {
  const began = performance.now();
  const { folder, lock } = await takeFolder(flags.out);
  const stop = listenForStop((name) => process.stderr.write(`${name}: finishing what runs; once more leaves at once\n`));
  const progress = createProgress();
  try {
    const outcome = await withEngine(flags, (engine) => runSteps(engine, folder, flags.steps ?? DEMO_SETTINGS.steps, stop, progress));
    progress.end("");
    const seconds = (performance.now() - began) / 1000;
    const row = summarise(outcome, folder, seconds);
    await nodeFiles.writeAtomic(joinPath(folder, FILES.marker), new TextEncoder().encode(`${JSON.stringify({ schema: "cytonet-demo/1", ...row }, null, 2)}\n`));
    await emit(flags.format === "table" ? describeOutcome(outcome, folder, seconds) : formatRows(flags.format, "cytonet-demo/1", [row]));
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
      if (!names.includes(FILES.marker)) await nodeFiles.writeAtomic(joinPath(folder, FILES.marker), new TextEncoder().encode('{ "schema": "cytonet-demo/1" }\n'));
      return { folder, lock };
    } catch (error) {
      if (asked !== undefined || !(error instanceof UserError) || error.exitCode !== EXIT_CODES.locked || number >= 9) throw error;
      process.stderr.write(`${folder} is in use by another demo; trying ${DEFAULT_FOLDER}-${number + 1}\n`);
    }
  }
}

async function runSteps(engine: Engine, folder: string, steps: number, stop: Stop, progress: ProgressLine): Promise<Outcome> {
  const { fingerprint } = engine.device;
  progress.note(`[1/4] generating a section of ${SECTION.width} × ${SECTION.height} px at ${SECTION.pixelSizeUm} µm`);
  const dataset = await generateDataset(SECTION, joinPath(folder, FILES.data), nodeFiles, { force: true });
  stop.throwIfStopped();

  progress.note(`[2/4] training tiny for ${steps} steps on ${dataset.samples.count} places, on ${fingerprint.adapter}`);
  const states: Progress["metrics"][] = [];
  const out = joinPath(folder, FILES.run);
  const training = await train({
    engine,
    files: nodeFiles,
    dataset,
    config: resolveConfig({ ...DEMO_SETTINGS, steps }),
    out,
    force: true,
    environment: describeEnvironment(engine),
    signal: stop.signal,
    onProgress(state) {
      states.push(state.metrics);
      progress.update(describeProgress(state));
    },
    onNote: (line) => progress.note(line),
  });
  progress.end();
  stop.throwIfStopped();

  progress.note(`[3/4] embedding ${dataset.samples.count} patches`);
  const weights = await readWeights(nodeFiles, joinPath(out, RUN_FILES.weights));
  const start = performance.now();
  const embeddings = await embedDataset(engine, dataset, {
    files: nodeFiles,
    weights,
    batch: EMBED_BATCH,
    signal: stop.signal,
    onProgress: (done, total) => progress.update(`embedded ${done}/${total} patches`),
  });
  stop.throwIfStopped();
  if (!embeddings) throw new UserError(EXIT_CODES.interrupted, "stopped");
  const seconds = (performance.now() - start) / 1000;
  await nodeFiles.writeAtomic(joinPath(folder, FILES.embeddings), encodeEmbeddings(embeddings, "safetensors"));

  progress.note("[4/4] painting the features over the section");
  const maps = await writeFeatureMaps(nodeFiles, dataset, embeddings.values, embeddings.channels, joinPath(folder, FILES.maps));
  const mean = (some: readonly Progress["metrics"][]) => some.reduce((sum, { divergence }) => sum + divergence, 0) / some.length;
  return {
    adapter: fingerprint.adapter,
    kind: fingerprint.kind,
    samples: dataset.samples.count,
    training,
    first: mean(states.slice(0, AVERAGED)),
    last: mean(states.slice(-AVERAGED)),
    embedded: embeddings.count,
    channels: embeddings.channels,
    embedRate: embeddings.count / seconds,
    maps: maps.paths,
    share: maps.share,
    memory: engine.device.ledger().peak,
  };
}

function summarise({ training, ...outcome }: Outcome, folder: string, seconds: number): Row {
  return {
    adapter: outcome.adapter,
    kind: outcome.kind,
    samples: outcome.samples,
    steps: training.step,
    parameters: training.parameters,
    loss: training.last?.loss ?? null,
    aboveFloorFirst: outcome.first,
    aboveFloorLast: outcome.last,
    trainPatchesPerSecond: Number(training.patchesPerSecond.toFixed(1)),
    embedPatchesPerSecond: Number(outcome.embedRate.toFixed(1)),
    peakDeviceBytes: outcome.memory,
    seconds: Number(seconds.toFixed(1)),
    weights: joinPath(folder, FILES.run, RUN_FILES.weights),
    embeddings: joinPath(folder, FILES.embeddings),
    map: outcome.maps[0] ?? null,
  };
}

/** The summary for people. */
function describeOutcome({ training, ...outcome }: Outcome, folder: string, seconds: number): string {
  const run = joinPath(folder, FILES.run);
  const rows: [string, string][] = [
    ["adapter", `${outcome.adapter} [${outcome.kind}]`],
    ["model", `tiny, ${training.parameters} parameters, ${training.step} steps`],
    ["loss above floor", `${outcome.first.toFixed(3)} in the first ${Math.min(AVERAGED, training.step)} steps, ${outcome.last.toFixed(3)} in the last (0 is the best there is)`],
    ["speed", `${training.patchesPerSecond.toFixed(0)} patches/s in training, ${outcome.embedRate.toFixed(0)} in embedding; ${formatSeconds(seconds)} in all`],
    ["memory", `${formatBytes(outcome.memory)} on the device at most`],
    ["dataset", `${joinPath(folder, FILES.data)}  (${outcome.samples} places; generated, no real brain)`],
    ["weights", joinPath(run, RUN_FILES.weights)],
    ["features", `${joinPath(folder, FILES.embeddings)}  (${outcome.embedded} × ${outcome.channels})`],
    ["map", `${outcome.maps.join(", ")}  (three components, ${outcome.share.map((part) => `${(100 * part).toFixed(0)} %`).join(", ")} of the variance)`],
  ];
  return [
    ...rows.map(([name, text]) => `${name.padEnd(16)}  ${text}`),
    "",
    "next:",
    "  look at the map: what has the same colour looks alike to the model",
    "  your own sections: cytonet import --help, then cytonet train DATASET --preset tiny --steps 1000 --out RUN",
    `  the curves: tensorboard --logdir ${run}`,
    "",
  ].join("\n");
}

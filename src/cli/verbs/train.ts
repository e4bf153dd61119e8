// `cytonet train`: a dataset in, a run folder with weights out.
import { readDataset } from "../../data/read-dataset.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { flattenSettings, parseSetting, resolveConfig } from "../../model/config.ts";
import { readRun } from "../../model/run.ts";
import { train, type Progress } from "../../model/trainer.ts";
import { formatBytes } from "../../engine/errors.ts";
import { describeEnvironment, listenForStop, withEngine, type DeviceOptions } from "../device.ts";
import { emit, formatRows, parseFormat, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface TrainFlags extends DeviceOptions {
  readonly preset?: string;
  readonly steps?: string;
  readonly seed?: string;
  readonly out: string;
  readonly holdOut?: readonly string[];
  readonly set?: readonly string[];
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly format: string;
}

/** The settings that flags and --set stand for. */
export function settingsOf(flags: Pick<TrainFlags, "preset" | "steps" | "seed" | "holdOut" | "set">): Record<string, unknown> {
  const number = (text: string) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
  const settings: Record<string, unknown> = {};
  if (flags.preset !== undefined) settings["preset"] = flags.preset;
  if (flags.steps !== undefined) settings["steps"] = number(flags.steps);
  if (flags.seed !== undefined) settings["seed"] = number(flags.seed);
  if (flags.holdOut?.length) settings["holdOut"] = [...flags.holdOut];
  for (const text of flags.set ?? []) {
    const [key, value] = parseSetting(text);
    settings[key] = value;
  }
  return settings;
}

export async function runTrain(path: string, flags: TrainFlags): Promise<void> {
  const format = parseFormat(flags.format);
  if (flags.resume && flags.force) throw new UserError(EXIT_CODES.usage, "train: --resume and --force, expected at most one of them");
  const given = settingsOf(flags);
  // A continued run has its own settings; what is given must agree with them, which the trainer checks.
  const base = flags.resume ? flattenSettings((await readRun(nodeFiles, flags.out)).config) : {};
  const config = resolveConfig({ ...base, ...given });
  const dataset = await readDataset(nodeFiles, path);
  const stop = listenForStop((name) => process.stderr.write(`${name}: finishing the step and saving; once more leaves at once\n`));
  const progress = createProgress();
  try {
    const result = await withEngine(flags, (engine) =>
      train({
        engine,
        files: nodeFiles,
        dataset,
        config,
        out: flags.out,
        resume: flags.resume ?? false,
        force: flags.force ?? false,
        environment: describeEnvironment(engine),
        signal: stop.signal,
        onProgress: (state) => progress.update(describeProgress(state)),
        onNote: (line) => progress.note(line),
      }),
    );
    progress.end();
    const code = stop.code();
    if (!result.finished && code !== undefined) {
      process.stderr.write(`stopped after step ${result.step} of ${config.steps}; continue with: cytonet train ${path} --out ${flags.out} --resume\n`);
      process.exitCode = code;
      return;
    }
    const row: Row = {
      run: flags.out,
      steps: result.step,
      loss: result.last?.loss ?? null,
      divergence: result.last?.divergence ?? null,
      parameters: result.parameters,
      patchesPerSecond: Number(result.patchesPerSecond.toFixed(1)),
      weights: `${flags.out}/model.safetensors`,
    };
    await emit(formatRows(format, "cytonet-train/1", [row]));
  } finally {
    stop.dispose();
  }
}

/** One line: step, loss above its floor, gradient norm, rate, time left, memory. */
export function describeProgress({ step, steps, metrics, rate, eta, waiting, memory }: Progress): string {
  return `step ${step}/${steps}  loss ${metrics.loss.toFixed(4)}  above floor ${metrics.divergence.toFixed(4)}  |g| ${metrics.gradientNorm.toPrecision(3)}  ${rate.toFixed(0)} patches/s  waiting ${(100 * waiting).toFixed(0)} %  ${formatBytes(memory)}  ${formatSeconds(eta)} left`;
}

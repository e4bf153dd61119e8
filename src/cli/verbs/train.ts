// `cytonet train`: a dataset in, a run folder with weights out.
import { readDataset } from "../../data/read-dataset.ts";
import { formatBytes } from "../../engine/errors.ts";
import { EXIT_CODES, UserError, quoteArgument } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { patchWorkerHost } from "../patches.ts";
import { FIELDS, flattenSettings, parseSetting, resolveConfig } from "../../model/config.ts";
import { canResume, readResumable, RUN_FILES } from "../../model/run.ts";
import { train, type Progress } from "../../model/trainer.ts";
import type { Format, ResumeMode } from "../arguments.ts";
import { describeEnvironment, listenForStop, withEngine, withLastingEngine, type DeviceFlags } from "../device.ts";
import { emit, formatRows } from "../output.ts";
import { createLiveView, type LiveView } from "../live.ts";
import { createProgress, formatSeconds } from "../progress.ts";
import { isInteractive } from "../terminal.ts";

export interface TrainFlags extends DeviceFlags {
  readonly preset?: string;
  readonly steps?: number;
  readonly seed?: number;
  readonly out: string;
  readonly holdOut?: readonly string[];
  readonly batch?: number;
  readonly micro?: number;
  readonly memory?: string;
  readonly dryRun?: boolean;
  readonly config?: string;
  readonly set?: readonly string[];
  /** On a terminal: the view with curves; otherwise one line. */
  readonly live?: boolean;
  readonly resume?: ResumeMode;
  readonly force?: boolean;
  readonly format: Format;
}

/** The settings that options and --set stand for, all but --batch. Errors: UserError 2 where both name the same one. */
export function settingsOf(flags: Pick<TrainFlags, "preset" | "steps" | "seed" | "holdOut" | "micro" | "memory" | "set">): Record<string, unknown> {
  const named = { preset: flags.preset, steps: flags.steps, seed: flags.seed, holdOut: flags.holdOut, "batch.micro": flags.micro, memory: flags.memory };
  const settings: Record<string, unknown> = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
  for (const text of flags.set ?? []) {
    const [key, value] = parseSetting(text);
    if (Object.hasOwn(settings, key)) throw new UserError(EXIT_CODES.usage, `--set ${text}: ${key} is given twice, expected once`);
    settings[key] = value;
  }
  return settings;
}

/**
 * The number of groups that makes a batch of --batch patches, with groups of the size that `settings` say. Errors: UserError 2 where that is no
 * whole number, and where the command line gives batch.groups too.
 */
export function groupsOf(batch: number | undefined, given: Readonly<Record<string, unknown>>, settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (batch === undefined) return {};
  if (Object.hasOwn(given, "batch.groups")) throw new UserError(EXIT_CODES.usage, "--batch and --set batch.groups, expected at most one of them");
  const size = settings["batch.groupSize"] ?? FIELDS["batch.groupSize"].value;
  // A group size that is none is told with all other mistakes.
  if (typeof size !== "number" || FIELDS["batch.groupSize"].check(size) !== undefined) return {};
  if (batch % size) throw new UserError(EXIT_CODES.usage, `--batch: ${batch}, expected a multiple of ${size}, the patches of a neighbourhood group (batch.groupSize)`);
  return { "batch.groups": batch / size };
}

/** Settings from a file. The parser is loaded only where there is one. Errors: UserError 66 and 78. */
async function readConfigFile(path: string): Promise<{ settings: Record<string, unknown>; whereIs: (key: string) => string | undefined }> {
  const bytes = await nodeFiles.read(path);
  const { settings, whereIs } = await (await import("../../model/config-file.ts")).parseConfigFile(bytes, path);
  return { settings: Object.fromEntries(settings), whereIs };
}

export async function runTrain(path: string, flags: TrainFlags): Promise<void> {
  if (flags.resume && flags.force) throw new UserError(EXIT_CODES.usage, "cytonet train: --resume and --force, expected at most one of them");
  const typed = settingsOf(flags);
  const file = flags.config === undefined ? undefined : await readConfigFile(flags.config);
  const mode = flags.resume ?? (!flags.force && { ...file?.settings, ...typed }["checkpoint.resume"] === "auto" ? "auto" : undefined);
  const resume = mode === "auto" ? flags.out !== "" && (await canResume(nodeFiles, flags.out)) : mode === "must";
  // A continued run has its own settings; what is given must agree with them, which the trainer checks.
  const base = resume ? flattenSettings((await readResumable(nodeFiles, flags.out)) ?? {}) : {};
  const given = { ...typed, ...groupsOf(flags.batch, typed, { ...base, ...file?.settings, ...typed }) };
  const settings: Record<string, unknown> = { ...base, ...file?.settings, ...given };
  // Where a batch was cut into smaller parts than asked for, because more did not fit, the run goes on with those.
  const { "batch.micro": parts } = base;
  if (settings["batch.fit"] !== "no" && typeof parts === "number" && (settings["batch.micro"] === null || Number(settings["batch.micro"]) > parts)) {
    settings["batch.micro"] = parts;
    process.stderr.write(`resume: ${parts} patches at a time (batch.micro), as the run began\n`);
  }
  const config = resolveConfig(settings, (key) => (Object.hasOwn(given, key) ? undefined : file?.whereIs(key)));
  const dataset = await readDataset(nodeFiles, path);
  if (flags.dryRun) {
    const { formatDryRun } = await import("../dry-run.ts");
    const { text, note, refusal } = await withEngine(flags, (engine) => formatDryRun(engine, config, flags.format));
    await emit(text);
    if (note !== undefined) process.stderr.write(`${note}\n`);
    if (refusal) throw refusal;
    return;
  }
  const stop = listenForStop((name) => process.stderr.write(`${name}: saving the last whole step; once more leaves at once\n`));
  const progress = flags.live !== false && isInteractive() ? createLiveView((text) => void process.stderr.write(text), () => process.stderr.columns || 80) : createLine();
  try {
    const result = await withLastingEngine(flags, (engine, reopen) =>
      train({
        engine,
        reopen,
        workers: patchWorkerHost(new URL("../cli/patch-worker.js", import.meta.url)),
        files: nodeFiles,
        dataset,
        config,
        out: flags.out,
        resume,
        force: flags.force ?? false,
        environment: describeEnvironment(engine),
        signal: stop.signal,
        onProgress: (state) => progress.update(state),
        onNote: (line) => progress.note(line),
      }),
    );
    progress.end();
    if (!result.finished) {
      process.stderr.write(`stopped after step ${result.step} of ${config.steps}; continue with: cytonet train ${quoteArgument(path)} --out ${quoteArgument(flags.out)} --resume\n`);
      process.exitCode = stop.code() ?? EXIT_CODES.interrupted;
      return;
    }
    if (result.taken === 0) process.stderr.write(`${flags.out} has all its ${config.steps} steps already; nothing was left to do\n`);
    await emit(
      formatRows(flags.format, "cytonet-train/1", [
        {
          run: flags.out,
          steps: result.step,
          loss: result.last?.loss ?? null,
          divergence: result.last?.divergence ?? null,
          parameters: result.parameters,
          waiting: result.taken === 0 ? null : Number(result.waiting.toFixed(3)),
          patchesPerSecond: result.taken === 0 ? null : Number(result.patchesPerSecond.toFixed(1)),
          weights: joinPath(flags.out, RUN_FILES.weights),
        },
      ]),
    );
  } catch (error) {
    if (!stop.signal.aborted || error !== stop.signal.reason) throw error;
    progress.end("");
    process.stderr.write("stopped before the run began; nothing was made or removed\n");
    process.exitCode = stop.code() ?? EXIT_CODES.interrupted;
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** Progress in one line. */
function createLine(): LiveView {
  const line = createProgress();
  return { ...line, update: (state) => line.update(describeProgress(state)) };
}

/** One line, the most wanted first, because a narrow terminal cuts it: step, time left, loss and how far it is above its floor, rate, gradient norm, memory. */
export function describeProgress({ step, steps, metrics, rate, eta, waiting, memory, skipped }: Progress): string {
  const parts = [
    `step ${step}/${steps}`,
    ...(Number.isNaN(eta) ? [] : [`${formatSeconds(eta)} left`]),
    `loss ${metrics.loss.toFixed(4)}`,
    `above floor ${metrics.divergence.toFixed(4)}`,
    ...(Number.isNaN(rate) ? [] : [`${rate.toFixed(0)} patches/s`]),
    ...(waiting > 0.1 ? [`${(100 * waiting).toFixed(0)} % waiting for patches`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    `|g| ${metrics.gradientNorm.toPrecision(3)}`,
    formatBytes(memory),
  ];
  return parts.join("  ");
}

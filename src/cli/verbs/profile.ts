// `cytonet profile`: where the time of a training step or of an inference goes, kernel by kernel, as a table, a trace and a page.
import { UserError, EXIT_CODES } from "../../errors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import type { Engine } from "../../engine/engine.ts";
import { flattenSettings, resolveConfig, type TrainConfig } from "../../model/config.ts";
import { readRun, RUN_FILES } from "../../model/run.ts";
import { readWeights } from "../../model/weights.ts";
import { renderProfile } from "../../profile/page.ts";
import { describeProfile, printProfile } from "../../profile/print.ts";
import { profile, type Grouping, type ProfileReport } from "../../profile/profile.ts";
import { createEmbeddingSubject, createTrainingSubject, type Subject } from "../../profile/subjects.ts";
import { toTrace } from "../../profile/trace.ts";
import { VERSION } from "../../version.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress } from "../progress.ts";
import { settingsOf } from "./train.ts";

export interface ProfileFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly preset?: string;
  readonly batch: number;
  readonly patch?: number;
  readonly set?: readonly string[];
  readonly runs: number;
  readonly by: Grouping;
  readonly trace?: string;
  readonly html?: string;
}

const SCHEMA = "cytonet-profile/1";
/** Places in a neighbourhood group, unless --set says otherwise. */
const GROUP_SIZE = 4;

export async function runProfile(what: "train" | "embed", path: string | undefined, flags: ProfileFlags): Promise<void> {
  for (const [flag, file] of [["--output", flags.output], ["--trace", flags.trace], ["--html", flags.html]] as const) if (file !== undefined) await checkOutput(flag, file, flags.force ?? false);
  const create = what === "train" ? await prepareTraining(path, flags) : await prepareEmbedding(path, flags);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is written\n"));
  const progress = createProgress();
  try {
    const report = await withEngine(flags, async (engine) => {
      progress.update("building the plan");
      const subject = await create(engine);
      try {
        return await profile(engine, subject, { runs: flags.runs, grouping: flags.by, signal: stop.signal, onProgress: (text) => progress.update(text) });
      } finally {
        subject.dispose();
      }
    }).catch((cause: unknown) => {
      stop.throwIfStopped();
      throw cause;
    });
    progress.end("");
    const write = async (file: string | undefined, text: () => string, told: string) => {
      if (file === undefined) return;
      await nodeFiles.writeAtomic(file, new TextEncoder().encode(text()));
      process.stderr.write(`${file}: ${told}\n`);
    };
    await write(flags.trace, () => `${JSON.stringify(toTrace(report))}\n`, "a trace; open it at ui.perfetto.dev or chrome://tracing");
    await write(flags.html, () => renderProfile(report, commandOf(what, path, flags), VERSION), "a page with the roofline; any browser opens it, without network");
    await emit(formatReport(report, flags.format), flags.output);
  } finally {
    progress.end("");
    stop.dispose();
  }
}

/** A training step of a configuration; `path` is a dataset, or a run whose configuration and dataset-free noise are taken. */
async function prepareTraining(path: string | undefined, flags: ProfileFlags): Promise<(engine: Engine) => Promise<Subject>> {
  const isRun = path !== undefined && (await nodeFiles.size(joinPath(path, RUN_FILES.config))) !== undefined;
  const base = isRun ? flattenSettings((await readRun(nodeFiles, path)).config) : {};
  const config = resolveTraining(base, flags, isRun);
  return (engine) => createTrainingSubject(engine, config, path === undefined || isRun ? undefined : { files: nodeFiles, path });
}

function resolveTraining(base: Readonly<Record<string, unknown>>, flags: ProfileFlags, isRun: boolean): TrainConfig {
  const given = settingsOf({ ...(flags.preset === undefined ? {} : { preset: flags.preset }), ...(flags.set === undefined ? {} : { set: flags.set }) });
  const groupSize = Number(given["batch.groupSize"] ?? GROUP_SIZE);
  if (!isRun && flags.batch % groupSize !== 0)
    throw new UserError(EXIT_CODES.usage, `--batch ${flags.batch}, expected a multiple of ${groupSize}, the neighbourhood group; or set it with --set batch.groupSize=N`);
  const size = isRun ? {} : { "batch.groups": flags.batch / groupSize, "batch.groupSize": groupSize };
  return resolveConfig({ ...base, ...size, ...(flags.patch === undefined ? {} : { "data.patch": flags.patch }), ...given });
}

/** An inference: `path` is a run or its weights; without it the first weights of a preset. */
async function prepareEmbedding(path: string | undefined, flags: ProfileFlags): Promise<(engine: Engine) => Promise<Subject>> {
  if (path === undefined) {
    const config = resolveTraining({}, { ...flags, batch: GROUP_SIZE }, false);
    return (engine) => createEmbeddingSubject(engine, config, flags.batch);
  }
  for (const [flag, value] of [["--preset", flags.preset], ["--patch", flags.patch], ["--set", flags.set]] as const)
    if (value !== undefined) throw new UserError(EXIT_CODES.usage, `cytonet profile embed: ${flag} with ${path}, expected only without; its weights say what it is`);
  const isRun = (await nodeFiles.size(joinPath(path, RUN_FILES.config))) !== undefined;
  const weights = await readWeights(nodeFiles, isRun ? joinPath(path, RUN_FILES.weights) : path);
  return (engine) => createEmbeddingSubject(engine, weights, flags.batch);
}

function formatReport(report: ProfileReport, format: Format): string {
  if (format === "table") return printProfile(report);
  const { rows, timelines, ...head } = report;
  const round = (value: number) => Number(value.toPrecision(6));
  const cells = rows.map(
    (row): Row => ({ name: row.name, calls: row.calls, microseconds: round(row.microseconds), share: round(row.share), gflops: round(row.gflops), gbytes: round(row.gbytes), flops: row.flops, bytes: row.bytes, bound: row.bound, ofRoof: round(row.ofRoof) }),
  );
  const text = formatRows(format, SCHEMA, cells, { head: { ...head, commands: timelines[0]?.spans.length ?? 0 } });
  return format === "md" ? `${describeProfile(report).join("\n")}\n\n${text}` : text;
}

function commandOf(what: string, path: string | undefined, flags: ProfileFlags): string {
  const words = ["cytonet profile", what, path, flags.preset && `--preset ${flags.preset}`, `--batch ${flags.batch}`, flags.patch && `--patch ${flags.patch}`, ...(flags.set ?? []).map((text) => `--set ${text}`), `--runs ${flags.runs}`, `--by ${flags.by}`];
  return words.filter((word) => word !== undefined && word !== "").join(" ");
}

// Whether a file, a run or a dataset is whole: hashes, structure, and numbers that are numbers.
import { MANIFEST_FILE } from "../data/dataset.ts";
import { listDifferences } from "../data/json.ts";
import { readOnnx } from "../data/onnx.ts";
import { readDataset } from "../data/read-dataset.ts";
import { readSafetensors } from "../data/safetensors.ts";
import { hashBytes } from "../data/sha256.ts";
import { loadFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { checkpointName, listCheckpoints } from "./checkpoint.ts";
import { fillSettings, isFreeOnResume } from "./config.ts";
import { describePreset } from "./embed.ts";
import { recogniseWeights, weightsOf } from "./open-weights.ts";
import { presetOf } from "./presets.ts";
import { failureStep, RUN_FILES } from "./run-folder.ts";
import { readRun } from "./run.ts";
import { decodeState } from "./state.ts";
import { checkTensors, decodeWeights, readSettings, type Weights } from "./weights.ts";

/** What was found about one file. */
export interface Verdict {
  readonly [key: string]: string | number | boolean;
  readonly file: string;
  readonly what: string;
  readonly whole: boolean;
  /** What was looked at, or what is wrong. */
  readonly found: string;
  readonly sha256: string;
}

/** Looks at everything that is there, and says all that is wrong at once. Throws UserError 66 where there is nothing to look at, or not to be read; 74 where the disk fails. */
export async function verify(files: Files, path: string): Promise<Verdict[]> {
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such file or folder, expected weights, a run or a dataset`);
  if ((await files.size(joinPath(path, MANIFEST_FILE))) !== undefined) return [await verifyDataset(files, path)];
  if ((await files.size(joinPath(path, RUN_FILES.config))) !== undefined) return verifyRun(files, path);
  return [await verifyFile(files, path)];
}

/** A verdict of a look that throws what is wrong. */
async function judge(file: string, what: string, look: () => Promise<{ found: string; sha256: string }>): Promise<Verdict> {
  try {
    return { file, what, whole: true, ...(await look()) };
  } catch (error) {
    // What cannot be read is not known to be damaged.
    if (!(error instanceof UserError) || error.exitCode !== EXIT_CODES.badData) throw error;
    return { file, what, whole: false, found: [error.message, ...error.notes].join("; "), sha256: "" };
  }
}

async function verifyDataset(files: Files, path: string): Promise<Verdict> {
  return judge(path, "dataset", async () => {
    const { sections, samples, hash } = await readDataset(files, path, { verify: "pixels" });
    return { found: `${sections.length} sections decoded, ${samples.count} samples`, sha256: hash };
  });
}

async function verifyFile(files: Files, path: string): Promise<Verdict> {
  let what = "weights";
  const verdict = await judge(path, what, async () => {
    const bytes = await files.read(path);
    const sha256 = await hashBytes(bytes);
    const { kind } = recogniseWeights(bytes, path);
    what = kind;
    if (kind === "weights") return { found: checkWeights(decodeWeights(bytes, path), path), sha256 };
    // Of a checkpoint the weights: what the optimizer measured of a step that was skipped need not be finite.
    if (kind === "checkpoint") return { found: checkWeights(weightsOf(await decodeState(bytes, path), path), path), sha256 };
    const tensors = kind === "onnx" ? readOnnx(bytes, path).tensors : readSafetensors(bytes, path).tensors;
    return { found: `${checkFinite(tensors, path)} tensors, finite; no hash inside to hold them to`, sha256 };
  });
  return { ...verdict, what };
}

/** Every tensor of the configuration's model is there with its shape, and finite. */
function checkWeights({ tensors, config, step }: Weights, name: string): string {
  const resolved = readSettings(config, name);
  const { parameters, statistics } = describePreset(presetOf(resolved), resolved.data.patch);
  checkTensors(tensors, [...parameters, ...statistics], name, resolved.preset);
  return `${resolved.preset} after ${step} steps: ${checkFinite(tensors, name)} tensors, finite, as their hash and their configuration say`;
}

function checkFinite(tensors: ReadonlyMap<string, StoredTensor>, name: string): number {
  for (const [key, tensor] of tensors) {
    const values = loadFloat32(tensor);
    const at = values?.findIndex((value) => !Number.isFinite(value)) ?? -1;
    if (at >= 0) throw new UserError(EXIT_CODES.badData, `${name}: ${JSON.stringify(key)}: value ${at} is ${values?.[at]}, expected finite numbers`);
  }
  return tensors.size;
}

async function verifyRun(files: Files, path: string): Promise<Verdict[]> {
  const at = (name: string) => joinPath(path, name);
  const verdicts: Verdict[] = [];
  let config: Awaited<ReturnType<typeof readRun>>["config"] | undefined;
  verdicts.push(await judge(at(RUN_FILES.config), "configuration", async () => {
    ({ config } = await readRun(files, path));
    readSettings(config, at(RUN_FILES.config));
    return { found: "settings within their bounds, environment readable", sha256: await hashBytes(await files.read(at(RUN_FILES.config))) };
  }));
  if ((await files.size(at(RUN_FILES.metrics))) !== undefined) verdicts.push(await judge(at(RUN_FILES.metrics), "metrics", () => checkMetrics(files, at(RUN_FILES.metrics))));
  const states = (await listCheckpoints(files, at(RUN_FILES.checkpoints))).map((step) => ({ name: joinPath(path, RUN_FILES.checkpoints, checkpointName(step)), step }));
  // What is left where a run gave up is the state before that step.
  for (const { name, kind } of await files.list(path)) {
    const step = kind === "file" ? failureStep(name) : undefined;
    if (step !== undefined) states.push({ name: at(name), step: step - 1 });
  }
  for (const { name, step } of states.sort((a, b) => a.step - b.step)) {
    const verdict = await verifyFile(files, name);
    verdicts.push(verdict.whole ? await judge(name, "checkpoint", async () => {
      const state = await decodeState(await files.read(name), name);
      if (state.step !== step) throw new UserError(EXIT_CODES.badData, `${name}: it holds step ${state.step}, expected step ${step}, as its name says`);
      checkSame(config, state.config, name);
      return verdict;
    }) : verdict);
  }
  for (const path of [at(RUN_FILES.weights), at(RUN_FILES.averages)]) {
    if ((await files.size(path)) === undefined) continue;
    const verdict = await verifyFile(files, path);
    verdicts.push(verdict.whole ? await judge(path, "weights", async () => {
      checkSame(config, decodeWeights(await files.read(path), path).config, path);
      return verdict;
    }) : verdict);
  }
  return verdicts;
}

/** Settings that may change when a run is continued may be others; all else is as in the run. */
function checkSame(run: Awaited<ReturnType<typeof readRun>>["config"] | undefined, own: Weights["config"], name: string): void {
  if (!run) return;
  const keys = listDifferences(fillSettings(run), fillSettings(own)).map(({ key }) => key).filter((key) => !isFreeOnResume(key));
  if (keys.length > 0) throw new UserError(EXIT_CODES.badData, `${name}: ${keys.join(", ")} ${keys.length === 1 ? "is" : "are"} other than in ${RUN_FILES.config}, expected the same settings`);
}

async function checkMetrics(files: Files, path: string): Promise<{ found: string; sha256: string }> {
  const bytes = await files.read(path);
  const lines = new TextDecoder().decode(bytes).split("\n");
  const refuse = (line: number, what: string) => new UserError(EXIT_CODES.badData, `${path}: line ${line}: ${what}`);
  if (lines.pop() !== "") throw refuse(lines.length + 1, "cut short, expected a line feed at the end");
  let last = 0;
  lines.forEach((line, i) => {
    let step: unknown;
    try {
      step = (JSON.parse(line) as { step?: unknown }).step;
    } catch {
      throw refuse(i + 1, "no JSON, expected the numbers of a step");
    }
    if (typeof step !== "number" || step < last) throw refuse(i + 1, `step ${JSON.stringify(step)} after step ${last}, expected none before it`);
    last = step;
  });
  return { found: `${lines.length} lines up to step ${last}`, sha256: await hashBytes(bytes) };
}

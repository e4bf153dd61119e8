// What a file of weights, a run or a dataset holds, as rows and facts: for looking at it, without a device.
import { MANIFEST_FILE } from "../data/dataset.ts";
import { canonicalJson, isObject, parseJson, type Json } from "../data/json.ts";
import { readOnnx } from "../data/onnx.ts";
import { readDataset } from "../data/read-dataset.ts";
import { readSafetensors } from "../data/safetensors.ts";
import { countElements, loadFloat32, type StoredTensor } from "../data/tensors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath, type Files } from "../files.ts";
import { listCheckpoints } from "./checkpoint.ts";
import { openWeights, recogniseWeights } from "./open-weights.ts";
import { RUN_FILES } from "./run-folder.ts";
import { readRun } from "./run.ts";

export interface TensorRow {
  readonly [key: string]: string | number;
  readonly name: string;
  readonly dtype: string;
  readonly shape: string;
  readonly values: number;
  readonly bytes: number;
}

export interface Contents {
  /** What it is and what it says about itself: plain JSON. */
  readonly facts: Readonly<Record<string, Json>>;
  readonly rows: readonly (TensorRow | Readonly<Record<string, string | number>>)[];
}

/** One row a tensor; of those of floats, with `values`, also their range and how many are not finite. */
function tensorRows(tensors: ReadonlyMap<string, StoredTensor>, values: boolean): TensorRow[] {
  return [...tensors].map(([name, tensor]) => {
    const { dtype, shape, data } = tensor;
    const row: TensorRow = { name, dtype, shape: shape.join("×") || "scalar", values: countElements(shape) ?? 0, bytes: data.length };
    const numbers = values ? loadFloat32(tensor) : undefined;
    if (!numbers) return row;
    let [least, most, sum, broken] = [Infinity, -Infinity, 0, 0];
    for (const value of numbers) {
      if (!Number.isFinite(value)) broken++;
      else {
        least = Math.min(least, value);
        most = Math.max(most, value);
        sum += value;
      }
    }
    const finite = numbers.length - broken;
    return { ...row, ...(finite > 0 ? { least, mean: sum / finite, most } : {}), notFinite: broken };
  });
}

const total = (rows: readonly TensorRow[]): number => rows.reduce((sum, { values }) => sum + values, 0);

/** Looks into a run's folder, a dataset, or a file of weights. Throws UserError 66 where there is nothing, 65 where it is damaged or of another kind. */
export async function readContents(files: Files, path: string, options: { readonly values?: boolean } = {}): Promise<Contents> {
  const values = options.values ?? false;
  if ((await files.size(joinPath(path, MANIFEST_FILE))) !== undefined) return datasetContents(files, path);
  if ((await files.size(joinPath(path, RUN_FILES.config))) !== undefined) return runContents(files, path, values);
  if ((await files.size(path)) === undefined) throw new UserError(EXIT_CODES.inputMissing, `${path}: no such file or folder, expected weights, a run or a dataset`);
  const bytes = await files.read(path).catch((error: unknown) => {
    if (error instanceof UserError) throw new UserError(error.exitCode, `${path}: neither a run (no ${RUN_FILES.config}), nor a dataset (no ${MANIFEST_FILE}), nor a file that can be read`, [error.message]);
    throw error;
  });
  const { kind } = recogniseWeights(bytes, path);
  if (kind === "onnx") {
    const model = readOnnx(bytes, path);
    const rows = tensorRows(model.tensors, values);
    const operators = new Map<string, number>();
    for (const { op } of model.nodes) operators.set(op, (operators.get(op) ?? 0) + 1);
    return { facts: { kind, tensors: rows.length, values: total(rows), bytes: bytes.length, producer: model.producer, opset: model.opset, inputs: model.inputs, outputs: model.outputs, operators: Object.fromEntries(operators), metadata: describeMetadata(model.metadata) }, rows };
  }
  const { tensors, metadata } = readSafetensors(bytes, path);
  const rows = tensorRows(tensors, values);
  const { step, config, ...others } = describeMetadata(metadata);
  // Whatever others write into their files stands by itself, so that it passes for nothing that was found here.
  const said = kind === "state dict" || kind === "features" ? { metadata: describeMetadata(metadata) } : { ...(step === undefined ? {} : { step }), ...(config === undefined ? {} : { config }), metadata: others };
  return { facts: { kind, tensors: rows.length, values: total(rows), bytes: bytes.length, ...said }, rows };
}

/** Metadata as JSON where it is JSON, else as text. */
function describeMetadata(metadata: ReadonlyMap<string, string>): Record<string, Json> {
  return Object.fromEntries([...metadata].map(([key, text]) => {
    try {
      const value = parseJson(text);
      return [key, isObject(value) || typeof value === "number" ? value : text];
    } catch {
      return [key, text];
    }
  }));
}

async function runContents(files: Files, path: string, values: boolean): Promise<Contents> {
  const { config, environment } = await readRun(files, path);
  // Looking is for damaged ones, too.
  const { weights, path: from, kind } = await openWeights(files, path, {}, { check: false });
  const rows = tensorRows(weights.tensors, values);
  const learned = [...weights.tensors].filter(([name]) => name.startsWith("encoder.") && !/running_(mean|var)$/.test(name)).reduce((sum, [, { shape }]) => sum + (countElements(shape) ?? 0), 0);
  const checkpoints = await listCheckpoints(files, joinPath(path, RUN_FILES.checkpoints));
  return { facts: { kind: "run", finished: kind === "weights", weights: from, step: weights.step, tensors: rows.length, values: total(rows), encoderParameters: learned, checkpoints, config, environment }, rows };
}

async function datasetContents(files: Files, path: string): Promise<Contents> {
  const { name, brains, sections, spaces, samples, hash } = await readDataset(files, path);
  const counts = new Uint32Array(sections.length);
  for (const index of samples.section) counts[index]!++;
  return {
    facts: { kind: "dataset", name, brains: brains.length, sections: sections.length, spaces: spaces.length, samples: samples.count, labels: [...samples.labels.keys()], sha256: hash },
    rows: sections.map(({ id, brain, file, width, height, pixelSizeUm }, i) => ({ section: id, brain, file, width, height, pixelSizeUm, samples: counts[i] ?? 0 })),
  };
}

/** Facts as lines for people: nested values as JSON, long ones cut, control characters, which terminals obey, as escapes. */
export function printFacts(facts: Readonly<Record<string, Json>>): string {
  const width = Math.max(...Object.keys(facts).map((key) => key.length));
  return Object.entries(facts).map(([key, value]) => {
    const text = typeof value === "string" ? value : canonicalJson(value, key);
    const shown = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    return `${key.padEnd(width)}  ${shown.length > 400 ? `${shown.slice(0, 400)}…` : shown}\n`;
  }).join("");
}

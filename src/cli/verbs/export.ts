// `cytonet export`: weights of a run, or of others, as another kind of file.
import { EXIT_CODES, UserError } from "../../errors.ts";
import { canonicalJson, type Json } from "../../data/json.ts";
import { writeSafetensors } from "../../data/safetensors.ts";
import { joinPath } from "../../files.ts";
import { nodeFiles } from "../../host/files-node.ts";
import { flattenSettings, parseSetting, resolveConfig } from "../../model/config.ts";
import { exportOnnx } from "../../model/onnx-export.ts";
import { CONFIG_KEY, openWeights, STEP_KEY } from "../../model/open-weights.ts";
import { presetOf } from "../../model/presets.ts";
import { RUN_FILES } from "../../model/run-folder.ts";
import { toStateDict } from "../../model/state-dict.ts";
import { encodeWeights, type Weights } from "../../model/weights.ts";
import type { Format } from "../arguments.ts";
import { checkOutput, emit, formatRows, keepInputs } from "../output.ts";

export type ExportKind = "onnx" | "safetensors" | "timm";

export interface ExportFlags {
  readonly format?: ExportKind;
  readonly out: string;
  readonly preset?: string;
  readonly patch?: number;
  readonly set?: readonly string[];
  readonly maps?: boolean;
  readonly force?: boolean;
  readonly print: Format;
}

const SCHEMA = "cytonet-export/1";

export async function runExport(source: string, flags: ExportFlags): Promise<void> {
  const kind = flags.format ?? kindOf(flags.out);
  if (flags.maps && kind !== "onnx") throw new UserError(EXIT_CODES.usage, `cytonet export: --maps with --format ${kind}, expected it with onnx only`);
  const settings = collectSettings(flags);
  await checkOutput("--out", flags.out, flags.force ?? false);
  await keepInputs("--out", flags.out, [source, ...Object.values(RUN_FILES).map((name) => joinPath(source, name))]);
  const { weights, report, path } = await openWeights(nodeFiles, source, settings);
  for (const line of report?.changed ?? []) process.stderr.write(`${line}\n`);
  if (report && report.leftOut.length > 0) process.stderr.write(`left out: ${report.leftOut.length} tensors that are no part of the encoder (${report.leftOut.slice(0, 3).join(", ")}${report.leftOut.length > 3 ? ", …" : ""})\n`);
  if (report) {
    const { intensity, mean, deviation, patch } = resolveConfig(flattenSettings(weights.config)).data;
    process.stderr.write(`images: ${patch} px, ${intensity}, (x − ${mean}) / ${deviation}; --patch and --set data.mean=… data.deviation=… change it\n`);
  }
  const bytes = encode(weights, kind, flags.maps ?? false);
  await nodeFiles.writeAtomic(flags.out, bytes);
  const row = { from: path, out: flags.out, format: kind, preset: resolveConfig(flattenSettings(weights.config)).preset, step: weights.step, bytes: bytes.length, ...(report ? { matched: report.matched, leftOut: report.leftOut.length } : {}) };
  await emit(formatRows(flags.print, SCHEMA, [row], report ? { tail: { changed: report.changed, leftOut: report.leftOut, firstValues: report.first } } : {}));
}

function kindOf(out: string): ExportKind {
  if (out.endsWith(".onnx")) return "onnx";
  if (out.endsWith(".safetensors")) return "safetensors";
  throw new UserError(EXIT_CODES.usage, `--out ${out}: neither .onnx nor .safetensors, expected one of them, or --format`);
}

function collectSettings({ preset, patch, set = [] }: ExportFlags): Record<string, Json> {
  const settings: Record<string, Json> = {};
  for (const [key, value] of [...(preset === undefined ? [] : [["preset", preset] as const]), ...(patch === undefined ? [] : [["data.patch", patch] as const]), ...set.map(parseSetting)]) {
    if (Object.hasOwn(settings, key)) throw new UserError(EXIT_CODES.usage, `cytonet export: ${key} is given twice`);
    settings[key] = value;
  }
  return settings;
}

function encode(weights: Weights, kind: ExportKind, maps: boolean): Uint8Array<ArrayBuffer> {
  if (kind === "onnx") return exportOnnx(weights, { maps });
  if (kind === "safetensors") return encodeWeights(weights);
  const { architecture } = presetOf(resolveConfig(flattenSettings(weights.config)));
  // PyTorch's readers look for this format.
  const metadata = new Map([["format", "pt"], [STEP_KEY, canonicalJson(weights.step, "step")], [CONFIG_KEY, canonicalJson(weights.config, "config")]]);
  return writeSafetensors(toStateDict(weights.tensors, architecture), metadata);
}

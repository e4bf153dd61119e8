// `cytonet kernel`: one kernel explained, rendered, or watched while its template is edited.
import { measurePeaks } from "../../bench/peaks.ts";
import type { Engine } from "../../engine/engine.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { blueprintKey } from "../../kernel/blueprint.ts";
import { renderBlueprint } from "../../kernel/layout.ts";
import { createWorkbench, substitute, type Verdict } from "../../workbench/bench.ts";
import { explain, type Explanation } from "../../workbench/explain.ts";
import { printExplanation, printVerdict } from "../../workbench/print.ts";
import { findKernel, findWorkpiece, type Wanted, type Workpiece } from "../../workbench/workpiece.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { findTemplate, openTemplate, readTexts, watchTexts, type TemplateFile } from "../templates.ts";

export interface KernelFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
  readonly variant?: string;
  readonly dtype?: "f32" | "f16";
  readonly flags?: string;
  readonly case?: string;
  readonly size?: readonly string[];
  readonly set?: readonly string[];
  readonly file?: string;
  readonly explain?: boolean;
  readonly dump?: boolean;
  readonly watch?: boolean;
}

const SCHEMA = "cytonet-kernel/1";

export async function runKernel(name: string, flags: KernelFlags): Promise<void> {
  const modes = (["explain", "dump", "watch"] as const).filter((mode) => flags[mode]);
  if (modes.length > 1) throw new UserError(EXIT_CODES.usage, `cytonet kernel: ${modes.map((mode) => `--${mode}`).join(" and ")}, expected one of them`);
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const kernel = findKernel(name);
  const wanted: Wanted = {
    ...(flags.variant === undefined ? {} : { variant: flags.variant }),
    ...(flags.dtype === undefined ? {} : { dtype: flags.dtype }),
    ...(flags.flags === undefined ? {} : { flags: flags.flags.split(/[,+ ]+/).filter((flag) => flag !== "") }),
    ...(flags.case === undefined ? {} : { case: flags.case }),
    sizes: readPairs("--size", flags.size ?? []),
    constants: readPairs("--set", flags.set ?? []),
  };
  const fileOf = (piece: Workpiece) => (flags.file === undefined ? findTemplate(kernel, piece.blueprint.variant) : Promise.resolve(openTemplate(flags.file)));
  // What is being edited may reach anywhere.
  await withEngine({ ...flags, guardIndices: flags.watch === true }, async (engine) => {
    const { traits, rates } = engine.device;
    const piece = findWorkpiece(kernel, wanted, traits, flags.watch ? rates : undefined);
    const file = await fileOf(piece);
    if (flags.watch) return watch(engine, piece, file, flags);
    // What stands on disk is what is shown: a build may be older.
    const texts = file && (await readTexts(file, kernel));
    const current: Workpiece = texts ? { ...piece, kernel: substitute(kernel, piece.blueprint.variant, texts) } : piece;
    if (flags.dump) return dump(current, flags);
    await emit(formatExplanation(explain(current, traits, await measurePeaks(engine, 5)), flags.format, file), flags.output);
  });
}

/** `m=64,n=32` or several of them. */
function readPairs(flag: string, texts: readonly string[]): Record<string, number> {
  const pairs: Record<string, number> = {};
  for (const text of texts.flatMap((one) => one.split(","))) {
    const [, key = "", number = ""] = /^\s*(\w+)=(-?[\d.]+(?:e[-+]?\d+)?)\s*$/i.exec(text) ?? [];
    if (key === "" || !Number.isFinite(Number(number))) throw new UserError(EXIT_CODES.usage, `${flag}: ${JSON.stringify(text)}, expected NAME=NUMBER such as ${flag === "--set" ? "TILE=64" : "m=64"}`);
    pairs[key] = Number(number);
  }
  return pairs;
}

async function dump({ kernel, blueprint }: Workpiece, flags: KernelFlags): Promise<void> {
  const key = blueprintKey(blueprint);
  const { code } = renderBlueprint(kernel, blueprint);
  // WGSL and nothing else by default, so that its lines are the template's; its name goes where people read.
  if (flags.format === "table") process.stderr.write(`${key}\n`);
  const text = flags.format === "table" ? code : flags.format === "md" ? `\`\`\`wgsl\n${code}\`\`\`\n` : formatRows(flags.format, SCHEMA, [{ key, code }]);
  await emit(text, flags.output);
}

function formatExplanation(e: Explanation, format: Format, file: TemplateFile | undefined): string {
  if (format === "table") return printExplanation(e, file?.shown);
  const { variants, ...head } = e;
  const rows = variants.map(
    ({ variant, chosen, reason, facts, constants }): Row => ({
      variant,
      runs: reason === undefined,
      chosen,
      workgroup: facts ? facts.workgroup.join("x") : null,
      sharedBytes: facts?.shared ?? null,
      registerWords: facts ? facts.registers.arrays + facts.registers.values : null,
      barriers: facts?.barriers ?? null,
      constants: constants.map(({ name, value }) => `${name}=${value}`).join(" "),
      worthTrying: constants.filter(({ worthTrying }) => worthTrying.length > 0).map(({ name, worthTrying }) => `${name}=${worthTrying.join("|")}`).join(" "),
      reason: reason ?? null,
    }),
  );
  return formatRows(format, SCHEMA, rows, { head });
}

/** Judges the template each time it is saved, until Ctrl-C. */
async function watch(engine: Engine, piece: Workpiece, file: TemplateFile | undefined, flags: KernelFlags): Promise<void> {
  const { kernel, blueprint } = piece;
  if (!file) throw new UserError(EXIT_CODES.inputMissing, `cytonet kernel: no template of ${kernel.name}.${blueprint.variant} on disk, expected to be in a source checkout; give it with --file FILE.wgsl`);
  const stop = listenForStop(() => undefined);
  try {
    const texts = await readTexts(file, kernel);
    if (!texts) throw new UserError(EXIT_CODES.inputMissing, `${file.shown}: missing or empty, expected the template of ${kernel.name}.${blueprint.variant}`);
    const bench = await createWorkbench(engine, piece, texts);
    try {
      const first = await bench.judge(texts);
      process.stderr.write(`watching ${file.shown}\n  as ${blueprintKey(blueprint)}\n  on ${piece.case}: ${Object.entries(piece.numbers).map(([size, value]) => `${size}=${value}`).join(" ")}\n  save it to see lint, check and the change in speed; Ctrl-C ends\n`);
      await emit(formatVerdict(first, flags.format, "start"));
      for await (const edit of watchTexts(file, kernel, texts, stop.signal)) await emit(formatVerdict(await bench.judge(edit), flags.format, "saved"));
    } finally {
      bench.dispose();
    }
    process.exitCode = stop.code() ?? EXIT_CODES.ok;
  } finally {
    stop.dispose();
  }
}

function formatVerdict(verdict: Verdict, format: Format, event: "start" | "saved"): string {
  if (format === "table" || format === "md") return `${event} ${new Date().toLocaleTimeString("en-GB")}\n${printVerdict(verdict)}`;
  const { lint, checks, speed, took } = verdict;
  const row: Row = {
    event,
    lint: lint.join("; "),
    passed: checks?.passed ?? null,
    failed: checks?.failures.length ?? null,
    failures: checks?.failures.join("; ") ?? null,
    ratio: speed?.ratio ?? null,
    low: speed?.low ?? null,
    high: speed?.high ?? null,
    milliseconds: speed?.milliseconds ?? null,
    seconds: Number((took / 1e3).toFixed(3)),
  };
  // A verdict after the other: a line each, in whatever format.
  const text = formatRows(format === "json" ? "jsonl" : format, SCHEMA, [row]);
  return format === "csv" && event === "saved" ? text.slice(text.indexOf("\n") + 1) : text;
}

// `cytonet probe`: how well a label is read off a run's features on held-out brains, beside its baselines.
import { probe, PROBE_DEFAULTS, PROBE_SCHEMA, type MethodReport, type ProbeReport } from "../../analysis/probe.ts";
import type { Estimate } from "../../analysis/bootstrap.ts";
import { openTrained } from "../../analysis/trained.ts";
import { readDataset } from "../../data/read-dataset.ts";
import { flattenSettings, resolveConfig } from "../../model/config.ts";
import { describeFit } from "../../model/input-fit.ts";
import { EXIT_CODES, UserError } from "../../errors.ts";
import { nodeFiles } from "../../host/files-node.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows, type Row } from "../output.ts";
import { createProgress, formatSeconds } from "../progress.ts";

export interface ProbeFlags extends DeviceFlags {
  readonly label: string;
  readonly holdOut: readonly string[];
  readonly classes?: string;
  readonly maxSamples?: number;
  readonly blockMm?: number;
  readonly resamples?: number;
  readonly seed?: number;
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
}

export async function runProbe(run: string, path: string, flags: ProbeFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const classes = flags.classes?.split(",").map((name) => name.trim());
  if (classes?.some((name) => name === "")) throw new UserError(EXIT_CODES.usage, `--classes: "${flags.classes}", expected names with commas between them; correct it`);
  const { weights, trainedOn } = await openTrained(nodeFiles, run);
  const dataset = await readDataset(nodeFiles, path);
  for (const line of describeFit(dataset, resolveConfig(flattenSettings(weights.config)))) process.stderr.write(`${line}\n`);
  const stop = listenForStop(() => process.stderr.write("stopping; nothing is written\n"));
  const progress = createProgress();
  const began = performance.now();
  try {
    const result = await withEngine(flags, (engine) =>
      probe(engine, dataset, {
        files: nodeFiles,
        weights,
        label: flags.label,
        holdOut: flags.holdOut,
        maxSamples: flags.maxSamples ?? PROBE_DEFAULTS.maxSamples,
        resamples: flags.resamples ?? PROBE_DEFAULTS.resamples,
        seed: flags.seed ?? PROBE_DEFAULTS.seed,
        ...(classes === undefined ? {} : { classes }),
        ...(flags.blockMm === undefined ? {} : { blockMm: flags.blockMm }),
        ...(trainedOn === undefined ? {} : { trainedOn }),
        signal: stop.signal,
        onProgress: (stage, done, total) => progress.update(`${stage} ${done}/${total}  ${formatSeconds((performance.now() - began) / 1000)}`),
      }),
    );
    progress.end("");
    if (!result) {
      process.exitCode = stop.code() ?? EXIT_CODES.interrupted;
      return;
    }
    const { report } = result;
    const { sawHeldOut } = report.encoder;
    if (sawHeldOut === true) process.stderr.write(`WARNING: the encoder was trained on the held-out brain; train again with --hold-out ${flags.holdOut.join(" --hold-out ")} for scores of an unseen one\n`);
    if (sawHeldOut === "unknown") process.stderr.write(`warning: whether the encoder was trained on ${flags.holdOut.join(", ")} is not known; its run names neither that brain as held out nor this dataset\n`);
    for (const note of report.notes) if (flags.format !== "table") process.stderr.write(`note: ${note}\n`);
    await emit(formatReport(flags.format, report), flags.output);
  } finally {
    progress.end("");
    stop.dispose();
  }
}

const METHODS: readonly (readonly [string, (report: ProbeReport) => MethodReport])[] = [
  ["probe", (report) => report.probe],
  ["knn", (report) => report.knn],
  ["untrained", (report) => report.baselines.untrained],
  ["intensity", (report) => report.baselines.intensity],
  ["majority", (report) => report.baselines.majority],
  ["chance", (report) => report.baselines.chance],
];

/** The report in a format: whole as JSON, as a row a method in those of rows. */
export function formatReport(format: Format, report: ProbeReport): string {
  if (format === "json") return `${JSON.stringify(report, null, 2)}\n`;
  if (format === "table") return formatForPeople(report);
  const cells = (name: string, { value, low, high }: Estimate): Row => ({ [name]: value, [`${name}Low`]: low, [`${name}High`]: high });
  const rows = METHODS.map(([name, of]): Row => {
    const method = of(report);
    const less = name === "probe" ? undefined : report.differences[name as keyof ProbeReport["differences"]].macroF1;
    return {
      method: name,
      ...cells("macroF1", method.macroF1),
      ...cells("balancedAccuracy", method.balancedAccuracy),
      ...cells("accuracy", method.accuracy),
      probeLessThis: less?.value ?? null,
      probeLessThisLow: less?.low ?? null,
      probeLessThisHigh: less?.high ?? null,
    };
  });
  return formatRows(format, PROBE_SCHEMA, rows);
}

/** Lines with an interval a method, then classes and confusions of the linear probe; at most 80 columns for up to nine classes of short names. */
function formatForPeople(report: ProbeReport): string {
  const { train, test, blocks, probe: linear, knn, encoder, validation } = report;
  const two = (value: number) => value.toFixed(3);
  const interval = ({ value, low, high }: Estimate) => `${two(value)} [${two(low)}, ${two(high)}]`;
  const signed = ({ value, low, high }: Estimate) => [value, low, high].map((x) => (x < 0 ? `−${two(-x)}` : `+${two(x)}`));
  const head = [
    `${report.label}: ${report.classes.join(", ")}`,
    `fitted on ${train.samples} samples of ${train.brains.join(", ")}`,
    `tested on ${test.samples} samples of ${test.brains.join(", ")}, in ${blocks.count} ${blocks.count === 1 ? "block" : "blocks"} of ${blocks.edgeMm} mm`,
    `encoder: ${encoder.preset}, ${encoder.steps} steps, patches of ${encoder.patch} px; ${describeLeak(report)}`,
  ];
  const methods = formatRows(
    "table",
    PROBE_SCHEMA,
    METHODS.map(([name, of]): Row => {
      const method = of(report);
      const less = name === "probe" ? undefined : signed(report.differences[name as keyof ProbeReport["differences"]].macroF1);
      return { method: name, "macro-F1 [95 %]": interval(method.macroF1), "balanced acc.": two(method.balancedAccuracy.value), accuracy: two(method.accuracy.value), "probe less this": less ? `${less[0]} [${less[1]}, ${less[2]}]` : null };
    }),
  );
  const classes = formatRows(
    "table",
    PROBE_SCHEMA,
    linear.perClass.map((row, k): Row => ({
      class: row.class,
      precision: two(row.precision),
      recall: two(row.recall),
      F1: two(row.f1),
      samples: row.support,
      ...Object.fromEntries(report.classes.map((name, j) => [`→ ${name}`, linear.confusion[k]![j]!])),
    })),
  );
  const notes = [
    `chosen in ${validation.folds} folds of the training samples, by ${validation.by}: L2 ${linear.regularisation.strength}, k ${knn.neighbours.k}`,
    ...report.notes.map((note) => `note: ${note}`),
  ];
  return `${[...head, "", methods + "\n" + classes, ...notes].join("\n")}\n`;
}

function describeLeak({ encoder, holdOut }: ProbeReport): string {
  if (encoder.sawHeldOut === true) return `it WAS TRAINED on ${holdOut.join(", ")}`;
  return encoder.sawHeldOut === false ? `it never saw ${holdOut.join(", ")}` : `whether it saw ${holdOut.join(", ")} is not known`;
}

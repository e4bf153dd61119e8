// `cytonet doctor`: looks at this machine from Node to a kernel that runs, and says what to do about what is missing.
import { EXIT_CODES, UserError, type ExitCode } from "../../errors.ts";
import { listAdapters } from "../../host/node.ts";
import { VERSION } from "../../version.ts";
import type { Format } from "../arguments.ts";
import { listenForStop, withEngine, type DeviceFlags } from "../device.ts";
import { fail, lookAtCache, lookAtDawn, lookAtDevice, lookAtDisk, lookAtMemory, lookAtNode, lookAtPeaks, lookAtTuning, pass, tryAccuracy, tryKernel, type Finding, type Status } from "../findings.ts";
import { checkOutput, emit, formatRows } from "../output.ts";
import { createProgress } from "../progress.ts";
import { paint, type Style } from "../terminal.ts";
import { loadTuning } from "../tuning.ts";

export interface DoctorFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
}

const COLOURS: Record<Status, Style> = { PASS: "green", WARN: "yellow", FAIL: "red" };

export async function runDoctor(flags: DoctorFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const stop = listenForStop(() => process.stderr.write("stopping after what is looked at now\n"));
  const progress = createProgress();
  const findings: Finding[] = [];
  let code: ExitCode = EXIT_CODES.ok;
  /** One step; Ctrl-C counts between two, so that nothing is left half done. */
  const look = async (what: string, step: () => Finding | readonly Finding[] | Promise<Finding>) => {
    stop.throwIfStopped();
    progress.update(what);
    findings.push(...[await step()].flat());
  };
  try {
    await look("machine", () => [lookAtNode(), lookAtMemory()]);
    await look("disk", lookAtDisk);
    await look("cache", lookAtCache);
    await look("Dawn", lookAtDawn);
    try {
      await look("adapters", async () => {
        const adapters = await listAdapters({ quiet: true });
        return adapters.length > 0
          ? pass("adapters", adapters.map(({ name, kind, backend }) => `${name} [${kind}, ${backend}]`).join("; "))
          : fail("adapters", "none", "install the driver of your GPU, or Mesa's lavapipe (package mesa-vulkan-drivers)");
      });
      await withEngine({ ...flags, untuned: true }, async (engine) => {
        await look("device", () => lookAtDevice(engine));
        await look("kernel", () => tryKernel(engine));
        await look("accuracy", () => tryAccuracy(engine));
        await look("peaks", () => lookAtPeaks(engine));
        const tuning = await loadTuning((line) => progress.note(line));
        await look("tuning", () => lookAtTuning(engine, tuning));
      });
    } catch (error) {
      stop.throwIfStopped();
      if (!(error instanceof UserError)) throw error;
      findings.push(fail("adapter", error.message, error.notes.join("; ") || "see the message"));
      code = error.exitCode;
    }
  } finally {
    progress.end("");
    stop.dispose();
  }
  if (code === EXIT_CODES.ok && findings.some(({ status }) => status === "FAIL")) code = EXIT_CODES.checkFailed;
  const counts = { pass: 0, warn: 0, fail: 0 };
  for (const { status } of findings) counts[status.toLowerCase() as keyof typeof counts]++;
  const text = flags.format === "table" ? findings.map(describe).join("") : formatRows(flags.format, "cytonet-doctor/1", findings.map((finding) => ({ ...finding })), { head: { cytonet: VERSION, date: new Date().toISOString() }, tail: { summary: counts } });
  await emit(text, flags.output);
  const worst: Status = counts.fail > 0 ? "FAIL" : counts.warn > 0 ? "WARN" : "PASS";
  const verdict = { PASS: "everything is ready", WARN: "ready, with the restrictions above", FAIL: "not ready: see FAIL above" }[worst];
  process.stderr.write(`${paint(COLOURS[worst], verdict)}\n`);
  process.exitCode = code;
}

const WIDTH = 80;
const INDENT = 18;

/** `PASS  adapter     …`, no line wider than a terminal of 80 columns unless one word is. */
function describe({ what, status, found, remedy }: Finding): string {
  const lines = [...wrap(found, ""), ...(remedy === "" ? [] : wrap(remedy, "→ "))];
  return lines.map((line, i) => (i === 0 ? `${paint(COLOURS[status], status, process.stdout)}  ${what.padEnd(INDENT - 6)}${line}\n` : `${" ".repeat(INDENT)}${line}\n`)).join("");
}

function wrap(text: string, mark: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH - INDENT) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? `${mark}${word}` : `${" ".repeat(mark.length)}${word}`);
  }
  return lines;
}

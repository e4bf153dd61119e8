// `cytonet doctor`: looks at this machine from Node to a kernel that runs, and says what to do about what is missing.
import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname } from "node:path";
import { matmul } from "../../../kernels/index.ts";
import { listChecks, runCheck } from "../../engine/check.ts";
import type { Engine } from "../../engine/engine.ts";
import { formatBytes } from "../../engine/errors.ts";
import { EXIT_CODES, UserError, type ExitCode } from "../../errors.ts";
import { listAdapters } from "../../host/node.ts";
import { cacheFolders } from "../../host/node-unpack.ts";
import { VERSION } from "../../version.ts";
import type { Format } from "../arguments.ts";
import { withEngine, type DeviceFlags } from "../device.ts";
import { checkOutput, emit, formatRows } from "../output.ts";
import { paint, type Style } from "../terminal.ts";

export interface DoctorFlags extends DeviceFlags {
  readonly format: Format;
  readonly output?: string;
  readonly force?: boolean;
}

type Status = "PASS" | "WARN" | "FAIL";

interface Finding {
  readonly what: string;
  readonly status: Status;
  readonly found: string;
  /** What to do, where something is to be done. */
  readonly remedy: string;
}

const LEAST_NODE = 20;
const LEAST_MEMORY = 2 ** 30;
/** Both archives that may be unpacked, with room to spare. */
const LEAST_CACHE = 512 * 2 ** 20;
const COLOURS: Record<Status, Style> = { PASS: "green", WARN: "yellow", FAIL: "red" };

export async function runDoctor(flags: DoctorFlags): Promise<void> {
  if (flags.output !== undefined) await checkOutput("--output", flags.output, flags.force ?? false);
  const findings = [lookAtNode(), lookAtMemory(), await lookAtCache()];
  let code: ExitCode = EXIT_CODES.ok;
  try {
    const adapters = await listAdapters();
    findings.push(
      adapters.length > 0
        ? pass("adapters", adapters.map(({ name, kind, backend }) => `${name} [${kind}, ${backend}]`).join("; "))
        : fail("adapters", "none", "install the driver of your GPU, or Mesa's lavapipe (package mesa-vulkan-drivers)"),
    );
    await withEngine(flags, async (engine) => void findings.push(...(await lookAtDevice(engine))));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    findings.push(fail("adapter", error.message, error.notes.join("; ") || "see the message"));
    code = error.exitCode;
  }
  if (code === EXIT_CODES.ok && findings.some(({ status }) => status === "FAIL")) code = EXIT_CODES.checkFailed;
  const counts = { pass: 0, warn: 0, fail: 0 };
  for (const { status } of findings) counts[status.toLowerCase() as keyof typeof counts]++;
  const text = flags.format === "table" ? findings.map(describe).join("") : formatRows(flags.format, "cytonet-doctor/1", findings.map((finding) => ({ ...finding })), { head: { cytonet: VERSION }, tail: { summary: counts } });
  await emit(text, flags.output);
  const worst: Status = counts.fail > 0 ? "FAIL" : counts.warn > 0 ? "WARN" : "PASS";
  const verdict = { PASS: "everything is ready", WARN: "ready, with the restrictions above", FAIL: "not ready: see FAIL above" }[worst];
  process.stderr.write(`${paint(COLOURS[worst], verdict)}\n`);
  process.exitCode = code;
}

function describe({ what, status, found, remedy }: Finding): string {
  const line = `${paint(COLOURS[status], status, process.stdout)}  ${what.padEnd(14)}  ${found}\n`;
  return remedy === "" ? line : `${line}${" ".repeat(22)}→ ${remedy}\n`;
}

const pass = (what: string, found: string): Finding => ({ what, status: "PASS", found, remedy: "" });
const warn = (what: string, found: string, remedy: string): Finding => ({ what, status: "WARN", found, remedy });
const fail = (what: string, found: string, remedy: string): Finding => ({ what, status: "FAIL", found, remedy });

function lookAtNode(): Finding {
  const found = `Node ${process.versions.node} on ${process.platform} ${process.arch}, ${availableParallelism()} processors`;
  return Number(process.versions.node.split(".")[0]) >= LEAST_NODE ? pass("Node", found) : fail("Node", found, `install Node ${LEAST_NODE} or newer`);
}

function lookAtMemory(): Finding {
  const [free, total] = [freemem(), totalmem()];
  const found = `${formatBytes(free)} free of ${formatBytes(total)}`;
  return free >= LEAST_MEMORY ? pass("memory", found) : warn("memory", found, `end other programs: less than ${formatBytes(LEAST_MEMORY)} is too little for training`);
}

/** The first folder of the cache whose disk can be asked. */
async function lookAtCache(): Promise<Finding> {
  for (const { path } of cacheFolders()) {
    const room = await roomAt(path);
    if (room === undefined) continue;
    const found = `${formatBytes(room)} free at ${path}`;
    return room >= LEAST_CACHE ? pass("cache folder", found) : warn("cache folder", found, "free some space, or set CYTONET_CACHE to a folder on another disk");
  }
  return warn("cache folder", "no folder can be used", "set CYTONET_CACHE to a folder that can be written to");
}

/** Free bytes of the disk that holds a folder, which need not be there yet. */
async function roomAt(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    const disk = await statfs(folder).catch(() => undefined);
    if (disk) return disk.bavail * disk.bsize;
    if (dirname(folder) === folder) return undefined;
  }
}

async function lookAtDevice(engine: Engine): Promise<Finding[]> {
  const { fingerprint } = engine.device;
  const has = (feature: string) => fingerprint.features.includes(feature);
  const limit = (name: string) => fingerprint.limits[name] ?? 0;
  const [low, high] = fingerprint.subgroups;
  const name = `${fingerprint.adapter} (${fingerprint.driver})`;
  return [
    fingerprint.kind === "gpu" ? pass("adapter", name) : warn("adapter", `${name}: emulates a GPU on the processor`, "install the driver of your GPU, if there is one; --adapter chooses among the adapters above"),
    pass("limits", `${formatBytes(limit("maxBufferSize"))} a buffer, ${formatBytes(limit("maxStorageBufferBindingSize"))} a binding, ${formatBytes(limit("maxComputeWorkgroupStorageSize"))} and ${limit("maxComputeInvocationsPerWorkgroup")} invocations a workgroup`),
    has("shader-f16") ? pass("f16", "shader-f16") : warn("f16", "no shader-f16", "nothing to do: f32 is used; --set precision=f16 will be refused"),
    has("subgroups") ? pass("subgroups", `${low} to ${high} lanes`) : warn("subgroups", "none", "nothing to do: kernels without them are used"),
    has("timestamp-query") ? pass("timestamps", "timestamp-query") : warn("timestamps", "no timestamp-query", "nothing to do: bench takes the host's clock, which is coarser"),
    ...(fingerprint.toggles.length > 0 ? [pass("toggles", fingerprint.toggles.join(" "))] : []),
    await tryKernel(engine),
  ];
}

/** Runs a few matrix products against their f64 reference: a driver can open and still compute nonsense. */
async function tryKernel(engine: Engine): Promise<Finding> {
  const checks = listChecks(matmul).filter(({ dtype, variant }) => dtype === "f32" && variant === "naive");
  for (const check of checks) {
    const result = await runCheck(engine, check);
    if (result.status === "failed") return fail("kernel", `${result.id}: ${result.reason ?? ""}`, "update the driver, choose another adapter with --adapter, and report it with this line");
  }
  return pass("kernel", `${checks.length} matrix products agree with their f64 reference`);
}

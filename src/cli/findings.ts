// What `cytonet doctor` looks at: this machine from Node to a kernel that runs, each with what to do where something is missing.
import { readFile, statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, freemem, homedir, totalmem } from "node:os";
import { dirname } from "node:path";
import * as catalogue from "../../kernels/index.ts";
import { layerNorm, matmul, reduce, softmax } from "../../kernels/index.ts";
import { measurePeaks } from "../bench/peaks.ts";
import { printTime, withUnit } from "../bench/print.ts";
import { listChecks, runCheck, type CheckCase } from "../engine/check.ts";
import { identifyDevice } from "../engine/device.ts";
import type { Engine } from "../engine/engine.ts";
import { formatBytes } from "../engine/errors.ts";
import { isWritable } from "../host/node-cache.ts";
import { cacheFolders } from "../host/node-unpack.ts";
import { chooseBlueprint } from "../kernel/blueprint.ts";
import { completeNumbers } from "../kernel/define.ts";
import { hashSource, type TuningTable } from "../kernel/tuning.ts";

export type Status = "PASS" | "WARN" | "FAIL";

export interface Finding {
  readonly what: string;
  readonly status: Status;
  readonly found: string;
  /** What to do, where something is to be done. */
  readonly remedy: string;
}

export const pass = (what: string, found: string, remedy = ""): Finding => ({ what, status: "PASS", found, remedy });
export const warn = (what: string, found: string, remedy: string): Finding => ({ what, status: "WARN", found, remedy });
export const fail = (what: string, found: string, remedy: string): Finding => ({ what, status: "FAIL", found, remedy });

const LEAST_NODE = 20;
const LEAST_MEMORY = 2 ** 30;
/** Both archives that may be unpacked, with room to spare. */
const LEAST_CACHE = 512 * 2 ** 20;
/** A long run with its checkpoints. */
const LEAST_DISK = 2 ** 30;
/** A card that reaches less is busy with something else, or is no card. */
const LEAST_GPU_FLOPS = 5e10;

export function lookAtNode(): Finding {
  const found = `Node ${process.versions.node} on ${process.platform} ${process.arch}, ${availableParallelism()} processors`;
  return Number(process.versions.node.split(".")[0]) >= LEAST_NODE ? pass("Node", found) : fail("Node", found, `install Node ${LEAST_NODE} or newer`);
}

/** Which Dawn the package brings: whether it loads is seen where adapters are asked for. */
export async function lookAtDawn(): Promise<Finding> {
  try {
    const path = createRequire(import.meta.url).resolve("webgpu/package.json");
    const { version } = JSON.parse(await readFile(path, "utf8")) as { version: string };
    return pass("Dawn", `package webgpu ${version}`);
  } catch {
    return fail("Dawn", "the package webgpu is not installed", "run `npm install` again");
  }
}

export function lookAtMemory(): Finding {
  const [free, total] = [freemem(), totalmem()];
  const found = `${formatBytes(free)} free of ${formatBytes(total)}`;
  return free >= LEAST_MEMORY ? pass("memory", found) : warn("memory", found, `end other programs: less than ${formatBytes(LEAST_MEMORY)} is too little for training`);
}

export async function lookAtDisk(): Promise<Finding> {
  const room = await roomAt(process.cwd());
  if (room === undefined) return warn("disk", "the working folder's disk does not answer", "work in another folder");
  const found = `${formatBytes(room)} free in the working folder`;
  if (room < LEAST_DISK) return warn("disk", found, "free some space, or write runs to another disk");
  return (await isWritable(process.cwd())) ? pass("disk", found) : warn("disk", `${found}, which is read-only`, "work in another folder, or name others with --out");
}

/** A path without the name of the user, whom a report that is passed on need not tell. */
function shorten(path: string): string {
  const home = homedir();
  return path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

/** The folder that the program would unpack into: the first that can be written to. */
export async function lookAtCache(): Promise<Finding> {
  const refused: string[] = [];
  for (const { path } of cacheFolders()) {
    const room = await roomAt(path);
    if (room === undefined || !(await isWritable(path))) {
      refused.push(shorten(path));
      continue;
    }
    const found = `${formatBytes(room)} free at ${shorten(path)}${refused.length > 0 ? `; not writable: ${refused.join(", ")}` : ""}`;
    if (room < LEAST_CACHE) return warn("cache", found, "free some space, or set CYTONET_CACHE to a folder on another disk");
    return refused.length > 0 ? warn("cache", found, "set CYTONET_CACHE to a folder that lasts: what lies there may be gone tomorrow") : pass("cache", found);
  }
  return warn("cache", `not writable: ${refused.join(", ")}`, "set CYTONET_CACHE to a folder that can be written to");
}

/** Free bytes of the disk that holds a folder, which need not be there yet. */
async function roomAt(path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = dirname(folder)) {
    const disk = await statfs(folder).catch(() => undefined);
    if (disk) return disk.bavail * disk.bsize;
    if (dirname(folder) === folder) return undefined;
  }
}

/** What the device says of itself. */
export function lookAtDevice(engine: Engine): Finding[] {
  const { fingerprint } = engine.device;
  const has = (feature: string) => fingerprint.features.includes(feature);
  const limit = (name: string) => fingerprint.limits[name] ?? 0;
  const [low, high] = fingerprint.subgroups;
  const name = `${fingerprint.adapter} (${fingerprint.driver})`;
  return [
    fingerprint.kind === "gpu" ? pass("adapter", name) : warn("adapter", `${name}: emulates a GPU on the processor`, "install the driver of your GPU, if there is one; --adapter chooses among the adapters above"),
    pass("limits", `${formatBytes(limit("maxBufferSize"))} a buffer, ${formatBytes(limit("maxStorageBufferBindingSize"))} a binding, ${formatBytes(limit("maxComputeWorkgroupStorageSize"))} and ${limit("maxComputeInvocationsPerWorkgroup")} invocations a workgroup`),
    has("shader-f16") ? pass("f16", "shader-f16") : warn("f16", "no shader-f16", "nothing to do: f32 is used, also for precision=f16"),
    has("subgroups") ? pass("subgroups", `${low} to ${high} lanes`) : warn("subgroups", "none", "nothing to do: kernels without them are used"),
    has("timestamp-query") ? pass("timestamps", "timestamp-query") : warn("timestamps", "no timestamp-query", "nothing to do: bench takes the host's clock, which is coarser"),
    ...(has("chromium-experimental-subgroup-matrix") ? [pass("matrices", "subgroup matrices")] : []),
    ...(fingerprint.toggles.length > 0 ? [pass("toggles", fingerprint.toggles.join(" "))] : []),
  ];
}

/** The roofs that benches measure against. */
export async function lookAtPeaks(engine: Engine): Promise<Finding> {
  const { flops, bytes, launch } = await measurePeaks(engine, 5);
  const found = `${withUnit(flops, "FLOP/s")} by the FMA probe, ${withUnit(bytes, "B/s")} by the copy probe, ${printTime(launch * 1e3)} a launch`;
  return engine.device.fingerprint.kind === "gpu" && flops < LEAST_GPU_FLOPS ? warn("peaks", found, "end what else uses the GPU, and see whether it is throttled: this is no more than a processor does") : pass("peaks", found);
}

/** Runs a few matrix products against their f64 reference: a driver can open and still compute nonsense. */
export async function tryKernel(engine: Engine): Promise<Finding> {
  const checks = listChecks(matmul).filter(({ dtype, variant }) => dtype === "f32" && variant === "naive");
  for (const check of checks) {
    const result = await runCheck(engine, check);
    if (result.status === "failed") return failed("kernel", result.id, result.reason);
  }
  return pass("kernel", `${checks.length} matrix products agree with their f64 reference`);
}

/** Sums, exponentials and roots in the variants that this device would use: how far from f64, and from what is allowed. */
export async function tryAccuracy(engine: Engine): Promise<Finding> {
  const { traits } = engine.device;
  let [ulps, worst, count] = [0, 0, 0];
  for (const kernel of [matmul, reduce, softmax, layerNorm])
    for (const dtype of kernel.dtypes.filter((type) => type === "f32" || traits.features.has("shader-f16"))) {
      const chosen = listChecks(kernel).filter((check) => check.dtype === dtype && check.flags.length === 0 && isOwnChoice(check, engine));
      for (const check of chosen.slice(0, 3)) {
        const result = await runCheck(engine, check);
        if (result.status === "failed") return failed("accuracy", result.id, result.reason);
        [ulps, worst, count] = [Math.max(ulps, result.ulps ?? 0), Math.max(worst, result.worst ?? 0), count + 1];
      }
    }
  return pass("accuracy", `${count} results within ${ulps.toPrecision(2)} ulp, at most ${(100 * worst).toFixed(0)} % of what is allowed; \`cytonet check --mode accuracy\` measures all`);
}

function isOwnChoice({ kernel, numbers, flags, dtype, variant }: CheckCase, engine: Engine): boolean {
  return chooseBlueprint({ kernel, numbers: completeNumbers(kernel, numbers), flags: new Set(flags), dtype }, engine.device.traits).variant === variant;
}

function failed(what: string, id: string, reason = ""): Finding {
  return fail(what, `${id}: ${reason}`, "update the driver, choose another adapter with --adapter, and report it with this line");
}

/** Which tuned choices hold for this device. */
export function lookAtTuning(engine: Engine, tuning: TuningTable | undefined): Finding {
  if (!tuning) return pass("tuning", "off, by CYTONET_TUNED");
  const device = identifyDevice(engine.device.fingerprint);
  const mine = tuning.entries.filter((entry) => entry.device === device);
  const holds = mine.filter(({ kernel, source }) => Object.values(catalogue).some((one) => one.name === kernel && hashSource(one) === source));
  const faster = holds.filter(({ ratio }) => ratio < 1);
  const stale = mine.length - holds.length;
  const found = `${holds.length} tuned choices for this device, ${faster.length} in use, ${stale} stale; ${tuning.entries.length - mine.length} of other devices`;
  return stale > 0 || holds.length === 0 ? pass("tuning", found, "`cytonet tune --minutes 10` measures what is fastest here") : pass("tuning", found);
}

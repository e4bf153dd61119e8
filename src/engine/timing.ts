// Timing a plan: how long each step takes, by the device's clock where it has one, else step by step from the host.
import { blueprintKey } from "../kernel/blueprint.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { Device } from "./device.ts";
import { createReadback } from "./readback.ts";
import { copy, groupSubmits, launch, replay, type Step, type Submit } from "./replay.ts";
import { bytesMoved, flopsOf } from "./trace.ts";

/** How long one dispatch took. */
export interface Timing {
  readonly path: string;
  readonly key: string;
  readonly milliseconds: number;
  readonly flops: number;
  readonly bytes: number;
}

/** A query set holds at most 4096 timestamps, two a command. */
const MOST_COMMANDS = 2048;

/** Runs all steps once. Long ones are cut and submitted apart, as in a replay; a step's time is the sum over its pieces. */
export async function timeSteps(device: Device, label: string, steps: readonly Step[]): Promise<Timing[]> {
  const milliseconds = device.traits.features.has("timestamp-query") ? await byDevice(device, label, steps) : await byHost(device, label, steps);
  return steps.map((step) => ({
    path: step.node.path,
    key: step.kind === "dispatch" ? blueprintKey(step.blueprint) : "copy",
    milliseconds: milliseconds.get(step) ?? 0,
    flops: flopsOf(step.node),
    bytes: bytesMoved(step.node),
  }));
}

async function byDevice(device: Device, label: string, steps: readonly Step[]): Promise<Map<Step, number>> {
  const submits = groupSubmits(steps, MOST_COMMANDS);
  const most = submits.reduce((sum, { length }) => Math.max(sum, length), 1);
  const set = device.gpu.createQuerySet({ type: "timestamp", count: 2 * most });
  const resolved = device.createBuffer("readback", "timestamps", 16 * most, BUFFER_USAGE.queryResolve | BUFFER_USAGE.copySrc);
  const readback = createReadback(device, "timestamps");
  const milliseconds = new Map<Step, number>();
  try {
    for (const commands of submits) {
      const [data] = await device.guard(`plan ${label}, timing`, () => {
        encodeTimed(device, commands, set, resolved);
        return readback.read([{ buffer: resolved, offset: 0, size: 16 * commands.length }]);
      });
      const ticks = new BigInt64Array(data!);
      commands.forEach(({ step }, i) => milliseconds.set(step, (milliseconds.get(step) ?? 0) + Number((ticks[2 * i + 1] ?? 0n) - (ticks[2 * i] ?? 0n)) / 1e6));
    }
  } finally {
    readback.dispose();
    device.destroyBuffer(resolved);
    set.destroy();
  }
  return milliseconds;
}

/** Every command gets a pass of its own; a copy's is empty and only orders the two timestamps behind it. */
function encodeTimed(device: Device, commands: Submit, querySet: GPUQuerySet, resolved: GPUBuffer): void {
  const encoder = device.gpu.createCommandEncoder();
  commands.forEach((command, i) => {
    if (command.kind === "copy") copy(encoder, command.step);
    const pass = encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 } });
    if (command.kind === "launch") launch(pass, command);
    pass.end();
  });
  encoder.resolveQuerySet(querySet, 0, 2 * commands.length, resolved, 0);
  device.gpu.queue.submit([encoder.finish()]);
}

async function byHost(device: Device, label: string, steps: readonly Step[]): Promise<Map<Step, number>> {
  const milliseconds = new Map<Step, number>();
  for (const step of steps) {
    await device.gpu.queue.onSubmittedWorkDone();
    const start = performance.now();
    await device.guard(`plan ${label}, dispatching ${step.node.path}`, () => {
      replay(device, label, groupSubmits([step]));
      return device.gpu.queue.onSubmittedWorkDone();
    });
    milliseconds.set(step, performance.now() - start);
  }
  return milliseconds;
}

/** One fixed-column line: milliseconds, GFLOP/s, GB/s, kernel, path. */
export function printTiming({ path, key, milliseconds, flops, bytes }: Timing): string {
  const rate = (amount: number) => (milliseconds > 0 ? (amount / milliseconds / 1e6).toFixed(2) : "-").padStart(9);
  return `${milliseconds.toFixed(3).padStart(10)} ms ${rate(flops)} GFLOP/s ${rate(bytes)} GB/s  ${key}  ${path}`;
}

// Timing a plan: when each command began and ended, by the device's clock where it has one, else command by command from the host.
import { blueprintKey } from "../kernel/blueprint.ts";
import { BUFFER_USAGE } from "./constants.ts";
import type { Device } from "./device.ts";
import { createReadback } from "./readback.ts";
import { copy, groupSubmits, launch, replay, type Command, type Step, type Submit } from "./replay.ts";
import { bytesMoved, flopsOf, printNumbers } from "./trace.ts";

/** How long one step took: a dispatch, with all pieces that its grid was cut into, or a copy. */
export interface Timing {
  readonly path: string;
  readonly key: string;
  readonly milliseconds: number;
  readonly flops: number;
  readonly bytes: number;
}

/** One command on the device. */
export interface Span {
  /** Which step of the plan it belongs to. */
  readonly step: number;
  readonly path: string;
  /** Of the blueprint, or "copy". */
  readonly key: string;
  /** Sizes, as `m=64 n=32`. */
  readonly sizes: string;
  /** Milliseconds since the first command began. */
  readonly begin: number;
  readonly end: number;
  /** The command's part of what its step computes and moves, by workgroups. */
  readonly flops: number;
  readonly bytes: number;
}

/** What the host did meanwhile, on the clock of `performance.now()`, in ms. */
export interface HostSpan {
  readonly name: "upload" | "encode" | "submit" | "wait";
  readonly begin: number;
  readonly end: number;
}

/** One run of a plan, command by command. */
export interface Timeline {
  /** "device": timestamps around each command. "host": each was submitted alone and waited for, which includes that. */
  readonly clock: "device" | "host";
  readonly spans: readonly Span[];
  readonly host: readonly HostSpan[];
  /** Where the device's zero lies on the host's clock, ms, and how much later it may lie: the two clocks are not synchronised. */
  readonly origin: number;
  readonly slack: number;
}

/** A query set holds at most 4096 timestamps, two a command. */
const MOST_COMMANDS = 2048;

/** Runs all steps once. Long ones are cut and submitted apart, as in a replay. */
export async function recordTimeline(device: Device, label: string, steps: readonly Step[]): Promise<Timeline> {
  return device.traits.features.has("timestamp-query") ? byDevice(device, label, steps) : byHost(device, label, steps);
}

/** Time of each step: the sum over its pieces. */
export function timingsOf(steps: readonly Step[], { spans }: Timeline): Timing[] {
  const milliseconds = steps.map(() => 0);
  for (const { step, begin, end } of spans) milliseconds[step]! += end - begin;
  return steps.map((step, i) => ({ path: step.node.path, key: keyOf(step), milliseconds: milliseconds[i]!, flops: flopsOf(step.node), bytes: bytesMoved(step.node) }));
}

function keyOf(step: Step): string {
  return step.kind === "dispatch" ? blueprintKey(step.blueprint) : "copy";
}

/** Makes spans of commands: what their steps compute is shared among the pieces by their workgroups. */
function describeCommands(steps: readonly Step[]): (command: Command, begin: number, end: number) => Span {
  const indices = new Map(steps.map((step, i) => [step, i]));
  const volume = (size: readonly number[]) => size.reduce((product, extent) => product * extent, 1);
  return ({ step, ...command }, begin, end) => {
    const whole = step.kind === "dispatch" ? step.pieces.reduce((sum, { size }) => sum + volume(size), 0) : 1;
    const share = "size" in command && whole > 0 ? volume(command.size) / whole : 1;
    const sizes = step.node.kind === "dispatch" ? printNumbers(step.node.numbers) : `count=${step.node.from.count}`;
    return { step: indices.get(step)!, path: step.node.path, key: keyOf(step), sizes, begin, end, flops: share * flopsOf(step.node), bytes: share * bytesMoved(step.node) };
  };
}

async function byDevice(device: Device, label: string, steps: readonly Step[]): Promise<Timeline> {
  const submits = groupSubmits(steps, MOST_COMMANDS);
  const spanOf = describeCommands(steps);
  const host: HostSpan[] = [];
  const sets = submits.map(({ length }) => device.gpu.createQuerySet({ type: "timestamp", count: 2 * length }));
  const sizes = submits.map(({ length }) => 16 * length);
  const offsets = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + Math.ceil(size / 256) * 256, 0));
  const resolved = device.createBuffer("readback", "timestamps", Math.max(256, (offsets.at(-1) ?? 0) + (sizes.at(-1) ?? 0)), BUFFER_USAGE.queryResolve | BUFFER_USAGE.copySrc);
  const readback = createReadback(device, "timestamps");
  try {
    const stamps = await device.guard(`plan ${label}, timing`, () => {
      submits.forEach((commands, i) => {
        const began = performance.now();
        const buffer = encodeStamped(device, commands, sets[i]!, resolved, offsets[i]!);
        const encoded = performance.now();
        device.gpu.queue.submit([buffer]);
        host.push({ name: "encode", begin: began, end: encoded }, { name: "submit", begin: encoded, end: performance.now() });
      });
      return readback.read(submits.map((_, i) => ({ buffer: resolved, offset: offsets[i]!, size: sizes[i]! })));
    });
    host.push({ name: "wait", begin: host.at(-1)?.end ?? 0, end: performance.now() });
    const ticks = stamps.map((data) => new BigInt64Array(data));
    const zero = ticks[0]?.[0] ?? 0n;
    const at = (submit: number, i: number) => Number((ticks[submit]?.[i] ?? zero) - zero) / 1e6;
    const spans = submits.flatMap((commands, s) =>
      commands.map((command, i) => {
        // A copy happens outside of passes, before the empty one that bears its stamps: it counts from the end of what came before.
        const begin = command.kind === "copy" && i > 0 ? at(s, 2 * i - 1) : at(s, 2 * i);
        return spanOf(command, begin, Math.max(begin, at(s, 2 * i + 1)));
      }),
    );
    return { clock: "device", spans, host, ...alignClocks(submits, host, at, spans) };
  } finally {
    readback.dispose();
    device.destroyBuffer(resolved);
    for (const set of sets) set.destroy();
  }
}

/** No submit began before it was handed over, and all had ended when the host knew: the device's zero lies between. The earliest is taken. */
function alignClocks(submits: readonly Submit[], host: readonly HostSpan[], at: (submit: number, i: number) => number, spans: readonly Span[]): Pick<Timeline, "origin" | "slack"> {
  const handed = host.filter(({ name }) => name === "submit");
  const earliest = Math.max(...submits.map((_, s) => (handed[s]?.begin ?? 0) - at(s, 0)));
  const last = spans.reduce((most, { end }) => Math.max(most, end), 0);
  const latest = (host.at(-1)?.end ?? 0) - last;
  return { origin: submits.length > 0 ? Math.min(earliest, latest) : (host.at(-1)?.end ?? 0), slack: submits.length > 0 ? Math.max(0, latest - earliest) : 0 };
}

/** Every command gets a pass of its own; a copy's is empty and only orders its timestamps behind it. */
function encodeStamped(device: Device, commands: Submit, querySet: GPUQuerySet, resolved: GPUBuffer, offset: number): GPUCommandBuffer {
  const encoder = device.gpu.createCommandEncoder();
  commands.forEach((command, i) => {
    if (command.kind === "copy") copy(encoder, command.step);
    const pass = encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 } });
    if (command.kind === "launch") launch(pass, command);
    pass.end();
  });
  encoder.resolveQuerySet(querySet, 0, 2 * commands.length, resolved, offset);
  return encoder.finish();
}

async function byHost(device: Device, label: string, steps: readonly Step[]): Promise<Timeline> {
  const spanOf = describeCommands(steps);
  const host: HostSpan[] = [];
  const spans: Span[] = [];
  await device.wait(device.gpu.queue.onSubmittedWorkDone());
  const origin = performance.now();
  for (const submit of groupSubmits(steps, 1)) {
    const [command] = submit;
    if (!command) continue;
    const began = performance.now();
    let handed = began;
    await device.guard(`plan ${label}, dispatching ${command.step.node.path}`, () => {
      replay(device, label, [submit]);
      handed = performance.now();
      return device.gpu.queue.onSubmittedWorkDone();
    });
    const ended = performance.now();
    host.push({ name: "submit", begin: began, end: handed }, { name: "wait", begin: handed, end: ended });
    spans.push(spanOf(command, began - origin, ended - origin));
  }
  return { clock: "host", spans, host, origin, slack: 0 };
}

/** One fixed-column line: milliseconds, GFLOP/s, GB/s, kernel, path. */
export function printTiming({ path, key, milliseconds, flops, bytes }: Timing): string {
  const rate = (amount: number) => (milliseconds > 0 ? (amount / milliseconds / 1e6).toFixed(2) : "-").padStart(9);
  return `${milliseconds.toFixed(3).padStart(10)} ms ${rate(flops)} GFLOP/s ${rate(bytes)} GB/s  ${key}  ${path}`;
}

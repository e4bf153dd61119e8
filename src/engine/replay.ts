// Replaying: the steps of a plan, grouped into submits that no watchdog ends, and what to call them when the device fails.
import type { Blueprint } from "../kernel/blueprint.ts";
import { MAX_DISPATCH_SECONDS } from "./cut.ts";
import type { Device } from "./device.ts";
import type { Dispatch, Node } from "./trace.ts";

export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

export interface DispatchStep {
  readonly kind: "dispatch";
  readonly node: Dispatch;
  readonly blueprint: Blueprint;
  readonly pipeline: GPUComputePipeline;
  /** The parts that its grid was cut into, with their predicted seconds. */
  readonly pieces: readonly { readonly bindGroup: GPUBindGroup; readonly size: readonly [number, number, number]; readonly seconds: number }[];
}

export interface CopyStep {
  readonly kind: "copy";
  readonly node: Node;
  readonly from: BufferRange;
  readonly to: BufferRange;
}

export type Step = DispatchStep | CopyStep;

/** A copy, or the launch of one piece of a dispatch. */
export type Command =
  | { readonly kind: "copy"; readonly step: CopyStep; readonly seconds: number }
  | { readonly kind: "launch"; readonly step: DispatchStep; readonly bindGroup: GPUBindGroup; readonly size: readonly [number, number, number]; readonly seconds: number };

/** What is handed to the queue at once. */
export type Submit = readonly Command[];

/** How far a replay has come: submits that the device has finished. */
export interface Flight {
  done: number;
}

/** Submits that a run which may be stopped hands over before it looks again, with as many before them under way: enough that no device waits for the next. */
export const SUBMITS_BETWEEN_LOOKS = 4;

/** The commands of each submit: one for all, unless the predicted work, or `most` commands, call for another. */
export function groupSubmits(steps: readonly Step[], most = Number.POSITIVE_INFINITY): readonly Submit[] {
  const commands = steps.flatMap((step): Command[] =>
    step.kind === "copy" ? [{ kind: "copy", step, seconds: 0 }] : step.pieces.map(({ bindGroup, size, seconds }) => ({ kind: "launch", step, bindGroup, size, seconds })),
  );
  const groups: Command[][] = [];
  let seconds = 0;
  for (const command of commands) {
    const group = groups.at(-1);
    if (!group || group.length >= most || (seconds > 0 && seconds + command.seconds > MAX_DISPATCH_SECONDS)) {
      groups.push([command]);
      seconds = command.seconds;
    } else {
      group.push(command);
      seconds += command.seconds;
    }
  }
  return groups;
}

/** Encodes one command into a pass. */
export function launch(pass: GPUComputePassEncoder, command: Extract<Command, { kind: "launch" }>): void {
  pass.setPipeline(command.step.pipeline);
  pass.setBindGroup(0, command.bindGroup);
  pass.dispatchWorkgroups(...command.size);
}

/** Encodes one copy. */
export function copy(encoder: GPUCommandEncoder, { from, to }: CopyStep): void {
  encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, from.size);
}

/** Hands everything to the queue: one pass a submit, unless copies interrupt it. Returns what says how far the device has come. */
export function replay(device: Device, label: string, submits: readonly Submit[]): Flight {
  const { gpu } = device;
  const flight: Flight = { done: 0 };
  submits.forEach((commands, i) => {
    const encoder = gpu.createCommandEncoder({ label });
    let pass: GPUComputePassEncoder | undefined;
    for (const command of commands) {
      if (command.kind === "copy") {
        pass?.end();
        pass = undefined;
        copy(encoder, command.step);
      } else launch((pass ??= encoder.beginComputePass({ label })), command);
    }
    pass?.end();
    gpu.queue.submit([encoder.finish()]);
    // Only to name what was under way when a device goes: where all is one submit there is nothing to tell apart.
    if (i + 1 < submits.length)
      gpu.queue.onSubmittedWorkDone().then(
        () => (flight.done = Math.max(flight.done, i + 1)),
        () => {},
      );
  });
  return flight;
}

/** The dispatches of a submit, for messages: the one, or the first, the last and the longest by prediction. */
export function describeSubmit(commands: Submit | undefined): string {
  const [first] = commands ?? [];
  if (!commands || !first) return "";
  const last = commands.at(-1)!;
  const path = ({ step }: Command) => step.node.path;
  if (path(first) === path(last)) return `, dispatching ${path(first)}`;
  const longest = commands.reduce((most, command) => (command.seconds > most.seconds ? command : most));
  return `, dispatching ${path(first)} to ${path(last)} (${commands.length} in one submit, by prediction the longest is ${path(longest)})`;
}

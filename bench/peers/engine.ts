// What an engine is to the bench: it prepares a case in one of several forms, gives its whole outputs once for the judge, and runs it again and again.
import type { Case } from "./cases.ts";

/** Whole outputs by name, in the canonical layout. Of a training step: `loss`, and `gradient NAME` and `parameter NAME` after the first step. */
export type Outputs = Readonly<Record<string, Float32Array>>;

/** A case that is ready to run. */
export interface Prepared {
  /** Called once, before any `run`. */
  outputs(): Promise<Outputs>;
  /**
   * One run until its result is on the CPU: logits and losses whole; of larger outputs the first element of each, which is read
   * after all of it was computed. Gives what was read, output by output.
   */
  run(): Promise<readonly number[]>;
  dispose(): Promise<void> | void;
}

export interface Engine {
  /** Version, and what it runs on as far as it says. */
  readonly description: string;
  /** Ways in which a case can be written for this engine; the fastest right one counts. */
  forms(problem: Case): readonly string[];
  /** Throws `Unsupported` with the reason where the engine has no means for it. */
  prepare(problem: Case, form: string): Promise<Prepared>;
}

/** What an engine cannot do at all, as opposed to what goes wrong. */
export class Unsupported extends Error {}

export const ENGINES = ["cytonet", "ort-webgpu", "tfjs", "jax-js", "ort-cpu"] as const;
export type EngineName = (typeof ENGINES)[number];
export const OURS: EngineName = "cytonet";
/** Not WebGPU: what the machine reaches natively, for information. */
export const NATIVE: readonly EngineName[] = ["ort-cpu"];

/** Messages to an engine's process, and what they are answered with. */
export type Request =
  | { readonly op: "forms"; readonly problem: Case }
  | { readonly op: "prepare"; readonly problem: Case; readonly form: string }
  | { readonly op: "outputs" }
  /** Runs until so many milliseconds have passed, at least once. */
  | { readonly op: "run"; readonly milliseconds: number }
  | { readonly op: "release" }
  | { readonly op: "truth"; readonly problem: Case; readonly slice: number };

export interface Answers {
  readonly forms: readonly string[];
  readonly prepare: undefined;
  readonly outputs: Outputs;
  /** Milliseconds of each run, and what the last one read. */
  readonly run: { readonly milliseconds: readonly number[]; readonly read: readonly number[] };
  readonly release: undefined;
  readonly truth: Readonly<Record<string, Float64Array>>;
}

export type Reply =
  | { readonly ready: string; readonly adapter: string }
  | { readonly answer: Answers[keyof Answers] }
  | { readonly failure: string; readonly unsupported: boolean };

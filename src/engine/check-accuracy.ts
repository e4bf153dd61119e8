// How accurate a device is: every variant's error against the f64 reference, and unary functions over all numbers of f16.
import type { Kernel } from "../kernel/define.ts";
import { halfToNumber } from "../kernel/dtype.ts";
import { type CheckCase, checkId, runCheck, runWith } from "./check.ts";
import { IN_FLIGHT, runConcurrently } from "./concurrent.ts";
import type { Engine } from "./engine.ts";

export interface AccuracyRow {
  /** `kernel`: over the checks of a variant. `function`: a unary one over all 65,536 numbers of f16. */
  readonly kind: "kernel" | "function";
  readonly name: string;
  readonly dtype: "f32" | "f16";
  /** Checks that passed or failed, or numbers that were evaluated. */
  readonly count: number;
  /** Largest and root mean square error: in ulps of a result's RMS for kernels, of each single result for functions. */
  readonly maxUlp: number;
  readonly rmsUlp: number;
  /** Largest error as a multiple of what a check allows; not for functions. */
  readonly allowed?: number;
  /** Where the error is largest. */
  readonly worst?: string;
}

/** Measures all of it; when `signal` is aborted, what has been measured, and `complete` is false. */
export async function measureAccuracy(
  engine: Engine,
  kernels: readonly Kernel[],
  checks: readonly CheckCase[],
  signal: AbortSignal,
  tell: (done: number, total: number, id: string) => void,
): Promise<{ readonly rows: AccuracyRow[]; readonly complete: boolean }> {
  const groups = new Map<string, { name: string; dtype: "f32" | "f16"; count: number; maxUlp: number; squares: number; allowed: number }>();
  // Neither the order of invocations nor watching indices changes how accurate a result is.
  const usual = checks.filter(({ scattered, watched }) => !scattered && !watched);
  await runConcurrently(usual, IN_FLIGHT, async (check) => (signal.aborted ? undefined : runCheck(engine, check)), (result, check, index) => {
    tell(index + 1, usual.length, `${check.kernel.name}.${check.variant}`);
    if (!result || result.status === "skipped") return;
    const name = `${check.kernel.name}.${check.variant}`;
    const key = `${name} ${check.dtype}`;
    const group = groups.get(key) ?? { name, dtype: check.dtype, count: 0, maxUlp: 0, squares: 0, allowed: 0 };
    group.count++;
    group.maxUlp = Math.max(group.maxUlp, result.ulps ?? NaN);
    group.squares += (result.rmsUlps ?? NaN) ** 2;
    group.allowed = Math.max(group.allowed, result.worst ?? NaN);
    groups.set(key, group);
  });
  const rows: AccuracyRow[] = [...groups.values()].map(({ name, dtype, count, maxUlp, squares, allowed }) => ({ kind: "kernel", name, dtype, count, maxUlp, rmsUlp: Math.sqrt(squares / count), allowed }));
  for (const check of kernels.flatMap(unaryForms)) {
    if (signal.aborted) break;
    const row = await measureFunction(engine, check);
    if (row) rows.push(row);
  }
  return { rows, complete: !signal.aborted };
}

/** The f16 forms of a kernel that maps each element of one argument to one of one result, with all numbers of f16 as the argument. */
function unaryForms(kernel: Kernel): CheckCase[] {
  const args = Object.entries(kernel.args);
  const unary = args.length === 2 && kernel.dims.length === 1 && args.every(([, { shape, dtype }]) => shape.length === 1 && shape[0] === kernel.dims[0] && dtype === "elem");
  if (!unary || kernel.scalars.length > 0 || !kernel.dtypes.includes("f16") || Object.keys(kernel.builtins).length === 0) return [];
  const forms = [...new Set(["", ...kernel.flags])].map((flag) => (flag === "" ? [] : [flag]));
  return Object.keys(kernel.variants).flatMap((variant) => forms.map((flags): CheckCase => ({ kernel, variant, dtype: "f16", flags, numbers: { [kernel.dims[0]!]: 65536 }, seed: 1, name: "all numbers" })));
}

/** Undefined where the device cannot run it. */
async function measureFunction(engine: Engine, check: CheckCase): Promise<AccuracyRow | undefined> {
  const x = Float64Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  const [input, output] = Object.entries(check.kernel.args).sort(([, a]) => (a.access === "read" ? -1 : 1)).map(([name]) => name) as [string, string];
  const ran = await runWith(engine, check, new Map([[input, x]])).catch((cause: unknown) => {
    engine.device.assertAlive(checkId(check));
    throw cause;
  });
  if ("reason" in ran) return undefined;
  const [got, truth] = [ran.outputs.get(output)!, ran.truth.get(output)!];
  let [count, largest, squares, at] = [0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    // WGSL leaves open what becomes of infinities, of what is no number, and of results beyond the largest one.
    if (!Number.isFinite(x[i]) || !Number.isFinite(truth[i]) || Math.abs(truth[i]!) >= 65520) continue;
    const flushed = got[i] === 0 && Math.abs(truth[i]!) < SMALLEST_NORMAL;
    const error = flushed ? 0 : Math.abs(got[i]! - truth[i]!) / ulpOf(truth[i]!);
    count++;
    squares += error ** 2;
    if (error > largest || Number.isNaN(error)) [largest, at] = [error, i];
  }
  const name = `${check.kernel.name}.${check.variant}${check.flags.map((flag) => ` +${flag}`).join("")}`;
  return { kind: "function", name, dtype: "f16", count, maxUlp: largest, rmsUlp: Math.sqrt(squares / count), worst: `x = ${Number(x[at]!.toPrecision(5))}` };
}

/** Devices may flush what is smaller. */
const SMALLEST_NORMAL = 2 ** -14;

/** The step between numbers of f16 at a value. */
function ulpOf(value: number): number {
  return 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 10);
}

// The catalogue for a page: runs every check of a kernel, and every gradient, on the browser's device.
import { checkGradient, createEngine, GRADIENT_CASES, kernels, listChecks, openAdapter, runCheck, runConcurrently, type CheckResult, type Engine } from "../../../src/browser.ts";

let opened: Promise<Engine> | undefined;

function openEngine(): Promise<Engine> {
  return (opened ??= openAdapter({ log: () => undefined }).then((handle) => createEngine(handle)));
}

/** Every case of a kernel in every variant and type. */
export async function checkKernel(name: string): Promise<CheckResult[]> {
  const engine = await openEngine();
  const kernel = Object.values(kernels).find((one) => one.name === name);
  if (!kernel) throw new Error(`no kernel ${name}`);
  const results: CheckResult[] = [];
  await runConcurrently(listChecks(kernel), 4, (check) => runCheck(engine, check), (result) => void results.push(result));
  return results;
}

/** Every gradient case. */
export async function checkGradients(): Promise<CheckResult[]> {
  const engine = await openEngine();
  const results: CheckResult[] = [];
  await runConcurrently(GRADIENT_CASES, 4, (one) => checkGradient(engine, one), (result) => void results.push(result));
  return results;
}

// Runs the built program as people do: a process with arguments, its two outputs and its exit code.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { projectRoot } from "./bundle.ts";

const MAIN = join(projectRoot, "dist/cli/main.js");

/** Brings dist/ up to date; two at once do not harm each other. */
export function buildProgram(): void {
  execFileSync(process.execPath, ["scripts/build.mjs", "--fast"], { cwd: projectRoot, stdio: ["ignore", "ignore", "inherit"] });
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  /** Without what the GPU driver prints on its own. */
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments for Node itself. */
  readonly node?: readonly string[];
  /** A shell line in which `"$@"` is the program with its arguments. */
  readonly shell?: string;
  /** Called once the process runs. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** Runs `cytonet …args` to its end; the adapter is the one that the tests run on. */
export async function runProgram(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const command = [process.execPath, ...(options.node ?? []), MAIN, ...args];
  const [file = "", ...rest] = options.shell === undefined ? command : ["unshare", "-rm", "bash", "-c", options.shell, "bash", ...command];
  const env = { CYTONET_ADAPTER: "swiftshader", ...process.env, ...options.env };
  const child = spawn(file, rest, { cwd: options.cwd ?? projectRoot, env, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (stdout += part.toString()));
  child.stderr.on("data", (part: Buffer) => (stderr += part.toString()));
  options.onStart?.(child);
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, stdout, stderr: stderr.replace(/^Warning: max\w+ artificially reduced.*\n/gm, "") };
}

// Keeps two harmless warnings that Dawn writes straight to the process's stderr from the eyes of people.
import { closeSync, constants, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const STDERR = 2;

/** Dawn clamps two limits on most drivers and says so each time; nothing here uses dynamic offsets. */
const HARMLESS = /^Warning: maxDynamic(Uniform|Storage)BuffersPerPipelineLayout artificially reduced from \d+ to \d+ .*$\n?/gm;

/**
 * Runs `action`, which must not be asynchronous, with the process's stderr going to a file, then writes what it said,
 * less the harmless warnings. Node cannot duplicate a descriptor, so stderr is opened a second time by its name in
 * /proc; where that is not the same thing (a plain file has a position of its own, a socket cannot be opened),
 * nothing is done and the warnings show. Other threads must not open files meanwhile: call it early.
 */
export function withoutHarmlessWarnings<T>(action: () => T): T {
  const kept = reopenStderr();
  if (kept === undefined) return action();
  const capture = captureStderr(kept);
  try {
    return action();
  } finally {
    const said = capture?.() ?? "";
    closeSync(kept);
    const rest = said.replace(HARMLESS, "");
    if (rest !== "") writeIfRead(rest);
  }
}

function writeIfRead(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // Nobody reads stderr any more: what was said there is of no use to anyone.
  }
}

/** A second descriptor of what stderr leads to, or undefined where there can be none that is as good. */
function reopenStderr(): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = fstatSync(STDERR);
    const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${STDERR}`, "utf8"))?.[1] ?? "0", 8);
    const appends = stat.isFile() && (flags & constants.O_APPEND) !== 0;
    if (!stat.isCharacterDevice() && !stat.isFIFO() && !appends) return undefined;
    // Without O_NONBLOCK a pipe that nobody reads any more would be waited for.
    closeSync(openSync(`/proc/self/fd/${STDERR}`, constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    return openSync(`/proc/self/fd/${STDERR}`, constants.O_WRONLY | constants.O_NOCTTY | constants.O_APPEND);
  } catch {
    return undefined;
  }
}

/** Leads stderr to a new file; the function given back leads it to `kept` again and returns what was written. */
function captureStderr(kept: number): (() => string) | undefined {
  let folder = "";
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    folder = mkdtempSync(join(tmpdir(), "cytonet-stderr-"));
    const path = join(folder, "said");
    closeSync(openSync(path, "wx"));
    if (!leadStderrTo(path, constants.O_WRONLY | constants.O_APPEND)) return undefined;
    return () => {
      leadStderrTo(`/proc/self/fd/${kept}`, constants.O_WRONLY | constants.O_NOCTTY | constants.O_APPEND);
      const said = readFileSync(path, "utf8");
      clear();
      return said;
    };
  } catch {
    if (folder !== "") clear();
    return undefined;
  }
}

/** Closes stderr and opens a path in its place: the lowest free number is taken, which is the one just closed. */
function leadStderrTo(path: string, flags: number): boolean {
  closeSync(STDERR);
  const got = openSync(path, flags);
  if (got === STDERR) return true;
  closeSync(got);
  return false;
}

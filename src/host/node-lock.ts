// Locks between processes: a file that names its holder by process and start time, so that a dead holder's lock is taken over.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT_CODES, UserError } from "../errors.ts";
import { explain } from "./node-errors.ts";

interface Holder {
  readonly pid: number;
  /** Start of the process in clock ticks since boot, "" where the system does not tell: a number of processes may be reused. */
  readonly start: string;
  /** Changes when the machine restarts, "" where unknown. */
  readonly boot: string;
  /** A mark of the machine (a hash of its name): processes of another one cannot be looked at. */
  readonly machine: string;
}

/** How long an unreadable lock may be one that is just being written. */
const PATIENCE = { tries: 40, pauseMs: 25 };

/** Takes the lock file at `path`. Throws a UserError 75 that names the holder while another process lives. */
export async function takeLock(path: string): Promise<{ release(): Promise<void> }> {
  const mine = JSON.stringify(describeSelf());
  await explain("lock", path, async () => {
    for (let attempt = 0; ; attempt++) {
      if (await placeLock(path, mine)) return;
      const found = await readIfThere(path);
      if (found === undefined) continue;
      const holder = parseHolder(found);
      if (holder === undefined && !isPartOfLock(found))
        throw new UserError(EXIT_CODES.cannotCreate, `${path}: is no lock of a process, expected none or one; move it away, or choose another folder`);
      if (holder === undefined ? attempt < PATIENCE.tries : isHeld(holder)) {
        if (holder !== undefined) throw locked(path, holder);
        await sleep(PATIENCE.pauseMs);
      } else if (!(await removeStale(path, found, mine))) {
        await sleep(PATIENCE.pauseMs);
      }
    }
  });
  let held = true;
  return {
    async release() {
      if (!held) return;
      held = false;
      // Never remove a lock that another process has taken since.
      if ((await readFile(path, "utf8").catch(() => undefined)) === mine) await rm(path, { force: true });
    },
  };
}

/** The text of a file, undefined where it has just gone; one that is there and cannot be read would be waited for without end. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes the file with its content in one step, so that nobody reads half of it. False where it exists. */
async function placeLock(path: string, content: string): Promise<boolean> {
  const part = `${path}.${process.pid}-${randomBytes(4).toString("hex")}.part`;
  const write = async (name: string): Promise<void> => {
    const file = await open(name, "wx");
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
  };
  try {
    await write(part);
    try {
      await link(part, path);
    } catch (error) {
      if (codeOf(error) === "EEXIST") return false;
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
      // File systems without hard links: exclusive creation, with a moment in which the file is empty.
      await write(path);
    }
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(part, { force: true });
  }
}

/**
 * Removes a dead holder's lock. Only the holder of a second lock may do so, after looking again: otherwise two
 * processes that judged the same lock dead could remove each other's new one.
 */
async function removeStale(path: string, stale: string, mine: string): Promise<boolean> {
  const guard = `${path}.takeover`;
  if (!(await placeLock(guard, mine))) {
    const other = parseHolder((await readIfThere(guard)) ?? mine);
    if (other === undefined || !isHeld(other)) await rm(guard, { force: true });
    return false;
  }
  try {
    if ((await readFile(path, "utf8").catch(() => undefined)) === stale) await rm(path, { force: true });
    return true;
  } finally {
    await rm(guard, { force: true });
  }
}

function locked(path: string, holder: Holder): UserError {
  const self = describeSelf();
  const here = holder.machine === self.machine;
  const who = !here ? `process ${holder.pid} on another machine` : holder.pid === self.pid ? "this process itself" : `process ${holder.pid}`;
  const remedy = here ? "wait for it, stop it, or choose another folder" : "if that process is gone, remove the lock file";
  return new UserError(EXIT_CODES.locked, `${path}: locked by ${who}, expected nobody; ${remedy}`);
}

/** Whether the holder still lives, as far as can be known: on another machine it is taken to. */
function isHeld(holder: Holder): boolean {
  const self = describeSelf();
  if (holder.machine !== self.machine) return true;
  if (holder.boot !== self.boot || !isProcessAlive(holder.pid)) return false;
  const start = processStart(holder.pid);
  return start === "" || holder.start === "" || start === holder.start;
}

function describeSelf(): Holder {
  const machine = createHash("sha256").update(hostname()).digest("hex").slice(0, 16);
  return { pid: process.pid, start: processStart(process.pid), boot: readSmall("/proc/sys/kernel/random/boot_id"), machine };
}

/** What a process killed while it wrote its lock may leave, or the power cut after it: anything else is a file of somebody else. */
function isPartOfLock(text: string): boolean {
  const written = text.replace(/\0*$/, "");
  const beginning = '{"pid":';
  return written.startsWith(beginning) || beginning.startsWith(written);
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { pid, start, boot, machine } = value as Record<string, unknown>;
    if (typeof pid !== "number" || typeof start !== "string" || typeof boot !== "string" || typeof machine !== "string") return undefined;
    return { pid, start, boot, machine };
  } catch {
    return undefined;
  }
}

/** Whether a process of that number lives on this machine. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
  // A zombie has ended; only its parent has not asked yet.
  return !/^\d+ \(.*\) [ZX] /s.test(readSmall(`/proc/${pid}/stat`));
}

function processStart(pid: number): string {
  // The second field is a name in parentheses that may hold anything; the start is the 20th after it.
  return readSmall(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ")[19] ?? "";
}

function readSmall(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

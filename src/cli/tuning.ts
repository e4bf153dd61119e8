// Tuned choices for the program: where they are kept, which hold, and the process that candidates are measured in.
import { findReadableCache } from "../host/node-cache.ts";
import { nodeFiles } from "../host/files-node.ts";
import { createChild } from "../host/node-tune-child.ts";
import type { Traits } from "../kernel/define.ts";
import { createTuningTable, type TuningTable } from "../kernel/tuning.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import { joinPath } from "../files.ts";
import type { Measurer, Outcome } from "../tune/measure.ts";
import { SHIPPED } from "../tune/shipped.ts";
import { readStore } from "../tune/store.ts";

/** Takes no tuned choices where it is "off"; else the file they are kept in. */
const VARIABLE = "CYTONET_TUNED";

/** The file that tuned choices are kept in: what CYTONET_TUNED names, or one in the cache folder. Undefined where there are to be none. */
export async function storePath(): Promise<string | undefined> {
  const chosen = process.env[VARIABLE];
  if (chosen === "off") return undefined;
  if (chosen) return chosen;
  const folder = await findReadableCache();
  return folder === undefined ? undefined : joinPath(folder, "tuned.json");
}

/** The user's own choices before those that ship. A store that is damaged is told and counts for nothing. */
export async function loadTuning(log: (line: string) => void): Promise<TuningTable | undefined> {
  if (process.env[VARIABLE] === "off") return undefined;
  const path = await storePath();
  const own = path === undefined ? [] : await readStore(nodeFiles, path).catch((cause: unknown) => {
    if (!(cause instanceof UserError)) throw cause;
    log(`tuned choices are not used: ${cause.message}`);
    return [];
  });
  return createTuningTable([...own, ...SHIPPED]);
}

/** A measurer in a child of this program, which may crash or hang. */
export function createChildMeasurer(command: readonly [string, ...string[]], timeoutMs: number): Measurer {
  const child = createChild({ command, timeoutMs });
  return {
    async describe() {
      const end = await child.ask("describe");
      if (end.status !== "answered") throw new UserError(EXIT_CODES.unavailable, `cytonet tune: the device could not be opened in a process of its own: ${end.reason}`, ["`cytonet doctor` looks what is wrong."]);
      const { traits, ...rest } = end.value as Omit<Awaited<ReturnType<Measurer["describe"]>>, "traits"> & { traits: Omit<Traits, "features"> & { features: string[] } };
      return { ...rest, traits: { ...traits, features: new Set(traits.features) } };
    },
    async measure(request) {
      const end = await child.ask("measure", request);
      return end.status === "answered" ? (end.value as Outcome) : end;
    },
    async dispose() {
      child.dispose();
    },
  };
}

// Debug switches: named, additive, in one variable such as CYTONET_DEBUG=nan,time.
import { EXIT_CODES, UserError, suggest } from "../errors.ts";

/** What each switch prints. */
export const DEBUG_SWITCHES = {
  shapes: "every traced operation with its shapes, and what each pass changed",
  dispatch: "runs plans one dispatch at a time: what goes wrong on the device gets the one dispatch's name",
  nan: "runs plans one dispatch at a time and names the first that makes a NaN or an infinity",
  indices: "has the driver keep every index inside its buffer, as browsers do: for what crashes the driver or the process",
  wgsl: "the WGSL of every pipeline as it is compiled",
  time: "one line per kernel: milliseconds, GFLOP/s and GB/s; in browsers also a track in the devtools' performance panel",
  alloc: "memory by purpose whenever a plan is built",
} as const;

export type DebugSwitch = keyof typeof DEBUG_SWITCHES;

/** Parses a comma-separated list of switches. Throws a UserError 2 on a name that does not exist. */
export function parseDebug(text: string | undefined): ReadonlySet<DebugSwitch> {
  const names = (text ?? "").split(",").map((name) => name.trim()).filter(Boolean);
  for (const name of names)
    if (!(name in DEBUG_SWITCHES)) {
      const near = suggest(name, Object.keys(DEBUG_SWITCHES));
      throw new UserError(EXIT_CODES.usage, `CYTONET_DEBUG: no switch ${JSON.stringify(name)}, expected some of ${Object.keys(DEBUG_SWITCHES).join(", ")}`, near.length ? [`Did you mean ${near[0]}?`] : []);
    }
  return new Set(names as DebugSwitch[]);
}

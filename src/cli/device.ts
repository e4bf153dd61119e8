// Opening the engine for a command, and what every command that computes has in common.
import type { Command } from "commander";
import { parseDebug } from "../engine/debug.ts";
import { createEngine, type Engine } from "../engine/engine.ts";
import type { JsonObject } from "../data/json.ts";
import { VERSION } from "../version.ts";
import { openAdapter } from "../host/node.ts";

export interface DeviceOptions {
  readonly adapter?: string;
}

/** Adds --adapter to a command. */
export function withDevice(command: Command): Command {
  return command.option("--adapter <name>", "part of an adapter's name; also CYTONET_ADAPTER (default: the fastest GPU, then lavapipe, then the embedded CPU adapter)");
}

/** Opens the adapter and the engine, hands them to `body`, and closes both whatever happens. */
export async function withEngine<T>(options: DeviceOptions, body: (engine: Engine) => Promise<T>): Promise<T> {
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const debug = parseDebug(process.env["CYTONET_DEBUG"]);
  const handle = await openAdapter({ log, ...(options.adapter === undefined ? {} : { adapter: options.adapter }) });
  let engine: Engine | undefined;
  try {
    engine = await createEngine(handle, { debug, log });
    return await body(engine);
  } finally {
    engine?.dispose();
    handle.close();
  }
}

/** What a run ran on: no host name, user name or path. */
export function describeEnvironment(engine: Engine): JsonObject {
  const { fingerprint } = engine.device;
  return JSON.parse(JSON.stringify({ cytonet: VERSION, node: process.version, platform: `${process.platform} ${process.arch}`, device: fingerprint })) as JsonObject;
}

/** A signal that Ctrl-C or SIGTERM aborts; the second one leaves at once. `code` is the exit code that belongs to it. */
export function listenForStop(onFirst: (name: string) => void): { readonly signal: AbortSignal; code(): number | undefined; dispose(): void } {
  const controller = new AbortController();
  let code: number | undefined;
  const handler = (name: NodeJS.Signals) => {
    const mine = name === "SIGINT" ? 130 : 143;
    if (code !== undefined) process.exit(mine);
    code = mine;
    onFirst(name);
    controller.abort();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return {
    signal: controller.signal,
    code: () => code,
    dispose() {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    },
  };
}

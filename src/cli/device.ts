// Opening the engine for a command, and stopping it: what every command that computes has in common.
import { availableParallelism } from "node:os";
import { parseDebug } from "../engine/debug.ts";
import { createEngine, type Engine } from "../engine/engine.ts";
import type { JsonObject } from "../data/json.ts";
import { EXIT_CODES, UserError } from "../errors.ts";
import type { AdapterHandle } from "../host/adapter.ts";
import { openAdapter } from "../host/node.ts";
import { VERSION } from "../version.ts";
import { loadTuning } from "./tuning.ts";

export interface DeviceFlags {
  readonly adapter?: string;
  /** Kernels choose for themselves, whatever was tuned. */
  readonly untuned?: boolean;
  /** Has indices that go astray moved back: for kernels that are being written. */
  readonly guardIndices?: boolean;
}

/** Opens the adapter and the engine, hands them to `body`, and closes both whatever happens. */
export async function withEngine<T>(flags: DeviceFlags, body: (engine: Engine) => Promise<T>): Promise<T> {
  return withHandle(flags, (_handle, engine) => body(engine));
}

/** As `withEngine`, for work that goes on where its device is lost: `reopen` disposes of what there is and opens the same adapter, and an engine on it, anew. */
export async function withLastingEngine<T>(flags: DeviceFlags, body: (engine: Engine, reopen: () => Promise<Engine>) => Promise<T>): Promise<T> {
  // Adapters whose device was lost stay open until the end: Dawn aborts where it goes while a compilation for such a device is still under way.
  const handles: AdapterHandle[] = [];
  let last: Engine | undefined;
  try {
    return await withHandle(flags, (handle, engine) =>
      body(engine, async () => {
        // The first one is disposed of in the end; after a loss it holds nothing.
        last?.dispose();
        const opened = await open({ ...flags, adapter: handle.name });
        handles.push(opened.handle);
        return (last = opened.engine);
      }),
    );
  } finally {
    last?.dispose();
    for (const handle of handles) handle.close();
  }
}

/**
 * As `withEngine`, for much work that is small: of a CPU adapter, whose driver compiles one kernel after another, there are two
 * devices where there are processors for them.
 */
export async function withEngines<T>(flags: DeviceFlags, body: (first: Engine, all: readonly Engine[]) => Promise<T>): Promise<T> {
  return withHandle(flags, (handle, first) =>
    handle.kind === "cpu" && availableParallelism() > 1 ? withEngine({ ...flags, adapter: handle.name }, (second) => body(first, [first, second])) : body(first, [first]),
  );
}

async function withHandle<T>(flags: DeviceFlags, body: (handle: AdapterHandle, engine: Engine) => Promise<T>): Promise<T> {
  const { handle, engine } = await open(flags);
  try {
    return await body(handle, engine);
  } finally {
    engine.dispose();
    handle.close();
  }
}

async function open(flags: DeviceFlags): Promise<{ handle: AdapterHandle; engine: Engine }> {
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  const debug = parseDebug(process.env["CYTONET_DEBUG"]);
  const handle = await openAdapter({ log, quiet: true, trustIndices: flags.guardIndices !== true && !debug.has("indices"), ...(flags.adapter === undefined ? {} : { adapter: flags.adapter }) });
  try {
    const tuning = flags.untuned ? undefined : await loadTuning(log);
    return { handle, engine: await createEngine(handle, { debug, log, ...(tuning ? { tuning } : {}) }) };
  } catch (error) {
    handle.close();
    throw error;
  }
}

/** What a run ran on: no host name, user name or path. */
export function describeEnvironment(engine: Engine): JsonObject {
  const { fingerprint } = engine.device;
  return JSON.parse(JSON.stringify({ cytonet: VERSION, node: process.version, platform: `${process.platform} ${process.arch}`, device: fingerprint })) as JsonObject;
}

export interface Stop {
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  /** The exit code that belongs to what stopped it. */
  code(): 130 | 143 | undefined;
  /** Throws where it was stopped: for work that can end anywhere. */
  throwIfStopped(): void;
  dispose(): void;
}

/**
 * Listens for Ctrl-C and SIGTERM. The first tells `onFirst` and aborts the signal, the second ends the process as if nobody had
 * listened: leaving through `process.exit` would tear down a GPU driver whose threads still compile, which crashes.
 */
export function listenForStop(onFirst: (name: string) => void): Stop {
  const controller = new AbortController();
  let code: 130 | 143 | undefined;
  const handler = (name: NodeJS.Signals) => {
    const mine = name === "SIGINT" ? EXIT_CODES.interrupted : EXIT_CODES.terminated;
    if (code !== undefined) {
      process.removeAllListeners(name);
      process.kill(process.pid, name);
      return;
    }
    code = mine;
    onFirst(name);
    controller.abort();
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return {
    signal: controller.signal,
    code: () => code,
    throwIfStopped() {
      if (code !== undefined) throw new UserError(code, "stopped");
    },
    dispose() {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    },
  };
}

// An engine's process as the bench sees it: asked one thing at a time, started anew when it dies, never outliving the bench.
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Answers, Reply, Request } from "./engine.ts";

/** An engine could not do what it was asked. */
export class EngineFailure extends Error {
  readonly unsupported: boolean;
  constructor(message: string, unsupported = false) {
    super(message);
    this.unsupported = unsupported;
  }
}

export interface Worker {
  readonly name: string;
  /** Opens the engine where it is not open; what it says of itself. Throws EngineFailure. */
  start(): Promise<{ readonly description: string; readonly adapter: string }>;
  /** Throws EngineFailure: where the engine cannot, where its process dies, and where it takes longer than the limit, which ends its process. */
  ask<R extends Request>(request: R, limitSeconds: number): Promise<Answers[R["op"]]>;
  /** Ends the process; the next question starts another. */
  stop(): void;
  /** Ends it for good. */
  close(): void;
}

const START_SECONDS = 60;
/** Of what a process wrote to stderr, so much is kept to tell why it died. */
const KEPT = 2000;

export function createWorker(name: string, adapter: () => string): Worker {
  let child: ChildProcess | undefined;
  let said = "";
  let opened: { description: string; adapter: string } | undefined;
  let closed = false;

  const stop = (): void => {
    child?.kill("SIGKILL");
    child = undefined;
    opened = undefined;
  };

  /** The next message of the process. */
  const next = (process: ChildProcess, limitSeconds: number, send?: Request): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const end = (finish: () => void) => {
        clearTimeout(timer);
        process.off("message", onMessage);
        process.off("exit", onExit);
        finish();
      };
      const onUnsent = (error: Error | null) => {
        if (error) end(() => reject(new EngineFailure(`its process could not be asked: ${error.message}`)));
      };
      const onMessage = (reply: Reply) => end(() => resolve(reply));
      const onExit = (code: number | null, signal: string | null) => {
        const last = said.trim().split("\n").at(-1) ?? "";
        end(() => reject(new EngineFailure(`its process ended (${signal ?? `exit code ${code}`})${last === "" ? "" : `: ${last.slice(0, 200)}`}`)));
      };
      const timer = setTimeout(() => {
        end(() => reject(new EngineFailure(`no answer within ${limitSeconds} s`)));
        stop();
      }, 1e3 * limitSeconds);
      process.on("message", onMessage);
      process.on("exit", onExit);
      if (send) process.send(send, onUnsent);
    });

  const start = async () => {
    if (closed) throw new EngineFailure("the bench is ending");
    if (child && opened) return opened;
    stop();
    said = "";
    const made = fork(fileURLToPath(new URL("child.js", import.meta.url)), [name, adapter()], { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "ipc"] });
    child = made;
    // It may also end between two questions: the next one then starts another.
    const forget = () => {
      if (child === made) [child, opened] = [undefined, undefined];
    };
    made.on("exit", forget);
    made.on("error", forget);
    made.stderr?.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-KEPT)));
    const reply = await next(made, START_SECONDS);
    if (!("ready" in reply)) throw new EngineFailure("failure" in reply ? reply.failure : "an answer before it was ready");
    return (opened = { description: reply.ready, adapter: reply.adapter });
  };

  return {
    name,
    start,
    async ask<R extends Request>(request: R, limitSeconds: number) {
      await start();
      const reply = await next(child!, limitSeconds, request);
      if ("failure" in reply) throw new EngineFailure(reply.failure, reply.unsupported);
      if (!("answer" in reply)) throw new EngineFailure("ready a second time");
      return reply.answer as Answers[R["op"]];
    },
    stop,
    close() {
      closed = true;
      stop();
    },
  };
}

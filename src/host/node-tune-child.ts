// A measurer in a child process: a candidate that crashes the driver, or never ends, costs that child and nothing else.
import { spawn, type ChildProcess } from "node:child_process";
import { EXIT_CODES, UserError } from "../errors.ts";

/** What goes to the child, and what it answers; the first answer of a child is to `describe`. */
export interface ChildRequest {
  readonly id: number;
  readonly what: "describe" | "measure";
  readonly argument?: unknown;
}

export type ChildAnswer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string; readonly exitCode?: number };

/** How a request ended: with an answer, or with the child. */
export type ChildEnd = { readonly status: "answered"; readonly value: unknown } | { readonly status: "crashed" | "hung"; readonly reason: string };

export interface ChildOptions {
  /** Program and arguments of the child, which speaks by Node's IPC channel. */
  readonly command: readonly [string, ...string[]];
  /** How long one request may take, from the child's start where it has to be started. */
  readonly timeoutMs: number;
}

export interface Child {
  /** Asks the child, starting one where there is none. Errors: those that the child answers with. */
  ask(what: ChildRequest["what"], argument?: unknown): Promise<ChildEnd>;
  dispose(): void;
}

/** Characters of the child's stderr that are kept for the reason of a crash. */
const TAIL = 400;

/** Nothing is started before the first request. */
export function createChild({ command, timeoutMs }: ChildOptions): Child {
  let child: ChildProcess | undefined;
  let tail = "";
  let count = 0;

  const start = (): ChildProcess => {
    const [program, ...args] = command;
    const made = spawn(program, args, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    tail = "";
    made.stderr?.on("data", (part: Buffer) => (tail = (tail + part.toString()).slice(-TAIL)));
    made.once("exit", () => {
      if (child === made) child = undefined;
    });
    return made;
  };

  return {
    ask(what, argument) {
      const own = (child ??= start());
      const id = ++count;
      return new Promise<ChildEnd>((resolve, reject) => {
        const finish = (then: () => void) => {
          clearTimeout(timer);
          own.off("message", onMessage);
          own.off("exit", onExit);
          own.off("error", onError);
          then();
        };
        const onMessage = (answer: ChildAnswer) => {
          if (answer.id !== id) return;
          finish(() => {
            if ("error" in answer) reject(new UserError(codeOf(answer.exitCode), answer.error));
            else resolve({ status: "answered", value: answer.value });
          });
        };
        const onExit = (code: number | null, signal: string | null) => {
          const last = tail.trim().split("\n").at(-1) ?? "";
          finish(() => resolve({ status: "crashed", reason: `its process ended with ${signal ?? `exit code ${code}`}${last === "" ? "" : `: ${last}`}` }));
        };
        const onError = (cause: Error) => finish(() => reject(new UserError(EXIT_CODES.internal, `tuning: no process could be started (${cause.message})`)));
        const timer = setTimeout(() => {
          finish(() => resolve({ status: "hung", reason: `no answer within ${timeoutMs / 1000} s` }));
          if (child === own) child = undefined;
          own.kill("SIGKILL");
        }, timeoutMs);
        own.on("message", onMessage);
        own.once("exit", onExit);
        own.once("error", onError);
        own.send({ id, what, ...(argument === undefined ? {} : { argument }) } satisfies ChildRequest, (error) => {
          // A channel that is closed is told by the exit, which follows.
          if (error && own.exitCode !== null) onExit(own.exitCode, own.signalCode);
        });
      });
    },
    dispose() {
      child?.kill("SIGKILL");
      child = undefined;
    },
  };
}

function codeOf(code: number | undefined): (typeof EXIT_CODES)[keyof typeof EXIT_CODES] {
  return Object.values(EXIT_CODES).find((known) => known === code) ?? EXIT_CODES.internal;
}

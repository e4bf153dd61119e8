// A thread of Node that answers questions: started when it is first asked, its errors those of the one who asks.
import { Worker } from "node:worker_threads";
import type { ExitCode } from "../errors.ts";
import { EXIT_CODES, UserError } from "../errors.ts";

/** What goes to a thread. */
export interface ThreadQuestion {
  readonly id: number;
  readonly question: unknown;
}

/** What comes back. */
export type ThreadAnswer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: PackedError };

interface PackedError {
  readonly message: string;
  readonly exitCode?: ExitCode;
  readonly notes?: readonly string[];
}

export interface Thread {
  /** Errors: those of the thread's own work; UserError 70 where it ended. */
  ask(question: unknown): Promise<unknown>;
  /** Ends the thread; what was asked and not answered is never answered. */
  end(): Promise<void>;
}

/** An error as it goes to another thread. */
export function packError(error: unknown): PackedError {
  if (error instanceof UserError) return { message: error.message, exitCode: error.exitCode, notes: error.notes };
  return { message: error instanceof Error ? error.message : String(error) };
}

function unpackError({ message, exitCode, notes }: PackedError): Error {
  return exitCode === undefined ? new Error(message) : new UserError(exitCode, message, notes);
}

/** `what` names the thread in messages; `data` is what it finds as its `workerData`. */
export function createThread(what: string, script: URL, data: unknown): Thread {
  let worker: Worker | undefined;
  let count = 0;
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const start = (): Worker => {
    const made = new Worker(script, { workerData: data });
    made.on("message", (answer: ThreadAnswer) => {
      const one = waiting.get(answer.id);
      waiting.delete(answer.id);
      if ("error" in answer) one?.reject(unpackError(answer.error));
      else one?.resolve(answer.value);
    });
    const fail = (why: string): void => {
      // One that was replaced has nobody left to answer: those who wait now have asked its successor.
      if (worker !== made) return;
      worker = undefined;
      for (const { reject } of waiting.values()) reject(new UserError(EXIT_CODES.internal, `${what} ended (${why}), expected it to go on`));
      waiting.clear();
    };
    made.on("error", (error) => fail(error instanceof Error ? error.message : String(error)));
    made.on("exit", (code) => fail(`exit code ${code}`));
    return made;
  };
  return {
    ask(question) {
      worker ??= start();
      const id = ++count;
      const answer = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
      worker.postMessage({ id, question } satisfies ThreadQuestion);
      return answer;
    },
    async end() {
      waiting.clear();
      const last = worker;
      worker = undefined;
      await last?.terminate();
    },
  };
}

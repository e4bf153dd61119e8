#!/usr/bin/env node
// The program `cytonet`: runs its command line, then leaves at once, because a loaded GPU driver would keep the process alive.
import { EXIT_CODES } from "../errors.ts";
import { isReaderGone, watchStdout } from "../host/node-stdout.ts";
import { reportError, runCommandLine } from "./program.ts";

const printFailure = watchStdout();
process.stderr.on("error", (error: Error) => {
  if (isReaderGone(error)) process.exit(EXIT_CODES.ok);
});

// Without a listener the signal of a file size limit (`ulimit -f`) ends the process before the write can fail.
process.on("SIGXFSZ", () => undefined);

// What nobody waits for must not end in a raw stack trace either.
const debug = process.argv.includes("--debug");
for (const event of ["uncaughtException", "unhandledRejection"] as const) process.on(event, (error: unknown) => process.exit(reportError(error, debug)));

let code = await runCommandLine(process.argv.slice(2));
// Pipes are written asynchronously: leaving before they are drained would cut the output.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write("", () => done()))));
const failure = printFailure();
// A command that ended well has not, if what it printed is lost; one that failed has said so already.
if (failure !== undefined && code === EXIT_CODES.ok) code = reportError(failure, debug);
process.exit(code);

#!/usr/bin/env node
// The program `cytonet`: runs its command line, then leaves at once, because a loaded GPU driver would keep the process alive.
import { reportError, runCommandLine } from "./program.ts";

// A reader that goes away (`cytonet … | head`) is no fault of ours.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
  });

// Without a listener the signal of a file size limit (`ulimit -f`) ends the process before the write can fail.
process.on("SIGXFSZ", () => undefined);

// What nobody waits for must not end in a raw stack trace either.
for (const event of ["uncaughtException", "unhandledRejection"] as const)
  process.on(event, (error: unknown) => process.exit(reportError(error, process.argv.includes("--debug"))));

const code = await runCommandLine(process.argv.slice(2));
// Pipes are written asynchronously: leaving before they are drained would cut the output.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write("", () => done()))));
process.exit(code);

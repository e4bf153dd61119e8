// Keeps watch over stdout: what is printed arrives whole, or the process knows that it did not.
import { fstatSync, writeSync } from "node:fs";
import { EXIT_CODES, type UserError } from "../errors.ts";
import { explainFileError } from "./node-errors.ts";

const STDOUT = 1;

/** The error that a failure to print is told as: 74, or 73 where stdout cannot be written to at all. */
export function explainPrintError(error: unknown): UserError {
  return explainFileError("write", "stdout", error);
}

/** Whether the reader has gone away (`cytonet … | head`), which is no fault. */
export function isReaderGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}

/**
 * Makes every writer to stdout safe, whoever it is, and remembers the first failure. Node writes to a file in one call and takes
 * a part for the whole: on a disk that fills up the rest would be lost without an error.
 *
 * @returns gives the first failure so far, undefined where all has been printed
 */
export function watchStdout(): () => UserError | undefined {
  let failure: UserError | undefined;
  const { stdout } = process;
  stdout.on("error", (error: Error) => {
    // Nobody is left to read: the work is pointless.
    if (isReaderGone(error)) process.exit(EXIT_CODES.ok);
    failure ??= explainPrintError(error);
  });
  if (!isPlainFile()) return () => failure;
  stdout._write = (chunk: Uint8Array | string, encoding, done) => {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done();
  };
  return () => failure;
}

function isPlainFile(): boolean {
  try {
    return fstatSync(STDOUT).isFile();
  } catch {
    return false;
  }
}

// A program for tests: says things on stderr as native code does, with and without the filter.
import { writeSync } from "node:fs";
import { withoutHarmlessWarnings } from "../../../src/host/node-stderr.ts";

const HARMLESS = "Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.\n";

/** As native code does: what nobody reads is lost, and nothing happens. */
function say(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // The reader of the pipe has gone.
  }
}

process.stderr.on("error", () => undefined);
say("before\n");
const result = withoutHarmlessWarnings(() => {
  say(`${HARMLESS}Warning: something else\n${HARMLESS}`);
  return 7;
});
say("after\n");
try {
  withoutHarmlessWarnings(() => {
    say(`${HARMLESS}last words\n`);
    throw new Error("deliberate failure");
  });
} catch (error) {
  say(`${error instanceof Error ? error.message : ""}\n`);
}
process.stderr.write("end\n");
writeSync(1, `${result}\n`);

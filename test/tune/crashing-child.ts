// A child that does what it is asked: works, crashes, hangs, or leaves with a message.
import type { ChildRequest } from "../../src/host/node-tune-child.ts";

process.on("message", ({ id, argument }: ChildRequest) => {
  if (argument === "crash") process.abort();
  if (argument === "leave") process.stderr.write("the device is gone\n", () => process.exit(70));
  if (argument === "work") process.send?.({ id, value: argument });
});
process.once("disconnect", () => process.exit(0));

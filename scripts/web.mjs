// Serves the built page on loopback and says where; Ctrl-C ends it. Usage: web.mjs [PORT], by default 8017.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const { serve } = await import(join(dist, "host/node-serve.js"));

const port = Number(process.argv[2] ?? 8017);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`web: port ${process.argv[2]}, expected a number from 0 to 65535`);
  process.exit(2);
}
try {
  const { address } = await serve({ folder: join(dist, "web"), port });
  console.log(`the page is at ${address} (Ctrl-C ends it)`);
} catch (error) {
  console.error(`error: ${error.message}${error.exitCode === 69 ? `, as in npm run web -- ${port === 65535 ? 8018 : port + 1}` : ""}`);
  process.exit(error.exitCode ?? 70);
}

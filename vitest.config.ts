// How the tests run: in processes of their own (Dawn keeps per-process state), few at a time (CPU adapters use every core).
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/oracles/node_modules/**"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    reporters: process.env["CI"] === undefined ? ["default"] : [["default", { summary: false }]],
  },
});

// The loopback server gives what it was told to, and nothing else to anyone.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serve, type RunningServer } from "../../src/host/node-serve.ts";

let top = "";
let server: RunningServer;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-serve-"));
  await mkdir(join(top, "site/inner"), { recursive: true });
  await writeFile(join(top, "site/index.html"), "<p>top");
  await writeFile(join(top, "site/inner/a.js"), "1");
  await writeFile(join(top, "site/.env"), "secret");
  await writeFile(join(top, "secret.js"), "secret");
  await symlink(join(top, "secret.js"), join(top, "site/link.js"));
  server = await serve({ folder: join(top, "site"), contents: new Map([["/made.js", "2"]]) });
});
afterAll(async () => {
  await server.close();
  await rm(top, { recursive: true, force: true });
});

/** One request as it stands: no client tidies the path up. */
function ask(path: string, options: { method?: string; host?: string } = {}): Promise<{ status: number; body: string; headers: Record<string, unknown> }> {
  const { hostname, port, host } = new URL(server.address);
  return new Promise((done, fail) => {
    const sent = request({ hostname, port, path, method: options.method ?? "GET", headers: { host: options.host ?? host } }, (response) => {
      let body = "";
      response.on("data", (data: Buffer) => (body += data.toString()));
      response.on("end", () => done({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    sent.on("error", fail).end();
  });
}

test("files and contents come with their types, and no type is guessed", async () => {
  expect(await ask("/")).toMatchObject({ status: 200, body: "<p>top", headers: { "content-type": "text/html; charset=utf-8", "x-content-type-options": "nosniff" } });
  expect(await ask("/inner/a.js?query")).toMatchObject({ status: 200, body: "1" });
  expect(await ask("/made.js")).toMatchObject({ status: 200, body: "2" });
  expect(await ask("/inner/a.js", { method: "HEAD" })).toMatchObject({ status: 200, body: "", headers: { "content-length": "1" } });
});

test.each(["/../secret.js", "/%2e%2e/secret.js", "/..%2fsecret.js", "/%252e%252e/secret.js", "/inner/../../secret.js", "/link.js", "/.env", "/inner", "/none.js", "/%00.js", "/%", "/..\\secret.js"])(
  "%s leads nowhere",
  async (path) => {
    const { status, body } = await ask(path);
    expect(status).toBe(404);
    expect(body).not.toContain("secret");
  },
);

test("other methods and other names for this machine are refused", async () => {
  expect(await ask("/", { method: "POST" })).toMatchObject({ status: 405 });
  expect(await ask("/", { host: "evil.example" })).toMatchObject({ status: 403 });
  expect(await ask("/", { host: "127.0.0.1:1" })).toMatchObject({ status: 403 });
});

test("a port that is taken is 69", async () => {
  await expect(serve({ port: Number(new URL(server.address).port) })).rejects.toMatchObject({ exitCode: 69 });
});

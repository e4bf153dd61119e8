// Opening an adapter as a new user's machine would: nothing installed, a home that cannot be written, several at once, damage.
import { spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adapterKind, adapterRank, matchesAdapter } from "../../src/host/adapter.ts";
import { openNullAdapter } from "../../src/host/node.ts";
import { bundleForNode } from "../support/bundle.ts";

interface Outcome {
  readonly exitCode: number;
  readonly name?: string;
  readonly kind?: string;
  readonly toggles?: string[];
  readonly answer?: number;
  readonly lines?: string[];
  readonly message?: string;
  readonly notes?: string[];
}

let top = "";
let program = "";
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "cytonet-adapter-"));
  program = await bundleForNode("test/host/programs/adapter.ts");
});
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
  await rm(program, { force: true });
});

/** The environment without anybody's choice of adapter, cache or drivers. */
function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: home };
  for (const name of ["CYTONET_ADAPTER", "CYTONET_CACHE", "XDG_CACHE_HOME", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"]) delete env[name];
  return env;
}

async function open(home: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...args], { env: { ...cleanEnvironment(home), ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => child.once("close", (...end) => done(end)));
  if (code !== 0) throw new Error(`ended with ${code ?? signal}: ${out}${err}`);
  return JSON.parse(out) as Outcome;
}

const newHome = (): Promise<string> => mkdtemp(join(top, "home-"));
const caches = async (home: string): Promise<string[]> => readdir(join(home, ".cache/cytonet"));

const onLinux = process.platform === "linux" && process.arch === "x64";

/** Shell text after which the system has no Vulkan loader and no driver, in a mount namespace of its own. */
const HIDE_VULKAN = [
  "set -e",
  'for folder in $(ldconfig -p | sed -n "s#.*=> \\(.*\\)/libvulkan\\.so.*#\\1#p" | xargs -r -n1 readlink -f | sort -u); do',
  '  mkdir -p "$SCRATCH" && mount -t tmpfs none "$SCRATCH" && mkdir "$SCRATCH/upper" "$SCRATCH/work"',
  '  mount -t overlay overlay -o "lowerdir=$folder,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$folder"',
  '  rm -f "$folder"/libvulkan.so*',
  "done",
  "if [ -d /usr/share/vulkan ]; then mount -t tmpfs none /usr/share/vulkan; fi",
].join("\n");

function runWithoutVulkan(script: string, home: string): { stdout: string; stderr: string; status: number | null } {
  const env = { ...cleanEnvironment(home), SCRATCH: join(home, "scratch") };
  return spawnSync("unshare", ["-rm", "bash", "-c", `${HIDE_VULKAN}\n${script}`], { env, encoding: "utf8" });
}

describe.skipIf(!onLinux)("the embedded adapter", () => {
  test("is unpacked into the home's cache once, computes, and lets the process end by itself", async () => {
    const home = await newHome();
    const first = await open(home, ["swiftshader"]);
    expect(first).toMatchObject({ name: expect.stringContaining("SwiftShader") as string, kind: "cpu", answer: 42, lines: [] });
    expect(first.toggles).toContain("-timestamp_quantization");
    const unpacked = await caches(home);
    expect(unpacked).toHaveLength(1);
    expect(await open(home, ["swiftshader"])).toEqual(first);
    expect(await caches(home)).toEqual(unpacked);
  });

  test("can be started by several at once on a fresh home", async () => {
    const home = await newHome();
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => open(home, ["swiftshader"])));
    expect(outcomes.map(({ answer }) => answer)).toEqual([42, 42, 42, 42]);
    expect(await caches(home)).toHaveLength(1);
  });

  test("is unpacked anew beside a damaged copy, by several at once", async () => {
    const home = await newHome();
    await open(home, ["swiftshader"]);
    const [folder = ""] = await caches(home);
    const library = join(home, ".cache/cytonet", folder, "libvk_swiftshader.so");
    const bytes = await readFile(library);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(library, bytes);
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => open(home, ["swiftshader"])));
    expect(outcomes.map(({ answer }) => answer)).toEqual([42, 42, 42]);
    expect(await caches(home)).toEqual([folder, `${folder}.1`]);
  });

  test("goes to the temporary folder where the home cannot be written", async () => {
    const tmp = await mkdtemp(join(top, "tmp-"));
    expect(await open("/proc", ["swiftshader"], { TMPDIR: tmp })).toMatchObject({ answer: 42 });
    expect(await readdir(tmp)).toEqual([`cytonet-${process.getuid?.() ?? "user"}`]);
  });

  test("is not loaded from a temporary folder that others may write to", async () => {
    const tmp = await mkdtemp(join(top, "tmp-"));
    await mkdir(join(tmp, `cytonet-${process.getuid?.() ?? "user"}`), { mode: 0o777 });
    spawnSync("chmod", ["777", join(tmp, `cytonet-${process.getuid?.() ?? "user"}`)]);
    const outcome = await open("/proc", ["swiftshader"], { TMPDIR: tmp });
    expect(outcome).toMatchObject({ exitCode: 73, message: expect.stringContaining("CYTONET_CACHE") as string });
    expect(outcome.notes?.join("\n")).toContain("others may write");
  });

  const hidden = spawnSync("unshare", ["-rm", "true"]).status === 0;
  test.skipIf(!hidden)("is the default where the system has no Vulkan at all, said in one line", async () => {
    const home = await newHome();
    const { stdout, stderr, status } = runWithoutVulkan(`"${process.execPath}" "${program}"`, home);
    expect(status, stderr).toBe(0);
    expect(stderr).toBe("");
    const outcome = JSON.parse(stdout) as Outcome;
    expect(outcome).toMatchObject({ name: expect.stringContaining("SwiftShader") as string, kind: "cpu", answer: 42 });
    expect(outcome.lines).toHaveLength(1);
    expect(outcome.lines?.[0]).toMatch(/NO GPU.*CPU adapter/);
  });
});

describe("the choice", () => {
  test("an adapter that does not exist is 69, with what there is and the nearest name", async () => {
    const home = await newHome();
    const outcome = await open(home, ["swiftshadr"]);
    expect(outcome).toMatchObject({ exitCode: 69, message: expect.stringContaining('"swiftshadr"') as string });
    if (onLinux) {
      expect(outcome.message).toMatch(/did you mean "SwiftShader"/i);
      expect(outcome.notes?.join("\n")).toContain("SwiftShader Device");
    }
  });

  test("the environment variable chooses as the option does", async () => {
    expect(await open(await newHome(), [], { CYTONET_ADAPTER: "no such thing" })).toMatchObject({ exitCode: 69, message: expect.stringContaining("no such thing") as string });
  });

  test("the null backend is no adapter", async () => {
    expect(await open(await newHome(), ["null"])).toMatchObject({ exitCode: 69 });
  });

  test("cards come first, then integrated GPUs, then lavapipe, then SwiftShader", () => {
    const names = ["SwiftShader Device (Subzero)", "llvmpipe (LLVM 15.0.6, 256 bits)", "AMD Radeon 780M Graphics (RADV PHOENIX)", "NVIDIA H100 80GB HBM3"];
    expect(names.toSorted((a, b) => adapterRank(a) - adapterRank(b))).toEqual(names.toReversed());
    expect(names.map(adapterKind)).toEqual(["cpu", "cpu", "gpu", "gpu"]);
    expect(matchesAdapter("lavapipe", names[1] ?? "")).toBe(true);
    expect(matchesAdapter("H100", names[3] ?? "")).toBe(true);
    const cards = ["AMD Radeon RX 7900 XTX (RADV NAVI31)", "Intel(R) Arc(tm) A770 Graphics (DG2)", "Apple M2", "NVIDIA GeForce RTX 4090"];
    expect(cards.map(adapterRank)).toEqual([0, 0, 0, 0]);
    const shared = ["Intel(R) UHD Graphics 630 (CFL GT2)", "Intel(R) Iris(R) Plus Graphics (ICL GT2)", "AMD Radeon Graphics (RADV RENOIR)"];
    expect(shared.map(adapterRank)).toEqual([1, 1, 1]);
    expect(matchesAdapter("", names[2] ?? "")).toBe(false);
  });
});

describe.skipIf(!onLinux)("the end of the process", () => {
  test("an error thrown with a device open ends it with code 1", () => {
    const { status, signal, stderr } = spawnSync(process.execPath, [program, "swiftshader", "throw"], { env: cleanEnvironment(top), encoding: "utf8", timeout: 60_000 });
    expect({ status, signal }).toEqual({ status: 1, signal: null });
    expect(stderr).toContain("deliberate failure");
  });

  test("Ctrl-C with a device open ends it by that signal", async () => {
    const child = spawn(process.execPath, [program, "swiftshader", "wait"], { env: cleanEnvironment(top), stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((done) => child.stdout.once("data", done));
    child.kill("SIGINT");
    expect(await new Promise((done) => child.once("exit", (_, signal) => done(signal)))).toBe("SIGINT");
  });
});

test("the null backend compiles WGSL, tells what is wrong with it, and cannot be taken for an adapter", async () => {
  const handle = await openNullAdapter();
  const device = await handle.adapter.requestDevice();
  const check = async (code: string): Promise<string[]> => {
    device.pushErrorScope("validation");
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    return info.messages.filter(({ type }) => type === "error").map(({ message, lineNum }) => `${lineNum}: ${message}`);
  };
  expect(await check("@compute @workgroup_size(1) fn main() {}")).toEqual([]);
  expect((await check("\nfn f() -> u32 { return 1.5f; }")).join()).toMatch(/^2: /);
  expect(handle).not.toHaveProperty("name");
  device.destroy();
  handle.close();
  expect(() => handle.gpu).toThrow("after close");
});

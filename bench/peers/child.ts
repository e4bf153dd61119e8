// One engine in a process of its own, or the judge who knows the truth: answers one request after the other.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openAdapter, type AdapterHandle } from "../../src/index.ts";
import { type Answers, type Engine, type EngineName, type Prepared, type Reply, type Request, Unsupported } from "./engine.ts";
import { openCytonet } from "./engines/cytonet.ts";
import { openJax } from "./engines/jax.ts";
import { openOrt } from "./engines/ort.ts";
import { openTfjs } from "./engines/tfjs.ts";
import type { Jax, Ort, Tf } from "./peer-types.ts";
import { truthOf } from "./truth-of.ts";

const [name = "", wanted = ""] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));

const send = (reply: Reply): Promise<void> => new Promise((done) => void process.send?.(reply, undefined, {}, () => done()));

/** Gives the peer what it expects of a browser: WebGPU on this adapter, by the same Dawn with the same switches as ours. */
async function pretendBrowser({ gpu }: AdapterHandle): Promise<void> {
  const { globals } = (await import("webgpu")) as unknown as { readonly globals: object };
  Object.assign(globalThis, globals);
  const navigator = {
    userAgent: "Node",
    hardwareConcurrency: 1,
    gpu: { requestAdapter: (options?: GPURequestAdapterOptions) => gpu.requestAdapter(options), getPreferredCanvasFormat: () => "bgra8unorm", wgslLanguageFeatures: gpu.wgslLanguageFeatures },
  };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}

/** ONNX Runtime brings a Dawn of its own, which takes the first adapter of the Vulkan loader: the loader is shown this one's driver only. */
function showOnly(adapter: string): void {
  const listed = ["VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES"].flatMap((variable) => (process.env[variable] ?? "").split(":"));
  const folders = ["/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"];
  const installed = folders.flatMap((folder) => {
    try {
      return readdirSync(folder).map((file) => join(folder, file));
    } catch {
      return [];
    }
  });
  const pattern = /swiftshader/i.test(adapter) ? /swiftshader/i : /llvmpipe/i.test(adapter) ? /lvp_icd/i : undefined;
  if (!pattern) {
    process.env["VK_LOADER_DRIVERS_DISABLE"] = "*lvp*,*swiftshader*";
    return;
  }
  const drivers = [...new Set([...listed, ...installed])].filter((file) => pattern.test(file));
  if (drivers.length === 0) throw new Error(`the driver file of ${adapter} is not found, so ONNX Runtime cannot be led to it`);
  delete process.env["VK_ADD_DRIVER_FILES"];
  process.env["VK_DRIVER_FILES"] = process.env["VK_ICD_FILENAMES"] = drivers.join(":");
}

async function open(): Promise<{ engine: Engine; adapter: string }> {
  if (name === "ort-cpu") return { engine: await openOrt(async () => require("onnxruntime-node") as Ort, "cpu"), adapter: "" };
  // As the program opens its devices: kernels are trusted with their indices. The peers on Dawn get it too; ONNX Runtime switches it so by itself.
  const handle = await openAdapter({ trustIndices: true, ...(wanted === "" ? {} : { adapter: wanted }), log: () => {}, quiet: true });
  const adapter = handle.name;
  switch (name as EngineName) {
    case "cytonet":
      return { engine: await openCytonet(handle), adapter };
    case "ort-webgpu":
      showOnly(adapter);
      handle.close();
      return { engine: await openOrt(async () => require("onnxruntime-node") as Ort, "webgpu"), adapter };
    case "tfjs": {
      await pretendBrowser(handle);
      const load = async () => (await import(pathToFileURL(join(here, "tfjs.js")).href)) as Tf;
      return { engine: await openTfjs(load), adapter };
    }
    case "jax-js": {
      await pretendBrowser(handle);
      // It asks of which class data are; Node 20 lacks this one, and nothing here is of it.
      if (!("Float16Array" in globalThis)) Object.assign(globalThis, { Float16Array: class {} });
      const entry = require.resolve("@jax-js/jax");
      const { version } = JSON.parse(readFileSync(join(dirname(entry), "../package.json"), "utf8")) as { readonly version: string };
      return { engine: await openJax(async () => (await import(pathToFileURL(join(dirname(entry), "index.js")).href)) as Jax, version), adapter };
    }
    default:
      throw new Error(`no engine ${name}`);
  }
}

/** What a process does with requests; one case at a time. */
function createAnswerer(engine: Engine | undefined): (request: Request) => Promise<Answers[keyof Answers]> {
  let prepared: Prepared | undefined;
  const current = (): Prepared => {
    if (!prepared) throw new Error("nothing is prepared");
    return prepared;
  };
  return async (request) => {
    switch (request.op) {
      case "truth":
        return truthOf(request.problem, request.slice);
      case "forms":
        return engine!.forms(request.problem);
      case "prepare":
        prepared = await engine!.prepare(request.problem, request.form);
        return undefined;
      case "outputs":
        return current().outputs();
      case "run": {
        const milliseconds: number[] = [];
        let read: readonly number[] = [];
        const end = performance.now() + request.milliseconds;
        do {
          const began = performance.now();
          read = await current().run();
          milliseconds.push(performance.now() - began);
        } while (performance.now() < end);
        return { milliseconds, read };
      }
      case "release":
        await prepared?.dispose();
        prepared = undefined;
        return undefined;
    }
  };
}

const reasonOf = (error: unknown): string => (error instanceof Error ? (error.message.split("\n")[0] ?? error.name) : String(error));

try {
  const { engine, adapter } = name === "judge" ? { engine: undefined, adapter: "" } : await open();
  const answer = createAnswerer(engine);
  process.on("message", (request: Request) => {
    answer(request).then(
      (result) => send({ answer: result }),
      (error: unknown) => send({ failure: reasonOf(error), unsupported: error instanceof Unsupported }),
    );
  });
  // Whoever started this process may end before it.
  process.on("disconnect", () => process.exit(0));
  await send({ ready: engine?.description ?? "", adapter });
} catch (error) {
  await send({ failure: reasonOf(error), unsupported: false });
  process.exit(1);
}

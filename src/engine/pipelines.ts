// Pipelines: one per blueprint, compiled asynchronously and kept; a compiler's complaint points at the template's own line.
import { type Blueprint, blueprintKey } from "../kernel/blueprint.ts";
import { activeArgs, type Kernel } from "../kernel/define.ts";
import { renderBlueprint, uniformBytes } from "../kernel/layout.ts";
import { SHADER_STAGE } from "./constants.ts";
import type { Device } from "./device.ts";
import { ShaderError } from "./errors.ts";

export interface Pipeline {
  readonly key: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface Pipelines {
  /** The pipeline of a blueprint; asked for twice, compiled once. Throws ShaderError with `template.wgsl:line` where it does not compile. */
  get(kernel: Kernel, blueprint: Blueprint): Promise<Pipeline>;
  readonly count: number;
}

export function createPipelines(device: Device, dump?: (key: string, code: string) => void): Pipelines {
  const cache = new Map<string, Promise<Pipeline>>();
  return {
    get(kernel, blueprint) {
      const key = blueprintKey(blueprint);
      const known = cache.get(key);
      if (known) return known;
      const made = compile(device, kernel, blueprint, key, dump);
      cache.set(key, made);
      made.catch(() => cache.delete(key)); // asked for again, it is tried again
      return made;
    },
    get count() {
      return cache.size;
    },
  };
}

async function compile(device: Device, kernel: Kernel, blueprint: Blueprint, key: string, dump?: (key: string, code: string) => void): Promise<Pipeline> {
  const { gpu } = device;
  const rendered = renderBlueprint(kernel, blueprint);
  dump?.(key, rendered.code);
  const layout = gpu.createBindGroupLayout({
    label: key,
    entries: [
      { binding: 0, visibility: SHADER_STAGE.compute, buffer: { type: "uniform", minBindingSize: uniformBytes(kernel) } },
      ...activeArgs(kernel, new Set(blueprint.flags)).map(({ binding, arg }) => ({
        binding,
        visibility: SHADER_STAGE.compute,
        buffer: { type: arg.access === "read" ? ("read-only-storage" as const) : ("storage" as const) },
      })),
    ],
  });
  // The module's own diagnostics are read below, with the template's lines; its scope only keeps them from being reported twice.
  gpu.pushErrorScope("validation");
  const module = gpu.createShaderModule({ label: key, code: rendered.code });
  const scope = gpu.popErrorScope();
  // Begun before the diagnostics are there, which mostly say nothing: a cold start waits once instead of twice.
  const created = gpu.createComputePipelineAsync({ label: key, layout: gpu.createPipelineLayout({ label: key, bindGroupLayouts: [layout] }), compute: { module, entryPoint: "main" } }).then(
    (pipeline) => ({ pipeline }),
    (cause: unknown) => ({ cause }),
  );
  const [info, error, outcome] = await device.wait(Promise.all([module.getCompilationInfo(), scope, created]));
  const complaints = info.messages
    .filter(({ type }) => type === "error")
    .map(({ lineNum, linePos, message }) => {
      const { file, line } = rendered.origin(lineNum);
      return `${file}:${line}:${linePos}: ${message.split("\n")[0]}`;
    });
  if (complaints.length || error) throw new ShaderError(`${key}: ${complaints[0] ?? error?.message ?? ""}`, complaints.slice(1));
  device.assertAlive(key);
  if ("cause" in outcome) throw new ShaderError(`${key}: ${String(outcome.cause instanceof Error ? outcome.cause.message : outcome.cause).split("\n")[0]}`);
  const { pipeline } = outcome;
  return { key, pipeline, layout };
}

// The same work as cytonet's with nothing between it and Dawn: what replays and cold starts are measured against.
import { readFileSync } from "node:fs";
import { create, globals } from "webgpu";

const { GPUBufferUsage, GPUMapMode, GPUShaderStage } = globals;

/** A device of the adapter of this name. */
export async function openBare(name) {
  const gpu = create(["backend=vulkan", `adapter=${name}`, "disable-dawn-features=timestamp_quantization"]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  return { gpu, device: await adapter.requestDevice() };
}

/**
 * `code` dispatched `count` times over bind groups made once, between an upload of `x` and a read of as many bytes. Its bindings: 0 the
 * uniforms, then what `buffers` says in bytes, the last of them the output.
 */
export async function prepareBare(device, { code, uniforms, buffers, size, count }) {
  const entry = (binding, type) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } });
  const layout = device.createBindGroupLayout({ entries: [entry(0, "uniform"), ...buffers.map((_, i) => entry(i + 1, i + 1 < buffers.length ? "read-only-storage" : "storage"))] });
  const pipeline = await device.createComputePipelineAsync({ layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module: device.createShaderModule({ code }), entryPoint: "main" } });
  const uniform = device.createBuffer({ size: 256, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(uniform, 0, uniforms);
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const made = buffers.map((bytes) => device.createBuffer({ size: bytes, usage: storage }));
  const outputBytes = buffers.at(-1);
  const staging = device.createBuffer({ size: outputBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const groups = Array.from({ length: count }, (_, g) => {
    // A chain: every other dispatch reads what the one before wrote.
    const order = made.length === 2 && g % 2 ? [made[1], made[0]] : made;
    return device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: uniform } }, ...order.map((buffer, i) => ({ binding: i + 1, resource: { buffer } }))] });
  });
  return {
    async run(x, onReturn = () => {}) {
      device.queue.writeBuffer(made[0], 0, x);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const group of groups) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...size);
      }
      pass.end();
      encoder.copyBufferToBuffer(made.at(-1), 0, staging, 0, outputBytes);
      device.queue.submit([encoder.finish()]);
      const mapped = staging.mapAsync(GPUMapMode.READ);
      onReturn();
      await mapped;
      const result = new Float32Array(staging.getMappedRange().slice(0));
      staging.unmap();
      return result;
    },
  };
}

// As a program: one result from a cold start. Arguments: adapter, and a file with the problem.
if (process.argv[2] !== undefined && import.meta.url.endsWith(process.argv[1]?.split("/").at(-1) ?? "")) {
  const problem = JSON.parse(readFileSync(process.argv[3], "utf8"));
  const { gpu, device } = await openBare(process.argv[2]);
  const { run } = await prepareBare(device, { ...problem, uniforms: Uint32Array.from(problem.uniforms) });
  const y = await run(new Float32Array(problem.buffers[0] / 4).fill(0.5));
  process.stdout.write(`${y[0]}\n`, () => process.exit(gpu ? 0 : 1));
}

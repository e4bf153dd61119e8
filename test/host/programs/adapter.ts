// A program for tests: opens an adapter and runs one dispatch; the outcome as JSON on stdout. Usage: adapter.ts [NAME] [AFTERWARDS]
import { BUFFER_USAGE, MAP_MODE } from "../../../src/engine/constants.ts";
import { UserError } from "../../../src/errors.ts";
import { openAdapter } from "../../../src/host/node.ts";

const [name = "", afterwards = "close"] = process.argv.slice(2);

const SHADER = `
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(1) fn main() { x[0] = 6u * 7u; }`;

async function computeAnswer(adapter: GPUAdapter): Promise<{ device: GPUDevice; answer: number | undefined }> {
  const device = await adapter.requestDevice();
  const buffer = device.createBuffer({ size: 4, usage: BUFFER_USAGE.storage | BUFFER_USAGE.copySrc });
  const staging = device.createBuffer({ size: 4, usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module: device.createShaderModule({ code: SHADER }) } });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_MODE.read);
  return { device, answer: new Uint32Array(staging.getMappedRange().slice(0))[0] };
}

const lines: string[] = [];
try {
  const handle = await openAdapter({ log: (line) => lines.push(line), ...(name === "" ? {} : { adapter: name }) });
  const { device, answer } = await computeAnswer(handle.adapter);
  console.log(JSON.stringify({ exitCode: 0, name: handle.name, kind: handle.kind, toggles: handle.toggles, answer, lines }));
  if (afterwards === "throw") throw new Error("deliberate failure");
  if (afterwards === "wait") setInterval(() => undefined, 1000);
  else {
    device.destroy();
    handle.close();
  }
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.log(JSON.stringify({ exitCode: error.exitCode, message: error.message, notes: error.notes }));
}

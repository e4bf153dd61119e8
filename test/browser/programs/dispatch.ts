// A page for tests: opens the adapter through the project's own host, and runs one dispatch.
import { openAdapter } from "../../../src/host/browser.ts";
import { BUFFER_USAGE, MAP_MODE } from "../../../src/engine/constants.ts";
import source from "./square.wgsl?raw";

/** What the adapter is called and what kind it is. */
export async function describeAdapter(): Promise<{ name: string; kind: string }> {
  const { name, kind, close } = await openAdapter({ log: () => undefined });
  close();
  return { name, kind };
}

/** Squares numbers on the GPU. */
export async function squareAll(values: readonly number[]): Promise<number[]> {
  const handle = await openAdapter({ log: () => undefined });
  const device = await handle.adapter.requestDevice();
  const data = Float32Array.from(values);
  const buffer = device.createBuffer({ size: data.byteLength, usage: BUFFER_USAGE.storage | BUFFER_USAGE.copySrc | BUFFER_USAGE.copyDst });
  const staging = device.createBuffer({ size: data.byteLength, usage: BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst });
  device.queue.writeBuffer(buffer, 0, data);
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module: device.createShaderModule({ code: source }) } });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] }));
  pass.dispatchWorkgroups(Math.ceil(values.length / 64));
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, data.byteLength);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_MODE.read);
  const result = [...new Float32Array(staging.getMappedRange())];
  device.destroy();
  handle.close();
  return result;
}

/** Fails with a message of its own. */
export function fail(): never {
  throw new Error("deliberate failure");
}

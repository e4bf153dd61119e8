// Reading back: ranges of buffers copied into staging buffers, which are kept and used again.
import { BUFFER_USAGE, MAP_MODE } from "./constants.ts";
import type { Device } from "./device.ts";

export interface Readback {
  /** Enqueues the copies now, and resolves with the bytes of each range once they are done. To be called under `device.guard`, which explains a failure. */
  read(ranges: readonly { readonly buffer: GPUBuffer; readonly offset: number; readonly size: number }[]): Promise<ArrayBuffer[]>;
  dispose(): void;
}

export function createReadback(device: Device, label: string): Readback {
  const free: { buffer: GPUBuffer; size: number }[] = [];
  let disposed = false;
  return {
    async read(ranges) {
      const size = ranges.reduce((sum, range) => sum + range.size, 0);
      if (size === 0) {
        await device.gpu.queue.onSubmittedWorkDone();
        return [];
      }
      const at = free.findIndex((entry) => entry.size >= size);
      // One that is too small makes way for a larger one: there are never more than are read into at once.
      if (at < 0) for (const small of free.splice(0, 1)) device.destroyBuffer(small.buffer);
      const staging = at >= 0 ? free.splice(at, 1)[0]! : { buffer: device.createBuffer("readback", `${label}: readback`, size, BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst), size };
      const encoder = device.gpu.createCommandEncoder({ label: `${label}: readback` });
      let offset = 0;
      for (const range of ranges) {
        encoder.copyBufferToBuffer(range.buffer, range.offset, staging.buffer, offset, range.size);
        offset += range.size;
      }
      device.gpu.queue.submit([encoder.finish()]);
      let mapped = false;
      try {
        await staging.buffer.mapAsync(MAP_MODE.read, 0, size);
        mapped = true;
      } finally {
        if (!mapped) device.destroyBuffer(staging.buffer);
      }
      const bytes = staging.buffer.getMappedRange(0, size);
      let start = 0;
      const parts = ranges.map((range) => bytes.slice(start, (start += range.size)));
      staging.buffer.unmap();
      if (disposed) device.destroyBuffer(staging.buffer);
      else free.push(staging);
      return parts;
    },
    dispose() {
      disposed = true;
      for (const { buffer } of free) device.destroyBuffer(buffer);
      free.length = 0;
    },
  };
}

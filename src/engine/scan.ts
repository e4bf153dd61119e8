// Running a plan one step at a time: each step's failure has its name, and the floats that it wrote can be looked at.
import { type Dtype, bytesOf, hostArrayOf } from "../kernel/dtype.ts";
import type { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import { describeNode } from "./passes.ts";
import { createReadback } from "./readback.ts";
import { groupSubmits, replay, type BufferRange, type Step } from "./replay.ts";
import { accessesOf, type Storage } from "./trace.ts";

/** With `look`, looks at floats by their bits: compilers may assume that NaN does not exist. Throws a DeviceError with the step's path and the element. */
export async function runScanning(device: Device, label: string, steps: readonly Step[], rangeOf: (storage: Storage) => BufferRange, look: boolean): Promise<void> {
  const readback = createReadback(device, label);
  try {
    for (const step of steps) {
      const { writes } = accessesOf(step.node);
      const floats = look ? writes.filter((s) => s.dtype === "f32" || s.dtype === "f16") : [];
      const parts = await device.guard(`plan ${label}, dispatching ${step.node.path}`, () => {
        replay(device, label, groupSubmits([step]));
        return readback.read(floats.map(rangeOf));
      });
      floats.forEach((storage, i) => {
        const at = firstNonFinite(storage.dtype, parts[i]!, storage.count);
        if (at >= 0) {
          const [value] = hostArrayOf(storage.dtype, parts[i]!.slice(at * bytesOf(storage.dtype)), 1);
          throw new DeviceError(`${step.node.path}: element ${at} of ${storage.name} is ${storage.dtype === "f32" ? value : "not finite"}, expected a finite number`, [`made by ${describeNode(step.node)}`]);
        }
      });
    }
  } finally {
    readback.dispose();
  }
}

/** Index of the first element whose exponent bits are all ones, or -1. */
export function firstNonFinite(dtype: Dtype, bytes: ArrayBuffer, count: number): number {
  if (dtype === "f16") return new Uint16Array(bytes, 0, count).findIndex((bits) => (bits & 0x7c00) === 0x7c00);
  return new Uint32Array(bytes, 0, count).findIndex((bits) => (bits & 0x7f800000) === 0x7f800000);
}

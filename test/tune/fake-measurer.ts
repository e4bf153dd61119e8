// A measurer that makes its outcomes up: for tests of the tuner itself.
import type { Fingerprint } from "../../src/engine/device.ts";
import type { Traits } from "../../src/kernel/define.ts";
import type { Measurer, Outcome, TuneProblem } from "../../src/tune/measure.ts";

const fingerprint: Fingerprint = { adapter: "fake", driver: "1.0", vendor: "v", architecture: "a", kind: "gpu", features: [], toggles: [], limits: { maxBufferSize: 1 }, subgroups: [1, 1] };
const traits: Traits = { features: new Set(), subgroupMin: 1, subgroupMax: 1, workgroupMemory: 16384, invocations: 256, barriers: "cheap", matrices: [] };
export const DEVICE = { fingerprint, traits };

/** Its own choice on this device is `workgroup` with the constants of the template. */
export const PROBLEM: TuneProblem = { kernel: "layer-norm", case: "c", numbers: { rows: 256, c: 128, eps: 1e-6 }, flags: [], dtype: "f32" };

type Behaviour = Outcome | ((rounds: number) => Outcome | Promise<Outcome>);

/** Outcomes by `variant CONSTANT=value`; twice as slow as the own choice where nothing is said. */
export function createFakeMeasurer(behaviour: Readonly<Record<string, Behaviour>>, onMeasure: (name: string) => void = () => undefined): Measurer {
  return {
    describe: async () => ({ ...DEVICE, peaks: { flops: 1e9, bytes: 1e9, launch: 1e-6 } }),
    async measure({ candidate, own, rounds }) {
      const name = [candidate.variant, ...Object.entries(candidate.constants).map(([key, value]) => `${key}=${value}`)].join(" ");
      onMeasure(`${name} ${rounds}`);
      const found = behaviour[name];
      if (found !== undefined) return typeof found === "function" ? found(rounds) : found;
      const ratio = candidate.variant === own.variant && JSON.stringify(candidate.constants) === JSON.stringify(own.constants) ? 1 : 2;
      return { status: "ok", ratio, low: ratio, high: ratio, milliseconds: ratio, share: 0.5 / ratio };
    },
    dispose: async () => undefined,
  };
}

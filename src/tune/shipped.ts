// The tuned choices that ship with the package: reviewed tables, a file a device.
import llvmpipe from "../../tuned/llvmpipe.json?raw";
import type { TunedEntry } from "../kernel/tuning.ts";
import { parseStore } from "./store.ts";

/** Each holds only for the device, the driver and the templates that it was measured with. */
export const SHIPPED: readonly TunedEntry[] = [parseStore("tuned/llvmpipe.json", llvmpipe)].flat();

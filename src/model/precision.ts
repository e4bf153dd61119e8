// The type of a model's arithmetic on a device: f16 where it is asked for and where the device has it, else f32.
import type { Engine } from "../engine/engine.ts";
import type { TrainConfig } from "./config.ts";

/** `shader-f16` is a feature that many adapters lack; what was trained in f16 computes in f32 there, which is only more exact. */
export function precisionOn({ device }: Pick<Engine, "device">, { precision }: Pick<TrainConfig, "precision">): "f32" | "f16" {
  return precision === "f16" && device.traits.features.has("shader-f16") ? "f16" : "f32";
}

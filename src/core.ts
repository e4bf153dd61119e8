// What it takes to compute: the engine, kernels and ops, without model, data and tools. Loaded alone it starts faster than the whole library.

export { VERSION } from "./version.ts";
export { EXIT_CODES, UserError, suggest, type ExitCode } from "./errors.ts";
export type { AdapterHandle, AdapterListing, AdapterOptions, CompileOnlyHandle } from "./host/adapter.ts";

// The engine: devices, plans, and what can go wrong on them.
export { createEngine, f32, i32, u32, type Engine, type EngineOptions, type PlanOptions } from "./engine/engine.ts";
export type { Device, Fingerprint, Ledger } from "./engine/device.ts";
export type { InputSpec, Plan, PlanStatistics } from "./engine/plan.ts";
export type { HostSpan, Span, Timeline, Timing } from "./engine/timing.ts";
export { constant, dispatch, place, scope, withGradient, type Tensor } from "./engine/trace.ts";
export { parseDebug, DEBUG_SWITCHES, type DebugSwitch } from "./engine/debug.ts";
export { DeviceError, DeviceLost, formatBytes, OutOfMemory, ShaderError, ShapeError, Unavailable } from "./engine/errors.ts";
export type { Dtype, HostArray } from "./kernel/dtype.ts";

// Kernels and ops: both catalogues, and what kernels of your own are declared with.
export * as kernels from "../kernels/index.ts";
export * as ops from "./ops/index.ts";
export { as, defineKernel, read, update, when, write, type Kernel, type KernelSpec, type Traits } from "./kernel/define.ts";
export { type Blueprint, blueprintKey } from "./kernel/blueprint.ts";
export { renderBlueprint } from "./kernel/layout.ts";
export { createTuningTable, type TunedEntry, type TuningTable } from "./kernel/tuning.ts";

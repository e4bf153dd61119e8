// What can go wrong on a device: errors as data, each naming the operation it happened in.
import { EXIT_CODES, UserError } from "../errors.ts";

/** Shapes that do not fit together: the caller's mistake. */
export class ShapeError extends UserError {
  constructor(operation: string, message: string) {
    super(EXIT_CODES.internal, `${operation}: ${message}`);
    this.name = "ShapeError";
  }
}

/** The device lacks what is asked for. The only error after which another variant may be tried. */
export class Unavailable extends UserError {
  constructor(message: string, notes: readonly string[] = []) {
    super(EXIT_CODES.unavailable, message, notes);
    this.name = "Unavailable";
  }
}

/** A template that does not compile: the kernel author's mistake. */
export class ShaderError extends UserError {
  constructor(message: string, notes: readonly string[] = []) {
    super(EXIT_CODES.internal, message, notes);
    this.name = "ShaderError";
  }
}

/** The device refused a command or failed while it ran. */
export class DeviceError extends UserError {
  constructor(message: string, notes: readonly string[] = []) {
    super(EXIT_CODES.internal, message, notes);
    this.name = "DeviceError";
  }
}

/** The device has no memory left for a buffer. */
export class OutOfMemory extends UserError {
  /** Bytes that were asked for, and those that were in use. */
  readonly bytes: number;
  readonly inUse: number;

  constructor(what: string, bytes: number, inUse: number) {
    super(EXIT_CODES.unavailable, `${what}: the device has no memory for ${formatBytes(bytes)} more; ${formatBytes(inUse)} are in use`, [
      "Use a smaller batch, a smaller patch or a smaller preset.",
    ]);
    this.name = "OutOfMemory";
    this.bytes = bytes;
    this.inUse = inUse;
  }
}

/** A budget that a plan does not fit into, however much it recomputes. */
export class OverBudget extends UserError {
  readonly budget: number;
  /** The least that was found, bytes: a plan of the same program fits into it. */
  readonly least: number;

  constructor(what: string, budget: number, least: number) {
    super(EXIT_CODES.config, `${what}: a budget of ${formatBytes(Math.max(0, budget))}, expected at least ${formatBytesUp(least)}, which recomputation can keep to`, [
      "Use a smaller batch, a smaller patch or a smaller preset, or give it more memory.",
    ]);
    this.name = "OverBudget";
    this.budget = budget;
    this.least = least;
  }
}

/** Whole MiB, rounded up: what is asked for by this text is enough. */
export function formatBytesUp(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** The device is gone. Whatever it held is lost; what came back after the loss is not to be trusted. */
export class DeviceLost extends UserError {
  constructor(operation: string, reason: string) {
    super(EXIT_CODES.io, `${operation}: the device was lost (${reason})`, [
      "Run it again; a training run continues from its last checkpoint with --resume.",
      "If it happens again, CYTONET_DEBUG=dispatch runs one dispatch at a time and names the one.",
    ]);
    this.name = "DeviceLost";
  }
}

/** `1536` → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

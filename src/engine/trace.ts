// Tracing: tensors that only know their shape and maker, and the list of dispatches that a plan is made of.
import { activeArgs, completeNumbers, elementCount, type Kernel, type Numbers } from "../kernel/define.ts";
import { type Dtype, type HostArray, bytesOf } from "../kernel/dtype.ts";
import { isElem } from "../kernel/blueprint.ts";
import { ShapeError } from "./errors.ts";

/** Memory of a tensor: where its elements live, once they live anywhere. */
export interface Storage {
  readonly kind: "input" | "state" | "constant" | "intermediate";
  /** For messages: `input x`, `state encoder.stem.weight`, `conv2d.y`. */
  readonly name: string;
  readonly dtype: Dtype;
  readonly count: number;
  /** Of kind `state`: the buffer that holds it and where. */
  readonly state?: { readonly buffer: StateBuffer; readonly offset: number };
  /** Of a window: the storage that it is a part of, and its first element there. */
  readonly within?: { readonly whole: Storage; readonly first: number };
  /** Of kind `constant`: its elements. */
  readonly data?: HostArray;
}

/** Persistent memory on the device; several tensors may be views of one. `offset` of a view counts elements. */
export interface StateBuffer {
  readonly name: string;
  readonly dtype: Dtype;
  readonly count: number;
  readonly buffer: GPUBuffer;
}

/** A tensor of a trace: contiguous, row-major, last dimension fastest. Reshapes share storage. */
export interface Tensor {
  readonly storage: Storage;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** How gradients flow to what it was made from; absent for leaves and for results that are not differentiable. */
  readonly maker?: Maker;
}

/** The gradient rule of one application of an op. */
export interface Maker {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  /** Gradient thunks per input, in order; undefined where no gradient flows. Only the needed ones are called. */
  readonly gradient: (dy: Tensor) => readonly ((() => Tensor) | undefined)[];
}

/** One launch of a kernel, with numbers fixed and buffers still symbolic. */
export interface Dispatch {
  readonly kind: "dispatch";
  readonly kernel: Kernel;
  readonly numbers: Numbers;
  readonly flags: ReadonlySet<string>;
  readonly dtype: "f32" | "f16";
  readonly bindings: Readonly<Record<string, Storage>>;
  /** Op path, e.g. `encoder/stage1/conv2d`. */
  readonly path: string;
}

/** A copy between storages of the same type and size; what remains of a placement that could not be had for free. */
export interface Copy {
  readonly kind: "copy";
  readonly from: Storage;
  readonly to: Storage;
  readonly path: string;
}

export type Node = Dispatch | Copy;

/** A traced program: nodes in order and what is read back at the end. */
export interface Program {
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlyMap<string, Storage>;
}

interface Trace {
  readonly nodes: Node[];
  readonly path: string[];
  streams: number;
}

let active: Trace | undefined;

function current(what: string): Trace {
  if (!active) throw new Error(`${what}: tensors are only computed inside engine.plan(() => …)`);
  return active;
}

/** Runs `build` and collects what it dispatches. Traces do not nest. */
export function trace<T>(build: () => T): { result: T; nodes: Node[] } {
  if (active) throw new Error("a plan cannot be traced inside another plan");
  active = { nodes: [], path: [], streams: 0 };
  try {
    const result = build();
    if (result instanceof Promise) throw new Error("a plan's function must not be async");
    return { result, nodes: active.nodes };
  } finally {
    active = undefined;
  }
}

/** Names a part of the model: op paths in errors, profiles and dumps begin with it. */
export function scope<T>(name: string, build: () => T): T {
  const { path } = current(name);
  path.push(name);
  try {
    return build();
  } finally {
    path.pop();
  }
}

/** Builds at another place of the model than the current one. */
function at<T>(place: readonly string[], build: () => T): T {
  const { path } = current("gradient");
  const here = path.splice(0, path.length, ...place);
  try {
    return build();
  } finally {
    path.splice(0, path.length, ...here);
  }
}

/** A number that differs at every call within a trace, the same in every trace of the same program: keys random streams. */
export function nextStream(): number {
  return current("random numbers").streams++;
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** The tensor that a storage starts as. */
export function tensorOf(storage: Storage, shape: readonly number[]): Tensor {
  return { storage, shape, dtype: storage.dtype };
}

/** Host data as a tensor: uploaded once, when the plan is built. */
export function constant(data: HostArray, shape: readonly number[], dtype: Dtype): Tensor {
  if (data.length !== sizeOf(shape)) throw new ShapeError("constant", `${data.length} values, expected shape [${shape.join(", ")}]`);
  return tensorOf({ kind: "constant", name: "constant", dtype, count: data.length, data }, shape);
}

/** The same elements under another shape, with its gradient; no work on the device. One extent may be -1. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const known = shape.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const full = shape.map((extent) => (extent === -1 ? sizeOf(x.shape) / known : extent));
  if (sizeOf(full) !== sizeOf(x.shape) || full.some((extent) => !Number.isInteger(extent)))
    throw new ShapeError("reshape", `[${x.shape.join(", ")}] to [${shape.join(", ")}]: the number of elements differs`);
  return {
    storage: x.storage,
    shape: full,
    dtype: x.dtype,
    maker: { op: "reshape", inputs: [x], gradient: (dy) => [() => reshape(dy, x.shape)] },
  };
}

/** The same tensor without its history: no gradient flows through. */
export function detach(x: Tensor): Tensor {
  return tensorOf(x.storage, x.shape);
}

/** Attaches a gradient rule to the result of an op. What the rule dispatches is called after the op's own place: `backward/encoder/conv2d_dx`. */
export function withGradient(
  y: Tensor,
  op: string,
  inputs: readonly Tensor[],
  gradient: (dy: Tensor) => readonly ((() => Tensor) | undefined)[],
): Tensor {
  const place = ["backward", ...(active?.path ?? [])];
  const placed: Maker["gradient"] = (dy) => at(place, () => gradient(dy)).map((thunk) => thunk && (() => at(place, thunk)));
  return { ...y, maker: { op, inputs, gradient: placed } };
}

export interface DispatchOptions {
  /** Tensors of the `read` and `update` arguments by name. */
  readonly inputs: Readonly<Record<string, Tensor | undefined>>;
  /** Shapes of the `write` arguments by name. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly numbers: Numbers;
  /** Flags that are on; `false` and `undefined` entries are dropped, so that conditions read well. */
  readonly flags?: readonly (string | false | undefined)[];
  /** Type of `Elem` where no input of that type tells. */
  readonly dtype?: Dtype;
}

/** Appends one launch of a kernel to the trace and returns its outputs by argument name. Checks every size. */
export function dispatch<O extends DispatchOptions>(kernel: Kernel, options: O): { readonly [K in keyof O["outputs"]]: Tensor } {
  const t = current(kernel.name);
  const path = [...t.path, kernel.name].join("/");
  const flags = new Set((options.flags ?? []).filter((flag): flag is string => typeof flag === "string" && flag !== ""));
  for (const flag of flags) if (!kernel.flags.includes(flag)) throw new ShapeError(path, `no flag ${flag}; ${kernel.name} has ${kernel.flags.join(", ") || "none"}`);
  const numbers = completeNumbers(kernel, options.numbers);
  const args = activeArgs(kernel, flags);
  const dtype = elemType(path, args, options);
  const bindings: Record<string, Storage> = {};
  const outputs: Record<string, Tensor> = {};
  for (const { name, arg } of args) {
    const expected = arg.dtype === "elem" ? dtype : arg.dtype;
    const count = elementCount(arg, numbers);
    const describe = `${name}[${arg.shape.join(", ")}]`;
    if (arg.access === "write") {
      const shape = options.outputs[name];
      if (!shape) throw new ShapeError(path, `no shape for the output ${describe}`);
      if (sizeOf(shape) !== count) throw new ShapeError(path, `${describe} gets shape [${shape.join(", ")}], expected ${count} elements`);
      const storage: Storage = { kind: "intermediate", name: `${path}.${name}`, dtype: expected, count };
      bindings[name] = storage;
      outputs[name] = tensorOf(storage, shape);
      continue;
    }
    const tensor = options.inputs[name];
    if (!tensor) throw new ShapeError(path, `no tensor for ${describe}`);
    if (tensor.dtype !== expected) throw new ShapeError(path, `${describe} is ${tensor.dtype}, expected ${expected}`);
    if (sizeOf(tensor.shape) !== count)
      throw new ShapeError(path, `${describe} has shape [${tensor.shape.join(", ")}], expected ${count} elements for ${printNumbers(numbers)}`);
    if (arg.access === "update" && tensor.storage.kind !== "state")
      throw new ShapeError(path, `${describe} is updated in place, so it must be state, but is ${tensor.storage.kind}`);
    bindings[name] = tensor.storage;
  }
  for (const [name, tensor] of Object.entries(options.inputs))
    if (tensor && !args.some((arg) => arg.name === name)) throw new ShapeError(path, `${name} is given, but no active argument has that name`);
  t.nodes.push({ kind: "dispatch", kernel, numbers, flags, dtype, bindings, path });
  return outputs as { readonly [K in keyof O["outputs"]]: Tensor };
}

/** Makes `x` lie in `target`, a view of state: without a copy where its maker can write there directly. */
export function place(x: Tensor, target: Tensor): void {
  const t = current("place");
  const path = [...t.path, "place"].join("/");
  if (target.storage.kind !== "state") throw new ShapeError(path, `the target is ${target.storage.kind}, expected state`);
  if (x.dtype !== target.dtype || sizeOf(x.shape) !== sizeOf(target.shape))
    throw new ShapeError(path, `${x.dtype}[${x.shape.join(", ")}] into ${target.dtype}[${target.shape.join(", ")}] of ${target.storage.name}`);
  t.nodes.push({ kind: "copy", from: x.storage, to: target.storage, path });
}

/** Arithmetic operations of a node. */
export function flopsOf(node: Node): number {
  return node.kind === "dispatch" ? node.kernel.flops(node.numbers) : 0;
}

/** Bytes that a node must move if each argument is read or written once. */
export function bytesMoved(node: Node): number {
  if (node.kind === "copy") return 2 * node.from.count * bytesOf(node.from.dtype);
  let bytes = 0;
  for (const [name, storage] of Object.entries(node.bindings))
    bytes += storage.count * bytesOf(storage.dtype) * (node.kernel.args[name]?.access === "update" ? 2 : 1);
  return bytes;
}

/** Storages that a node reads and writes; `update` counts as both. */
export function accessesOf(node: Node): { reads: Storage[]; writes: Storage[] } {
  if (node.kind === "copy") return { reads: [node.from], writes: [node.to] };
  const reads: Storage[] = [];
  const writes: Storage[] = [];
  for (const [name, storage] of Object.entries(node.bindings)) {
    const access = node.kernel.args[name]?.access;
    if (access !== "write") reads.push(storage);
    if (access !== "read") writes.push(storage);
  }
  return { reads, writes };
}

export function printNumbers(numbers: Numbers): string {
  return Object.entries(numbers)
    .map(([name, value]) => `${name}=${Number.isInteger(value) ? value : value.toPrecision(4)}`)
    .join(" ");
}

function elemType(path: string, args: ReturnType<typeof activeArgs>, options: DispatchOptions): "f32" | "f16" {
  const given = options.dtype ?? args.filter(({ arg }) => arg.dtype === "elem").map(({ name }) => options.inputs[name]?.dtype).find((d) => d !== undefined) ?? "f32";
  if (!isElem(given)) throw new ShapeError(path, `Elem would be ${given}, expected f32 or f16`);
  return given;
}

// What is declared before anything runs: inputs, states as views of buffers, and the program that is traced over them.
import { type Dtype, bytesOf } from "../kernel/dtype.ts";
import { ShapeError } from "./errors.ts";
import type { InputSpec } from "./plan.ts";
import { sizeOf, tensorOf, trace, type Program, type StateBuffer, type Storage, type Tensor } from "./trace.ts";

/** Refuses what is no shape before it becomes a buffer of a size that nobody meant. */
export function checkShape(where: string, shape: readonly number[]): void {
  if (shape.every((extent) => Number.isSafeInteger(extent) && extent >= 1) && Number.isSafeInteger(sizeOf(shape))) return;
  throw new ShapeError(where, `shape [${shape.join(", ")}], expected whole numbers from 1`);
}

/** The tensors that a run fills, by name. */
export function declareInputs(inputs: Readonly<Record<string, InputSpec>>): ReadonlyMap<string, Tensor> {
  for (const [name, { shape }] of Object.entries(inputs)) checkShape(`input ${name}`, shape);
  return new Map(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, tensorOf({ kind: "input", name: `input ${name}`, dtype, count: sizeOf(shape) }, shape)]));
}

/** A view of a state buffer; `offset` counts elements. */
export function viewState(buffer: StateBuffer, name: string, offset: number, shape: readonly number[]): Tensor {
  const storage: Storage = { kind: "state", name: `state ${name}`, dtype: buffer.dtype, count: sizeOf(shape), state: { buffer, offset } };
  return tensorOf(storage, shape);
}

/** Several tensors in one buffer, each at a 256-byte boundary. */
export function declareGroup(
  name: string,
  members: readonly { readonly name: string; readonly shape: readonly number[] }[],
  dtype: Dtype,
  make: (name: string, dtype: Dtype, count: number) => StateBuffer,
): { flat: Tensor; members: Tensor[] } {
  const step = 256 / bytesOf(dtype);
  let total = 0;
  const offsets = members.map(({ shape }) => {
    const offset = total;
    total += Math.ceil(sizeOf(shape) / step) * step;
    return offset;
  });
  const buffer = make(name, dtype, total);
  return { flat: viewState(buffer, name, 0, [total]), members: members.map((member, i) => viewState(buffer, `${name}.${member.name}`, offsets[i] ?? 0, member.shape)) };
}

/** The buffer, and where in it, that a state tensor stands for. */
export function stateOf(tensor: Tensor): NonNullable<Storage["state"]> {
  const { state } = tensor.storage;
  if (!state) throw new ShapeError("engine", `${tensor.storage.name} is ${tensor.storage.kind}, expected state`);
  return state;
}

/** Runs `build` once on the inputs' tensors. */
export function traceProgram<I>(build: (inputs: I) => Readonly<Record<string, Tensor>>, inputs: ReadonlyMap<string, Tensor>): Program {
  const { result, nodes } = trace(() => build(Object.fromEntries(inputs) as I));
  return { nodes, outputs: new Map(Object.entries(result).map(([name, tensor]) => [name, tensor.storage])) };
}

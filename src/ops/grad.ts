// Reverse-mode differentiation of a trace: follows makers back and adds up what arrives.
import { ShapeError } from "../engine/errors.ts";
import { reshape, sizeOf, type Tensor } from "../engine/trace.ts";
import { add } from "./arithmetic.ts";

/**
 * Gradients of a result with respect to `wanted`, in their order; undefined where none flows. `dy` is the gradient of
 * whatever is minimised with respect to `y`. Only the thunks on the way from `wanted` to `y` are called.
 */
export function gradients(y: Tensor, wanted: readonly Tensor[], dy: Tensor): (Tensor | undefined)[] {
  if (sizeOf(dy.shape) !== sizeOf(y.shape)) throw new ShapeError("gradients", `dy has shape [${dy.shape.join(", ")}], expected [${y.shape.join(", ")}]`);
  const order = topologicalOrder(y);
  const onTheWay = new Set<Tensor>(wanted);
  for (const tensor of order) if (tensor.maker?.inputs.some((input) => onTheWay.has(input))) onTheWay.add(tensor);
  const arrived = new Map<Tensor, Tensor>([[y, dy]]);
  for (const tensor of [...order].reverse()) {
    const total = arrived.get(tensor);
    if (!total || !tensor.maker) continue;
    const { inputs, gradient, op } = tensor.maker;
    if (!inputs.some((input) => onTheWay.has(input))) continue;
    const thunks = gradient(total);
    inputs.forEach((input, i) => {
      const thunk = thunks[i];
      if (!thunk || !onTheWay.has(input)) return;
      const part = thunk();
      if (sizeOf(part.shape) !== sizeOf(input.shape)) throw new ShapeError(op, `the gradient of input ${i} has shape [${part.shape.join(", ")}], expected [${input.shape.join(", ")}]`);
      // Rules may give a gradient flat; added as they come, [n] and [n, 1] would broadcast.
      const shaped = reshape(part, input.shape);
      const before = arrived.get(input);
      arrived.set(input, before ? add(before, shaped) : shaped);
    });
  }
  return wanted.map((tensor) => arrived.get(tensor));
}

/** Every tensor that `y` was made from, makers before results. Iterative: traces are deeper than the host's stack. */
function topologicalOrder(y: Tensor): Tensor[] {
  const order: Tensor[] = [];
  const state = new Map<Tensor, "open" | "done">();
  const stack: Tensor[] = [y];
  while (stack.length) {
    const tensor = stack[stack.length - 1]!;
    if (state.get(tensor)) {
      stack.pop();
      if (state.get(tensor) === "open") {
        state.set(tensor, "done");
        order.push(tensor);
      }
      continue;
    }
    state.set(tensor, "open");
    for (const input of tensor.maker?.inputs ?? []) if (!state.get(input)) stack.push(input);
  }
  return order;
}

// Windows: a pass that replaces nodes whose arguments exceed what the device binds by launches of the same kernel on windows of them.
import { activeArgs, type Arg } from "../kernel/define.ts";
import { bytesOf, storageBytes } from "../kernel/dtype.ts";
import type { Launch } from "../kernel/split.ts";
import { Unavailable, formatBytes } from "./errors.ts";
import type { PassReport } from "./passes.ts";
import { type Dispatch, type Node, type Program, type Storage } from "./trace.ts";

export interface WindowLimits {
  /** Alignment of binding offsets, bytes. */
  readonly alignment: number;
  readonly maxBinding: number;
}

/**
 * Tensors lie in one piece, however large; only what a dispatch sees of them is limited. Kernels say how they are cut (`split`), by their batch, by
 * rows of an image with the rows around them, or by elements, and what they compute stays the same. Runs after the layout: whole tensors live and die.
 * Throws Unavailable where a kernel cannot be cut, with the tensor and its size.
 */
export function cutWindows({ nodes, outputs }: Program, label: string, limits: WindowLimits): { program: Program; report: PassReport | undefined } {
  const changes: string[] = [];
  const cut = nodes.flatMap((node): Node[] => {
    if (node.kind === "copy") return [node];
    const [name, storage] = largestOf(node);
    if (!storage || storageBytes(storage.dtype, storage.count) <= limits.maxBinding) return [node];
    const launches = split(node, limits);
    if (!launches) throw refuse(node, name, storage, label, limits);
    changes.push(`${node.path} in ${launches.length} launches: ${name} takes ${formatBytes(storageBytes(storage.dtype, storage.count))}`);
    return launches.map((launch): Dispatch => ({ ...node, numbers: launch.numbers, bindings: bind(node, launch) }));
  });
  const report = changes.length === 0 ? undefined : { pass: "windows", before: nodes.length, after: cut.length, savedFlops: 0, savedBytes: 0, changes };
  return { program: report ? { nodes: cut, outputs } : { nodes, outputs }, report };
}

/** Launches of a node in which every binding is within the limits; undefined where there are none. */
function split(node: Dispatch, { alignment, maxBinding }: WindowLimits): readonly Launch[] | undefined {
  const args = Object.fromEntries(activeArgs(node.kernel, node.flags).map(({ name, arg }): [string, Arg] => [name, arg]));
  const sizeOf = (name: string) => bytesOf(node.bindings[name]!.dtype);
  const room = { args, most: (name: string) => Math.floor(maxBinding / sizeOf(name)), step: (name: string) => alignment / sizeOf(name), data: (name: string) => node.bindings[name]!.data };
  const launches = node.kernel.split?.(node.numbers, node.flags, room);
  const fits = (launch: Launch) =>
    Object.keys(args).every((name) => {
      const { first, count } = launch.windows[name] ?? { first: 0, count: node.bindings[name]!.count };
      return count >= 1 && count <= room.most(name) && first % room.step(name) === 0 && first + count <= node.bindings[name]!.count;
    });
  return launches?.every(fits) ? launches : undefined;
}

function bind({ bindings }: Dispatch, { windows }: Launch): Dispatch["bindings"] {
  return Object.fromEntries(
    Object.entries(bindings).map(([name, storage]): [string, Storage] => {
      const window = windows[name];
      if (!window) return [name, storage];
      const { first, count } = window;
      const part = { ...storage, name: `${storage.name}[${first}…${first + count})`, count };
      return [name, storage.state ? { ...part, state: { ...storage.state, offset: storage.state.offset + first } } : { ...part, within: { whole: storage, first } }];
    }),
  );
}

function largestOf({ bindings }: Dispatch): readonly [string, Storage | undefined] {
  const bytes = ({ dtype, count }: Storage) => storageBytes(dtype, count);
  return Object.entries(bindings).reduce<readonly [string, Storage | undefined]>((most, next) => (most[1] && bytes(most[1]) >= bytes(next[1]) ? most : next), ["", undefined]);
}

function refuse({ kernel, path }: Dispatch, name: string, storage: Storage, label: string, { maxBinding }: WindowLimits): Unavailable {
  const why = kernel.split ? `${kernel.name} cannot be cut into pieces of that size` : `${kernel.name} cannot be cut`;
  return new Unavailable(`plan ${label}: ${path}: ${name} (${storage.name}) takes ${formatBytes(storageBytes(storage.dtype, storage.count))}, the device binds at most ${formatBytes(maxBinding)}, and ${why}`, [
    "Use fewer patches at once (batch.micro), a smaller patch, precision f16 or a smaller preset.",
  ]);
}

// Memory of a plan: every intermediate gets an offset in one of a few arenas, by the time it lives.
import { storageBytes } from "../kernel/dtype.ts";
import { Unavailable, formatBytes } from "./errors.ts";
import { accessesOf, type Program, type Storage } from "./trace.ts";

/** Where an intermediate lies. */
export interface Slot {
  readonly arena: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface MemoryLayout {
  readonly slots: ReadonlyMap<Storage, Slot>;
  /** Bytes of each arena. */
  readonly arenas: readonly number[];
  /** Sum of all intermediates, as if nothing were ever reused. */
  readonly tensorBytes: number;
  /** Sum of the arenas: the peak. */
  readonly arenaBytes: number;
}

export interface LayoutLimits {
  /** Alignment of binding offsets, bytes. */
  readonly alignment: number;
  readonly maxBuffer: number;
}

interface Lifetime {
  readonly storage: Storage;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/**
 * Arenas are coloured: a dispatch never writes into an arena that it reads from, because WebGPU forbids one buffer to be
 * bound for reading and for writing in one dispatch, even in disjoint ranges.
 */
export function layOut(program: Program, limits: LayoutLimits): MemoryLayout {
  const lifetimes = findLifetimes(program, limits);
  const colours = colour(program, lifetimes, limits);
  const slots = new Map<Storage, Slot>();
  const arenas: number[] = [];
  colours.forEach((members, arena) => {
    const { offsets, extent } = pack(members);
    arenas.push(Math.max(extent, limits.alignment));
    members.forEach((life, i) => slots.set(life.storage, { arena, offset: offsets[i] ?? 0, bytes: life.bytes }));
  });
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  return { slots, arenas, tensorBytes: sum([...lifetimes.values()].map(({ bytes }) => bytes)), arenaBytes: sum(arenas) };
}

/**
 * Which of the arenas `there` each of `wanted` may take, each at most once: the smallest that holds it, the largest first. Undefined where
 * none is left.
 */
export function borrowArenas(wanted: readonly number[], there: readonly number[]): (number | undefined)[] {
  const free = there.map((_, i) => i).sort((x, y) => there[x]! - there[y]! || x - y);
  const found: (number | undefined)[] = wanted.map(() => undefined);
  const order = wanted.map((_, i) => i).sort((x, y) => wanted[y]! - wanted[x]! || x - y);
  for (const i of order) {
    const at = free.findIndex((j) => there[j]! >= wanted[i]!);
    if (at >= 0) found[i] = free.splice(at, 1)[0];
  }
  return found;
}

function findLifetimes({ nodes, outputs }: Program, limits: LayoutLimits): Map<Storage, Lifetime> {
  const lives = new Map<Storage, Lifetime>();
  nodes.forEach((node, index) => {
    const { reads, writes } = accessesOf(node);
    for (const storage of [...writes, ...reads]) {
      if (storage.kind !== "intermediate") continue;
      const life = lives.get(storage);
      if (life) {
        life.last = index;
        continue;
      }
      const bytes = Math.ceil(storageBytes(storage.dtype, storage.count) / limits.alignment) * limits.alignment;
      if (bytes > limits.maxBuffer)
        throw new Unavailable(`${storage.name}: one tensor takes ${formatBytes(bytes)}, the device makes buffers of at most ${formatBytes(limits.maxBuffer)}`, [
          "Use a smaller batch or a smaller patch.",
        ]);
      lives.set(storage, { storage, bytes, first: index, last: index });
    }
  });
  for (const storage of outputs.values()) {
    const life = lives.get(storage);
    if (life) life.last = nodes.length;
  }
  return lives;
}

/** Assigns each intermediate to an arena: the allowed one that grows least when filled first-fit, in program order. */
function colour({ nodes }: Program, lives: ReadonlyMap<Storage, Lifetime>, limits: LayoutLimits): Lifetime[][] {
  const colours: { members: Lifetime[]; live: { life: Lifetime; offset: number }[]; extent: number }[] = [];
  const colourOf = new Map<Storage, number>();
  nodes.forEach((node, index) => {
    const { reads, writes } = accessesOf(node);
    const forbidden = new Set(reads.map((s) => colourOf.get(s)));
    for (const storage of writes) {
      const life = lives.get(storage);
      if (!life || colourOf.has(storage)) continue;
      let best: { colour: number; offset: number; growth: number } | undefined;
      colours.forEach((c, id) => {
        if (forbidden.has(id)) return;
        c.live = c.live.filter((entry) => entry.life.last >= index);
        const offset = firstFit(c.live.map((entry) => [entry.offset, entry.life.bytes] as const), life.bytes);
        const growth = Math.max(0, offset + life.bytes - c.extent);
        if (c.extent + growth <= limits.maxBuffer && (!best || growth < best.growth)) best = { colour: id, offset, growth };
      });
      // A new arena only where no other may be used: few buffers, and gaps that everybody can fill.
      if (!best) {
        colours.push({ members: [], live: [], extent: 0 });
        best = { colour: colours.length - 1, offset: 0, growth: life.bytes };
      }
      const c = colours[best.colour];
      if (!c) continue;
      c.members.push(life);
      c.live.push({ life, offset: best.offset });
      c.extent += best.growth;
      colourOf.set(storage, best.colour);
    }
  });
  return colours.map(({ members }) => members);
}

/** Offsets for tensors of one arena: first-fit in order of size and in program order, whichever needs less. */
function pack(members: readonly Lifetime[]): { offsets: number[]; extent: number } {
  const inOrder = members.map((_, i) => i);
  const bySize = [...inOrder].sort((x, y) => (members[y]?.bytes ?? 0) - (members[x]?.bytes ?? 0) || x - y);
  const attempts = [inOrder, bySize].map((order) => {
    const offsets: number[] = new Array<number>(members.length).fill(0);
    const placed: number[] = [];
    let extent = 0;
    for (const i of order) {
      const life = members[i];
      if (!life) continue;
      const busy = placed.filter((j) => overlaps(life, members[j])).map((j) => [offsets[j] ?? 0, members[j]?.bytes ?? 0] as const);
      offsets[i] = firstFit(busy, life.bytes);
      extent = Math.max(extent, (offsets[i] ?? 0) + life.bytes);
      placed.push(i);
    }
    return { offsets, extent };
  });
  return attempts.reduce((best, next) => (next.extent < best.extent ? next : best));
}

function overlaps(a: Lifetime, b: Lifetime | undefined): boolean {
  return b !== undefined && a.first <= b.last && b.first <= a.last;
}

/** Lowest offset at which `bytes` fit between the busy [offset, length] ranges. */
function firstFit(busy: readonly (readonly [number, number])[], bytes: number): number {
  let offset = 0;
  for (const [start, length] of [...busy].sort((x, y) => x[0] - y[0])) {
    if (start - offset >= bytes) break;
    offset = Math.max(offset, start + length);
  }
  return offset;
}

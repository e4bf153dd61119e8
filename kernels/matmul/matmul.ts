// The descriptor of matrix multiplication.
import { as, ceilDiv, type Choice, defineKernel, read, unless, when, write } from "../../src/kernel/define.ts";
import { ACTIVATION_STAGES, RESIDUAL_STAGE, activationOf } from "../../src/kernel/special.ts";
import { alignment, cutEvenly, leastCommon, splitAlong, splitBy } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import { chooseMatrixTile, FILLS_A_GPU, matrixTileVariants } from "../lib/matrix-tile.ts";
import broadcast from "./matmul.broadcast.wgsl?raw";
import matrix from "./matmul.matrix.wgsl?raw";
import naive from "./matmul.naive.wgsl?raw";
import register from "./matmul.register.wgsl?raw";
import scalar from "./matmul.scalar.wgsl?raw";
import tile128 from "./matmul.tile128.wgsl?raw";
import tile64 from "./matmul.tile64.wgsl?raw";

type Sizes = Readonly<Record<"batch" | "m" | "n" | "k" | "splits", number>>;
type Flags = ReadonlySet<string>;

/** Steps of k of which the share of a part is a multiple: those of every tile divide it. */
const SLICE = 32;

/** Products, or parts of them, that are made side by side. */
function productsOf({ batch, splits }: Sizes, flags: Flags): number {
  return flags.has("parts") ? batch * splits : batch;
}

/** Whether the vector variants can take it: rows of both operands and of C begin at whole vectors. */
function inFours({ m, n, k }: Sizes, flags: Flags): boolean {
  const ta = flags.has("ta");
  return n % 4 === 0 && (ta ? m % 4 === 0 : k % 4 === 0) && (!flags.has("tb") || k % 4 === 0) && k > 0;
}

/** Tiles of C that a variant makes: what there is to do at the same time. */
function tilesOf(sizes: Sizes, flags: Flags, tile: number): number {
  return ceilDiv(sizes.m, tile) * ceilDiv(sizes.n, tile) * productsOf(sizes, flags);
}

/** Whether rows of both operands and of C are whole vectors of eight halves. */
function inEights({ m, n, k }: Sizes, flags: Flags): boolean {
  return n % 8 === 0 && (flags.has("ta") ? m % 8 === 0 : k % 8 === 0) && (!flags.has("tb") || k % 8 === 0) && k > 0;
}

/**
 * C = act(A · B + bias) + residual for a batch of matrices; a batch of one is shared by all. Sums in f32. With `parts` it is C in parts
 * instead, in f32: part s adds up steps s·share to (s + 1)·share of k, where share is k / splits rounded up to a multiple of 32. The
 * parts are added by merge_parts.
 */
export const matmul = defineKernel({
  name: "matmul",
  doc: "C = act(A · B + bias) + residual for a batch of matrices; `ta`, `tb` read an operand transposed; with `parts` each part sums over its share of k. Sums in f32.",
  dims: ["batch", "batchA", "batchB", "m", "n", "k", "splits"],
  flags: ["ta", "tb", "bias", "relu", "gelu", "silu", "residual", "parts"],
  args: {
    a: read("batchA", "m", "k"),
    b: read("batchB", "k", "n"),
    c: unless("parts", write("batch", "m", "n")),
    bias: when("bias", read("n")),
    residual: when("residual", read("batch", "m", "n")),
    parts: when("parts", as("f32", write("splits", "batch", "m", "n"))),
  },
  derive: ({ batchA, batchB, splits = 1 }) => ({ batch: Math.max(batchA, batchB), splits }),
  libraries,
  variants: {
    naive: { source: naive, grid: (sizes, _, flags) => [ceilDiv(sizes.n, 8), ceilDiv(sizes.m, 8), productsOf(sizes, flags)], tiles: {} },
    scalar: { source: scalar, grid: (sizes, _, flags) => [ceilDiv(sizes.n, 32), ceilDiv(sizes.m, 32), productsOf(sizes, flags)] },
    register: {
      source: register,
      params: { ROWS: [4, 8] },
      grid: (sizes, constant, flags) => [ceilDiv(sizes.n, 32), ceilDiv(sizes.m, 8 * constant("ROWS")), productsOf(sizes, flags)],
      legal: (numbers, _traits, flags) => inFours(numbers, flags),
      tiles: { m: "ROWS" },
    },
    tile64: {
      source: tile64,
      params: { UNROLL: [0, 1] },
      grid: (sizes, _, flags) => [ceilDiv(sizes.n, 64), ceilDiv(sizes.m, 64), productsOf(sizes, flags)],
      legal: (numbers, { invocations }, flags) => invocations >= 256 && inFours(numbers, flags),
      tiles: { m: "TILE", k: "STEP" },
    },
    tile128: {
      source: tile128,
      params: { UNROLL: [0, 1] },
      grid: (sizes, _, flags) => [ceilDiv(sizes.n, 128), ceilDiv(sizes.m, 128), productsOf(sizes, flags)],
      legal: (numbers, { invocations }, flags) => invocations >= 256 && inFours(numbers, flags),
      tiles: { m: "TILE", k: "STEP" },
    },
    ...matrixTileVariants({
      source: matrix,
      grid: (sizes: Sizes, constant, flags) => [ceilDiv(sizes.n, constant("BN")), ceilDiv(sizes.m, constant("BM")), productsOf(sizes, flags)],
      takes: inEights,
      tiles: { m: "BM", n: "BN" },
    }),
    broadcast: {
      source: broadcast,
      needs: ["subgroups"],
      specialize: { SG: (_numbers, { subgroupMin }) => subgroupMin },
      grid: (sizes, constant, flags) => [ceilDiv(sizes.n, 4 * constant("SG")), ceilDiv(sizes.m, constant("ROWS")), productsOf(sizes, flags)],
      legal: (numbers, { subgroupMin, subgroupMax, invocations }, flags) =>
        subgroupMin === subgroupMax && [4, 8, 16, 32, 64].includes(subgroupMin) && subgroupMin <= invocations && inFours(numbers, flags),
      tiles: { m: "ROWS" },
    },
  },
  choose(numbers, { barriers }, flags): readonly Choice[] {
    // A row or a few: B is read once whatever is done, so the least work per element of B wins.
    if (numbers.m <= 4) return [{ variant: "register", params: { ROWS: 4 } }, { variant: "scalar" }];
    if (barriers === "dear") return [{ variant: "broadcast" }, { variant: "register" }, { variant: "scalar" }];
    const big = tilesOf(numbers, flags, 128) >= FILLS_A_GPU;
    const tiled = big ? ["tile128", "tile64"] : ["tile64"];
    return [...chooseMatrixTile(numbers.m, numbers.n, productsOf(numbers, flags)), ...tiled.map((variant) => ({ variant, params: { UNROLL: 1 } })), { variant: "register" }, { variant: "scalar" }];
  },
  flops: ({ batch, m, n, k }) => 2 * batch * m * n * k,
  builtins: { exp: 16, division: 2, erf: 1 },
  reference({ a, b, c, bias, residual, parts }, { batch, batchA, batchB, m, n, k, splits }, { round, has }) {
    const act = activationOf(has);
    const [pieces, share] = has("parts") ? [splits, SLICE * ceilDiv(k, SLICE * splits)] : [1, k];
    for (let y = 0; y < pieces * batch; y++)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          const [s, z] = [Math.floor(y / batch), y % batch];
          const za = batchA === 1 ? 0 : z;
          const zb = batchB === 1 ? 0 : z;
          let sum = 0;
          for (let p = s * share; p < Math.min(k, (s + 1) * share); p++) {
            const x = a[has("ta") ? (za * k + p) * m + i : (za * m + i) * k + p]!;
            const y = b[has("tb") ? (zb * n + j) * k + p : (zb * k + p) * n + j]!;
            sum = round(sum + round(x * y));
          }
          const at = (y * m + i) * n + j;
          if (has("parts")) {
            parts[at] = sum;
            continue;
          }
          if (has("bias")) sum = round(sum + bias[j]!);
          sum = round(act(sum));
          c[at] = has("residual") ? round(sum + residual[at]!) : sum;
        }
  },
  epilogue: { output: "c", stages: [...ACTIVATION_STAGES, RESIDUAL_STAGE] },
  // Each set of flags is a pipeline in each variant: those that only small sizes need have sizes that only two variants take.
  cases: {
    one: { numbers: { batchA: 1, batchB: 1, m: 1, n: 1, k: 1 } },
    ragged: { numbers: { batchA: 1, batchB: 1, m: 37, n: 29, k: 23 } },
    "transposed operands": { numbers: { batchA: 1, batchB: 1, m: 33, n: 20, k: 17 }, flags: ["ta", "tb"] },
    "dA of a linear layer": { numbers: { batchA: 1, batchB: 1, m: 24, n: 37, k: 40 }, flags: ["tb"] },
    "dB of a linear layer": { numbers: { batchA: 1, batchB: 1, m: 24, n: 36, k: 40 }, flags: ["ta"] },
    "bias relu": { numbers: { batchA: 1, batchB: 1, m: 19, n: 35, k: 12 }, flags: ["bias", "relu"] },
    "bias gelu residual": { numbers: { batchA: 1, batchB: 1, m: 20, n: 33, k: 12 }, flags: ["bias", "gelu", "residual"] },
    "silu batched": { numbers: { batchA: 3, batchB: 3, m: 9, n: 7, k: 12 }, flags: ["silu"] },
    "shared b": { numbers: { batchA: 3, batchB: 1, m: 9, n: 8, k: 12 } },
    "tiles and a rest": { numbers: { batchA: 1, batchB: 1, m: 131, n: 140, k: 36 } },
    "tiles and a rest, bias silu residual": { numbers: { batchA: 1, batchB: 1, m: 34, n: 68, k: 68 }, flags: ["bias", "silu", "residual"] },
    "tiles and a rest of transposed a": { numbers: { batchA: 2, batchB: 2, m: 136, n: 72, k: 37 }, flags: ["ta"] },
    "tiles and a rest of transposed b": { numbers: { batchA: 2, batchB: 1, m: 77, n: 136, k: 48 }, flags: ["tb", "gelu"] },
    "tiles and a rest, both transposed": { numbers: { batchA: 1, batchB: 2, m: 72, n: 136, k: 24 }, flags: ["ta", "tb", "relu"] },
    "tiles of eights and a rest": { numbers: { batchA: 2, batchB: 1, m: 72, n: 136, k: 72 }, flags: ["ta", "tb", "bias", "silu", "residual"] },
    "in 3 parts, the last without a share": { numbers: { batchA: 1, batchB: 1, m: 24, n: 36, k: 52, splits: 3 }, flags: ["parts", "ta"] },
    "in parts, batched": { numbers: { batchA: 2, batchB: 1, m: 72, n: 40, k: 133, splits: 2 }, flags: ["parts", "ta"] },
    "a row": { numbers: { batchA: 1, batchB: 1, m: 1, n: 256, k: 64 } },
    "1024³": { numbers: { batchA: 1, batchB: 1, m: 1024, n: 1024, k: 1024 }, bench: true },
    "vit-s mlp": { numbers: { batchA: 1, batchB: 1, m: 788, n: 1536, k: 384 }, flags: ["bias", "gelu"], bench: true },
    "vit-s qkv": { numbers: { batchA: 1, batchB: 1, m: 788, n: 1152, k: 384 }, flags: ["bias"], bench: true },
    "vit-s dA": { numbers: { batchA: 1, batchB: 1, m: 788, n: 384, k: 1536 }, flags: ["tb"], bench: true },
    "vit-s dB": { numbers: { batchA: 1, batchB: 1, m: 384, n: 1536, k: 788 }, flags: ["ta"], bench: true },
    "vit-s dB of 8192 tokens, 8 parts": { numbers: { batchA: 1, batchB: 1, m: 384, n: 1536, k: 8192, splits: 8 }, flags: ["parts", "ta"], bench: true },
    "vit-s tokens": { numbers: { batchA: 1, batchB: 1, m: 4096, n: 1536, k: 384 }, flags: ["bias", "gelu"], bench: true },
    "two rows": { numbers: { batchA: 1, batchB: 1, m: 2, n: 2048, k: 2048 }, bench: true },
  },
  free: { m: 1, n: 1, k: 1 },
  split: splitBy(
    splitAlong("batch", { also: ["batchA", "batchB"] }),
    splitAlong("m", { when: (_, flags) => !flags.has("ta") }),
    // Both operands stored with k first: each launch makes some of the parts.
    (numbers, flags, room) => {
      const [batch, m, n, k, splits] = [numbers["batch"]!, numbers["m"]!, numbers["n"]!, numbers["k"]!, numbers["splits"]!];
      if (!flags.has("parts") || !flags.has("ta") || flags.has("tb") || batch > 1) return undefined;
      const share = SLICE * ceilDiv(k, SLICE * splits);
      const most = Math.min(Math.floor(Math.min(room.most("a") / m, room.most("b") / n) / share), Math.floor(room.most("parts") / (m * n)));
      const unit = [alignment(room.step("a"), share * m), alignment(room.step("b"), share * n), alignment(room.step("parts"), m * n)].reduce(leastCommon);
      // Behind the last step of k there may be parts of none, which the last launch clears.
      const full = ceilDiv(k, share);
      return cutEvenly(full, most, unit)?.map(([from, end]) => {
        const to = end === full ? splits : end;
        const [low, high] = [from * share, Math.min(k, end * share)];
        return {
          numbers: { ...numbers, k: high - low, splits: to - from },
          windows: { a: { first: low * m, count: (high - low) * m }, b: { first: low * n, count: (high - low) * n }, parts: { first: from * m * n, count: (to - from) * m * n } },
        };
      });
    },
  ),
  gradient: "op",
});

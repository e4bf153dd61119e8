// What is measured beside the peers, as data: kinds of problems with their numbers, the list of the standing cases, and how a case is read from a command line.
import { EXIT_CODES, UserError, suggest } from "../../src/errors.ts";

/** What of a problem is computed: its result, or gradients. */
export type Pass = "forward" | "backward" | "dx" | "dw" | "step";

export interface Case {
  readonly kind: string;
  readonly pass: Pass;
  readonly numbers: Readonly<Record<string, number>>;
  /** Canonical description, from which `parseCase` gives the same case. */
  readonly name: string;
}

interface Kind {
  readonly doc: string;
  /** The first is taken where none is said. */
  readonly passes: readonly [Pass, ...Pass[]];
  /** Numbers with what they are unless said, in the order in which a name tells them. */
  readonly numbers: Readonly<Record<string, number>>;
  /** What is wrong with some numbers, if anything. */
  readonly check?: (n: Readonly<Record<string, number>>) => string | undefined;
}

/** Extent of a convolution's result along one axis. */
export const convExtent = (size: number, f: number, s: number, p: number): number => Math.floor((size + 2 * p - f) / s) + 1;

/** Zeros around an image on each side, unless said: as many as keep its size at stride 1. */
const AUTOMATIC = -1;

export const KINDS: Readonly<Record<string, Kind>> = {
  matmul: { doc: "[m, k] × [k, n]", passes: ["forward"], numbers: { m: 1024, k: 1024, n: 1024 } },
  conv: {
    doc: "2-D convolution of [b, ih, iw, ci] with f × f filters, stride s, padding p (f/2 unless said), groups g; dx and dw are its gradients",
    passes: ["forward", "dx", "dw"],
    numbers: { b: 1, ih: 56, iw: 56, ci: 64, co: 64, f: 3, s: 1, p: AUTOMATIC, g: 1 },
    check: ({ ih = 0, iw = 0, ci = 0, co = 0, f = 0, s = 0, p = 0, g = 1 }) =>
      ci % g || co % g ? `ci ${ci} and co ${co} in ${g} groups, expected multiples` : convExtent(ih, f, s, p) < 1 || convExtent(iw, f, s, p) < 1 ? "filters larger than the image" : undefined,
  },
  attention: { doc: "softmax(q kᵀ/√d) v of b × h heads with n tokens of d columns; backward: dq, dk, dv from q, k, v and dy", passes: ["forward", "backward"], numbers: { b: 1, h: 6, n: 197, d: 64 } },
  "layer-norm": { doc: "[rows, c] with scale and shift; backward: dx, dgamma, dbeta", passes: ["forward", "backward"], numbers: { rows: 788, c: 384 } },
  softmax: { doc: "of each row of [rows, n]", passes: ["forward", "backward"], numbers: { rows: 2364, n: 197 } },
  gelu: { doc: "exact GELU of [rows, n]", passes: ["forward", "backward"], numbers: { rows: 788, n: 1536 } },
  "info-nce": {
    doc: "contrastive loss of n embeddings of d channels, two views a sample, τ 0.1, with the normalisation of the rows; backward: dz",
    passes: ["forward", "backward"],
    numbers: { n: 512, d: 128 },
    check: ({ n = 0 }) => (n % 2 || n < 4 ? `n is ${n}, expected an even number from 4` : undefined),
  },
  resnet18: { doc: "ResNet-18 with norms folded into its convolutions: images [b, side, side, 3] to 1,000 logits", passes: ["forward"], numbers: { b: 1, side: 224 }, check: ({ side = 0 }) => (side < 32 ? `side is ${side}, expected at least 32` : undefined) },
  "vit-s": { doc: "ViT-S/16: images [b, side, side, 3] to 1,000 logits", passes: ["forward"], numbers: { b: 1, side: 224 }, check: ({ side = 0 }) => (side % 16 ? `side is ${side}, expected a multiple of 16` : undefined) },
  ...Object.fromEntries(
    (
      [
        ["r50", "the preset r50 with model.pool=average", 32],
        ["vit-s", "the preset vit-s", 16],
        ["vit-b", "the preset vit-b", 16],
        ["hybrid", "the preset hybrid", 16],
      ] as const
    ).map(([preset, what, multiple]): [string, Kind] => [
      `model-${preset}`,
      { doc: `${what}: grey images [b, side, side, 1] to features, norms by running statistics`, passes: ["forward"], numbers: { b: 1, side: 224 }, check: ({ side = 0 }) => (side % multiple ? `side is ${side}, expected a multiple of ${multiple}` : undefined) },
    ]),
  ),
  "train-conv": {
    doc: "one training step of a convolutional net of 32, 64 and 128 channels on [b, side, side, 3]: InfoNCE, Adam",
    passes: ["step"],
    numbers: { b: 8, side: 64 },
    check: ({ b = 0, side = 0 }) => (b % 2 || b < 4 ? `b is ${b}, expected an even number from 4` : side < 4 ? `side is ${side}, expected at least 4` : undefined),
  },
  "train-vit": {
    doc: "one training step of a transformer of width 192 with 4 blocks of 3 heads on [b, side, side, 3] in patches of 8: InfoNCE, Adam",
    passes: ["step"],
    numbers: { b: 8, side: 64 },
    check: ({ b = 0, side = 0 }) => (b % 2 || b < 4 ? `b is ${b}, expected an even number from 4` : side % 8 ? `side is ${side}, expected a multiple of 8` : undefined),
  },
};

const RESNET_CONVS = [
  "b=2 ih=224 iw=224 ci=3 co=64 f=7 s=2",
  "b=2 ih=56 iw=56 ci=64 co=64 f=3",
  "b=2 ih=28 iw=28 ci=128 co=128 f=3",
  "b=4 ih=14 iw=14 ci=256 co=256 f=3",
  "b=2 ih=56 iw=56 ci=256 co=64 f=1",
  "b=2 ih=56 iw=56 ci=64 co=128 f=1 s=2",
  "b=1 ih=56 iw=56 ci=96 co=96 f=3 g=96",
];

/** The standing cases. Batches are 2 or 4 where one image is too little work to be measured well. */
export const CASES: readonly Case[] = [
  "matmul m=1024 k=1024 n=1024",
  ...["n=384", "n=1152", "n=1536"].map((n) => `matmul m=788 k=384 ${n}`),
  "matmul m=788 k=1536 n=384",
  ...RESNET_CONVS.flatMap((conv) => ["forward", "dx", "dw"].map((pass) => `conv ${conv} ${pass}`)),
  ...["b=2 h=6 n=197", "b=1 h=6 n=1025", "b=1 h=2 n=4096"].flatMap((sizes) => ["forward", "backward"].map((pass) => `attention ${sizes} d=64 ${pass}`)),
  ...["layer-norm", "softmax", "gelu"].flatMap((kind) => [`${kind} forward`, `${kind} backward`]),
  ...[512, 4096].flatMap((n) => ["forward", "backward"].map((pass) => `info-nce n=${n} ${pass}`)),
  ...["resnet18", "vit-s"].flatMap((kind) => [`${kind} b=1`, `${kind} b=8`]),
  "train-conv",
  "train-vit",
].map(parseCase);

/** The presets at the sizes that they are held to beside other engines. Minutes each, most of them for the truth in f64, so they stand by themselves. */
export const MODELS: readonly Case[] = [224, 512].flatMap((side) => ["r50", "vit-s", "hybrid", "vit-b"].map((preset) => parseCase(`model-${preset} b=1 side=${side}`)));

/** What can be measured without naming cases. */
export const GROUPS: Readonly<Record<string, readonly Case[]>> = { standing: CASES, models: MODELS };

/**
 * A case out of its description: `conv b=2 ih=28 iw=28 ci=64 co=64 f=3 dx`. Numbers that are not given are as `KINDS` says; `size`
 * is short for ih and iw. Errors: UserError 2.
 */
export function parseCase(text: string): Case {
  const [kind = "", ...words] = text.trim().split(/\s+/);
  const known = KINDS[kind];
  const wrong = (what: string, notes: readonly string[] = []) => new UserError(EXIT_CODES.usage, `case ${JSON.stringify(text)}: ${what}`, notes);
  if (!Object.hasOwn(KINDS, kind) || !known) {
    const near = suggest(kind, Object.keys(KINDS));
    throw wrong(`no kind ${JSON.stringify(kind)}, expected one of ${Object.keys(KINDS).join(", ")}`, near.length > 0 ? [`Did you mean ${near[0]}?`] : []);
  }
  const numbers: Record<string, number> = { ...known.numbers };
  let pass = known.passes[0];
  for (const word of words) {
    const [name = "", value, ...more] = word.split("=");
    if (value === undefined) {
      const found = known.passes.find((one) => one === word);
      if (!found) throw wrong(`${JSON.stringify(word)}, expected NAME=NUMBER or one of ${known.passes.join(", ")}`);
      pass = found;
      continue;
    }
    const names = kind === "conv" && name === "size" ? ["ih", "iw"] : [name];
    if (more.length > 0 || !/^\d{1,7}$/.test(value) || (Number(value) < 1 && name !== "p")) throw wrong(`${JSON.stringify(word)}, expected a whole number from 1`);
    for (const one of names) {
      if (!Object.hasOwn(numbers, one)) throw wrong(`no number ${JSON.stringify(one)}, expected ${Object.keys(known.numbers).join(", ")}`);
      numbers[one] = Number(value);
    }
  }
  if (numbers["p"] === AUTOMATIC) numbers["p"] = Math.floor((numbers["f"] ?? 0) / 2);
  const fault = known.check?.(numbers);
  if (fault) throw wrong(fault);
  return { kind, pass, numbers, name: [kind, ...Object.entries(numbers).map(([name, value]) => `${name}=${value}`), ...(known.passes.length > 1 ? [pass] : [])].join(" ") };
}

/**
 * The cases that texts ask for: one that gives a number (`NAME=…`) describes a case, any other is a pattern, all of whose words are parts
 * of the name of a case of the group, the standing ones unless said. Without texts, all of these. Errors: UserError 2 where a pattern or the group finds none.
 */
export function selectCases(texts: readonly string[], group = "standing"): Case[] {
  const cases = Object.hasOwn(GROUPS, group) ? GROUPS[group] : undefined;
  if (!cases) throw new UserError(EXIT_CODES.usage, `--cases ${JSON.stringify(group)}, expected one of ${Object.keys(GROUPS).join(", ")}`);
  if (texts.length === 0) return [...cases];
  const found = texts.flatMap((text) => {
    if (text.includes("=")) return [parseCase(text)];
    const words = text.trim().toLowerCase().split(/\s+/);
    const hits = cases.filter(({ name }) => words.every((word) => name.includes(word)));
    if (hits.length === 0) throw new UserError(EXIT_CODES.usage, `case ${JSON.stringify(text)}: no ${group === "standing" ? "standing case" : `case of ${group}`} is called so, expected part of a name that --list shows, or numbers (matmul m=300 k=77 n=513)`);
    return hits;
  });
  return [...new Map(found.map((one) => [one.name, one])).values()];
}

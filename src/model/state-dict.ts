// The tensors of an encoder under the names and in the layouts that PyTorch's models have: torchvision and timm, and UltraFace's own.
import { loadFloat32, storeFloat32, type StoredTensor } from "../data/tensors.ts";
import { sizeOf } from "../engine/trace.ts";
import type { MobileConfig } from "./mobile.ts";
import type { Architecture } from "./presets.ts";
import { strideOf, type TrunkConfig } from "./resnet.ts";
import type { ViTConfig } from "./vit.ts";

/** How one of their tensors lies beside ours: filters [co, ci, fh, fw], linear weights [out, in], anything else alike. */
export type Layout = "filter" | "linear" | "same";

/** One of their tensors, and ours that it holds, one behind the other along their first dimension. */
export interface Link {
  readonly theirs: string;
  readonly ours: readonly string[];
  readonly layout: Layout;
  /** Of a convolution: the batch norm behind it, by the beginning of their names. */
  readonly norm?: string;
  /** Of a convolution: how far its windows lie apart, 1 unless given, its taps, and by how many pixels each side is padded. */
  readonly window?: Window;
}

export interface Window {
  readonly stride: number;
  readonly dilation: number;
  /** "same" is dilation times half the filter, rounded down. */
  readonly padding: "same" | "none";
}

/** Tensors of theirs that are no part of an encoder: counters, and what stands behind the features. */
export const LEFT_OUT = /(^|\.)num_batches_tracked$|^(fc|head|heads|classifier|extras|classification_headers|regression_headers)\./;

/** All tensors of an encoder, convolutions in the order in which PyTorch runs them. Our names begin with `encoder.`. */
export function linksOf(architecture: Architecture): Link[] {
  const links = architecture.kind === "vit" ? vitLinks(architecture) : architecture.kind === "mobile" ? [...mobileLinks(architecture), ...poolLinks(architecture)] : [...trunkLinks(architecture, "", ""), ...poolLinks(architecture)];
  return links.map((link) => ({ ...link, ours: link.ours.map((name) => `encoder.${name}`) }));
}

const NORM = ["weight", "bias", "running_mean", "running_var"] as const;

/** A convolution without bias and its norm. */
function convNorm(conv: string, norm: string, theirConv: string, theirNorm: string, { stride = 1, dilation = 1 } = {}): Link[] {
  return [{ theirs: `${theirConv}.weight`, ours: [`${conv}.weight`], layout: "filter", norm: theirNorm, window: { stride, dilation, padding: "same" } }, ...NORM.map((part): Link => ({ theirs: `${theirNorm}.${part}`, ours: [`${norm}.${part}`], layout: "same" }))];
}

/** Weight and bias; several of ours make one of theirs. */
function affine(ours: readonly string[], theirs: string, layout: Layout): Link[] {
  return [
    { theirs: `${theirs}.weight`, ours: ours.map((name) => `${name}.weight`), layout },
    { theirs: `${theirs}.bias`, ours: ours.map((name) => `${name}.bias`), layout: "same" },
  ];
}

function trunkLinks({ stages, expansion, stem }: TrunkConfig, own: string, their: string): Link[] {
  const links = convNorm(`${own}stem.conv`, `${own}stem.norm`, `${their}conv1`, `${their}bn1`, { stride: stem.stride });
  let channels = stem.channels;
  stages.forEach(({ blocks, planes, stride }, s) => {
    for (let i = 0; i < blocks; i++) {
      const [block, theirs] = [`${own}stage${s + 1}.${i}`, `${their}layer${s + 1}.${i}`];
      const step = i === 0 ? stride : 1;
      for (const k of [1, 2, 3]) links.push(...convNorm(`${block}.conv${k}`, `${block}.norm${k}`, `${theirs}.conv${k}`, `${theirs}.bn${k}`, { stride: k === 2 ? step : 1 }));
      const direct = step === 1 && channels === planes * expansion;
      if (!direct) links.push(...convNorm(`${block}.shortcut.conv`, `${block}.shortcut.norm`, `${theirs}.downsample.0`, `${theirs}.downsample.1`, { stride: step }));
      channels = planes * expansion;
    }
  });
  return links;
}

/** Neither library has this pooling: the names are ours. */
function poolLinks({ pool }: { readonly pool: string }): Link[] {
  if (pool === "average") return [];
  return [{ theirs: "attn_pool.query", ours: ["pool.query"], layout: "same" }, ...["key", "value"].map((name): Link => ({ theirs: `attn_pool.${name}.weight`, ours: [`pool.${name}.weight`], layout: "linear" }))];
}

function vitLinks({ patch, depth, registers, trunk }: ViTConfig): Link[] {
  const window: Window = { stride: patch / (trunk ? strideOf(trunk) : 1), dilation: 1, padding: "none" };
  const links: Link[] = [
    ...(trunk ? trunkLinks(trunk, "trunk.", "patch_embed.backbone.") : []),
    ...affine(["embed"], "patch_embed.proj", "filter").map((link) => (link.layout === "filter" ? { ...link, window } : link)),
    { theirs: "cls_token", ours: ["class_token"], layout: "same" },
    ...(registers > 0 ? [{ theirs: "reg_token", ours: ["registers"], layout: "same" } as const] : []),
    { theirs: "pos_embed", ours: ["positions"], layout: "same" },
  ];
  for (let i = 0; i < depth; i++) {
    const [own, their] = [`block${i}`, `blocks.${i}`];
    links.push(
      ...affine([`${own}.norm1`], `${their}.norm1`, "same"),
      ...affine(["query", "key", "value"].map((name) => `${own}.attention.${name}`), `${their}.attn.qkv`, "linear"),
      ...affine([`${own}.attention.out`], `${their}.attn.proj`, "linear"),
      ...affine([`${own}.norm2`], `${their}.norm2`, "same"),
      ...affine([`${own}.mlp.up`], `${their}.mlp.fc1`, "linear"),
      ...affine([`${own}.mlp.down`], `${their}.mlp.fc2`, "linear"),
    );
  }
  return [...links, ...affine(["norm"], "norm", "same")];
}

function mobileLinks({ stem, before, after, block }: MobileConfig): Link[] {
  const unit = (own: string, n: number, stride: number) => [...convNorm(`${own}.conv1`, `${own}.norm1`, `base_net.${n}.0`, `base_net.${n}.1`, { stride }), ...convNorm(`${own}.conv2`, `${own}.norm2`, `base_net.${n}.3`, `base_net.${n}.4`)];
  const middle = before.length + 1;
  const inside = (own: string, number: string, their: string, dilation = 1) => convNorm(`fields.${own}.conv${number}`, `fields.${own}.norm${number}`, `base_net.${middle}.${their}.conv`, `base_net.${middle}.${their}.bn`, { dilation });
  return [
    ...convNorm("stem.conv", "stem.norm", "base_net.0.0", "base_net.0.1", { stride: stem.stride }),
    ...before.flatMap(({ stride }, i) => unit(`before${i}`, i + 1, stride)),
    ...block.branches.flatMap(({ channels, dilation }, b) => [0, ...channels, 0].flatMap((_, k) => inside(`branch${b}`, `${k}`, `branch${b}.${k}`, k > channels.length ? dilation : 1))),
    ...inside("join", "", "ConvLinear"),
    ...inside("shortcut", "", "shortcut"),
    ...after.flatMap(({ stride }, i) => unit(`after${i}`, middle + 1 + i, stride)),
  ];
}

/** Our encoder's tensors as theirs: exact, f32. Throws where one is missing, which is a fault of the caller. */
export function toStateDict(tensors: ReadonlyMap<string, StoredTensor>, architecture: Architecture): Map<string, StoredTensor> {
  return new Map(
    linksOf(architecture).map(({ theirs, ours, layout }) => {
      const parts = ours.map((name) => {
        const tensor = tensors.get(name);
        const values = tensor && loadFloat32(tensor);
        if (!tensor || !values) throw new Error(`${name} is ${tensor?.dtype ?? "missing"}, expected floats`);
        return outOf(values, tensor.shape, layout);
      });
      const [first] = parts;
      const values = new Float32Array(parts.reduce((sum, part) => sum + part.values.length, 0));
      parts.reduce((at, part) => (values.set(part.values, at), at + part.values.length), 0);
      return [theirs, storeFloat32(values, parts.length === 1 ? first!.shape : [first!.shape[0]! * parts.length, ...first!.shape.slice(1)])];
    }),
  );
}

export interface Laid {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

/** From our layout into theirs. */
function outOf(values: Float32Array, shape: readonly number[], layout: Layout): Laid {
  if (layout === "same") return { values, shape };
  return layout === "linear" ? permute(values, shape, [1, 0]) : permute(values, shape, [3, 2, 0, 1]);
}

/** From their layout into ours, and for one of ours that is part `index` of `count`. */
export function into(values: Float32Array, shape: readonly number[], layout: Layout, index: number, count: number): Laid {
  const own = count === 1 ? shape : [shape[0]! / count, ...shape.slice(1)];
  const size = sizeOf(own);
  const part = values.subarray(index * size, (index + 1) * size);
  if (layout === "same") return { values: part, shape: own };
  return layout === "linear" ? permute(part, own, [1, 0]) : permute(part, own, [2, 3, 1, 0]);
}

/** Values with their dimensions in another order: dimension i of the result is `order[i]`. */
export function permute(values: Float32Array, shape: readonly number[], order: readonly number[]): Laid {
  const to = order.map((i) => shape[i]!);
  const strides = order.map((i) => sizeOf(shape.slice(i + 1)));
  const out = new Float32Array(values.length);
  const index = to.map(() => 0);
  for (let i = 0, at = 0; i < out.length; i++) {
    out[i] = values[at]!;
    for (let d = to.length - 1; d >= 0; d--) {
      at += strides[d]!;
      if (++index[d]! < to[d]!) break;
      at -= strides[d]! * to[d]!;
      index[d] = 0;
    }
  }
  return { values: out, shape: to };
}

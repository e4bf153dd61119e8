// The descriptor of the affine crop.
import { as, ceilDiv, defineKernel, read, write } from "../../src/kernel/define.ts";
import { splitAlong } from "../../src/kernel/split.ts";
import { libraries } from "../lib/index.ts";
import naive from "./affine-crop.naive.wgsl?raw";
import { mirrored } from "./border.ts";

/** Patches out of windows, turned, scaled, sheared and mirrored, one matrix each; bilinear. */
export const affineCrop = defineKernel({
  name: "affine_crop",
  doc: "Bilinear sample of each window at m · (output pixel centre), both measured from their middles; beyond the edges the mirror image, or with `fill` the value `outside`.",
  // `first` images of the batch come before those of x, which begin behind `skip` elements.
  dims: ["b", "ih", "iw", "oh", "ow", "c", "first", "skip"],
  scalars: ["outside"],
  flags: ["fill"],
  derive: () => ({ first: 0, skip: 0 }),
  args: { x: read("b", "ih", "iw", "c"), matrix: as("f32", read("b", 6)), y: write("b", "oh", "ow", "c") },
  libraries,
  variants: { naive: { source: naive, grid: ({ b, oh, ow }) => [ceilDiv(ow, 8), ceilDiv(oh, 8), b] } },
  flops: ({ b, oh, ow, c }) => b * oh * ow * (20 + 9 * c),
  // Turned and scaled by up to 2, moved by up to 4 pixels.
  inputs: { matrix: (random, index) => (2 * random() - 1) * (index % 3 === 2 ? 4 : 2) },
  reference({ x, matrix, y }, { b, ih, iw, oh, ow, c, first, skip, outside }, { round, has }) {
    for (let image = 0; image < b; image++)
      for (let row = 0; row < oh; row++)
        for (let column = 0; column < ow; column++) {
          const m = (k: number) => matrix[6 * (first + image) + k]!;
          const [dx, dy] = [column + 0.5 - ow / 2, row + 0.5 - oh / 2];
          const px = round(round(round(m(0) * dx) + round(m(1) * dy)) + round(m(2) + iw / 2 - 0.5));
          const py = round(round(round(m(3) * dx) + round(m(4) * dy)) + round(m(5) + ih / 2 - 0.5));
          const [left, top] = [Math.floor(px), Math.floor(py)];
          const [fx, fy] = [px - left, py - top];
          for (let channel = 0; channel < c; channel++) {
            const pixel = (r: number, k: number) =>
              has("fill") && (r < 0 || k < 0 || r >= ih || k >= iw) ? outside : x[skip + ((image * ih + mirrored(r, ih)) * iw + mirrored(k, iw)) * c + channel]!;
            const across = (r: number) => round(round(pixel(r, left) * round(1 - fx)) + round(pixel(r, left + 1) * fx));
            y[((image * oh + row) * ow + column) * c + channel] = round(round(across(top) * round(1 - fy)) + round(across(top + 1) * fy));
          }
        }
  },
  cases: {
    one: { numbers: { b: 1, ih: 1, iw: 1, oh: 1, ow: 1, c: 1, outside: 0 } },
    mirrored: { numbers: { b: 3, ih: 7, iw: 11, oh: 13, ow: 9, c: 1, outside: 0 } },
    filled: { numbers: { b: 2, ih: 12, iw: 9, oh: 8, ow: 17, c: 3, outside: 0.25 }, flags: ["fill"] },
    "batch of windows": { numbers: { b: 16, ih: 190, iw: 190, oh: 128, ow: 128, c: 1, outside: 0 }, bench: true },
  },
  free: { b: 1, ih: 1, iw: 1, oh: 1, ow: 1, c: 1 },
  // Windows of x begin where they may, `skip` elements before the first image.
  split: (numbers, flags, room) => {
    const image = numbers["ih"]! * numbers["iw"]! * numbers["c"]!;
    const { x, ...args } = room.args;
    const step = room.step("x");
    const most = (name: string) => (name === "y" ? Math.min(room.most(name), Math.floor((room.most("x") - step) / image) * numbers["oh"]! * numbers["ow"]! * numbers["c"]!) : room.most(name));
    return splitAlong("b", { whole: ["matrix"], numbers: (_, from) => ({ first: from, skip: (from * image) % step }) })(numbers, flags, { ...room, args, most })?.map((launch) => {
      const { b, first, skip } = launch.numbers;
      return { ...launch, windows: { ...launch.windows, x: { first: first! * image - skip!, count: skip! + b! * image } } };
    });
  },
  gradient: { none: "works on data" },
});

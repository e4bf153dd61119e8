// dw of y = x ∗ w in parts for f16 with subgroup matrices: rows of the product are (ky, kx, c), columns the output channels of a group,
// and the inner dimension runs over the pixels of the part's share of the rows of dy, in tiles of BM × BN (see lib/matrix-tile).
// Needs cg and og to be multiples of 8.
//#params
alias Elem = f32;
const BM = 64u;                                                     // rows of dw a workgroup makes
const BN = 64u;                                                     // channels
const WN = 32u;                                                     // of these a subgroup makes: 32 or 64
const STAGES = 2u;                                                  // slabs in workgroup memory: with two, one barrier a step
const SG = 32u;                                                     // width of the subgroup
//#end
//#use matrix matrixTile pixel
alias Elem8 = vec4u;                                                // eight halves
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem8>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem8>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

// The part's pixels go from start to end.
struct Task { i: u32, j: u32, g: u32, part: u32, height: u32, start: u32, end: u32 }

// Eight weights of a row.
fn finish(task: Task, first: vec4f, second: vec4f, row: u32, j8: u32) {
  if (row >= task.height || j8 >= u.og / 8u) { return; }
  let at = (task.part * task.height + row) * (u.co / 4u) + task.g * (u.og / 4u) + 2u * j8;
  parts[at] = first;
  parts[at + 1u] = second;
}

// How far down and right of a pixel the tap of vector e reaches, which wraps where it is above or left; its eight channels; inside or not.
fn fromA(task: Task, e: u32) -> vec4u {
  let row8 = task.i / 8u + e % (BM / 8u);
  let tap = row8 / (u.cg / 8u);
  return vec4u(tap / u.fw * u.dilationH - u.padH, tap % u.fw * u.dilationW - u.padW, task.g * (u.cg / 8u) + row8 % (u.cg / 8u), select(0u, 1u, row8 < task.height / 8u));
}
fn loadA(task: Task, home: vec4u, k0: u32, e: u32) -> vec4u {
  let pixel = task.start + k0 + e / (BM / 8u);
  let to = pixelAt(pixel, u.oh, u.ow);
  let iy = to.y * u.strideH + home.x;
  let ix = to.z * u.strideW + home.y;
  var v = vec4u();
  if (pixel < task.end && home.w != 0u && iy < u.ih && ix < u.iw) { v = x[((to.x * u.ih + iy) * u.iw + ix) * (u.ci / 8u) + home.z]; }
  return v;
}
fn fromB(task: Task, e: u32) -> u32 { return min(task.j / 8u + e % (BN / 8u), u.og / 8u - 1u) + task.g * (u.og / 8u); }
fn loadB(task: Task, home: u32, k0: u32, e: u32) -> vec4u {
  return dy[min(task.start + k0 + e / (BN / 8u), u.b * u.oh * u.ow - 1u) * (u.co / 8u) + home];
}

fn placeA(e: u32) -> u32 { return placeColumnsA(e); }
fn placeB(e: u32) -> u32 { return placeRowsB(e); }
fn left(base: u32, i: u32, p: u32) -> L { return leftColumns(base, i, p); }
fn right(base: u32, j: u32, p: u32) -> R { return rightRows(base, j, p); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let blocks = (u.og + BN - 1u) / BN;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  let end = min(lines, (wg.z + 1u) * share) * u.ow;
  let start = min(wg.z * share * u.ow, end);
  let task = Task(wg.x * BM, wg.y % blocks * BN, wg.y / blocks, wg.z, u.fh * u.fw * u.cg, start, end);
  makeTile(task, place, t, (end - start + BK - 1u) / BK);
}

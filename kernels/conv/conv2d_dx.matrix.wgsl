// dx of y = x ∗ w for f16 with subgroup matrices, class by class as in conv2d_dx.broadcast: rows of the product are the pixels of a
// class, columns the channels of a group, and the inner dimension is (ky, kx, o) over the taps that the class meets, in tiles of
// BM × BN (see lib/matrix-tile). Needs cg and og to be multiples of 8.
//#params
alias Elem = f32;
const BM = 64u;                                                     // pixels a workgroup makes
const BN = 64u;                                                     // channels
const WN = 32u;                                                     // of these a subgroup makes: 32 or 64
const STAGES = 2u;                                                  // slabs in workgroup memory: with two, one barrier a step
const SG = 32u;                                                     // width of the subgroup
//#end
//#use eight matrix matrixTile pixel
alias Elem8 = vec4u;                                                // eight halves
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, stepH: u32, stepW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem8>;          // [b, oh, ow, co]
@group(0) @binding(2) var<storage, read> w: array<Elem8>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem8>;    // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem8>;    // [b, ih, iw, ci] //#if residual

// Of the class: its place, lines and columns; its first tap, taps in a row of the filter, and steps of the sum.
struct Task { i: u32, j: u32, g: u32, cy: u32, cx: u32, lines: u32, width: u32, pixels: u32, firstY: u32, firstX: u32, tapsX: u32, inner: u32 }

// Eight channels of a pixel of the class.
fn finish(task: Task, first: vec4f, second: vec4f, pixel: u32, j8: u32) {
  if (pixel >= task.pixels || j8 >= u.cg / 8u) { return; }
  let to = pixelAt(pixel, task.lines, task.width);
  let place = (to.x * u.ih + task.cy + to.y * u.strideH) * u.iw + task.cx + to.z * u.strideW;
  let at = place * (u.ci / 8u) + task.g * (u.cg / 8u) + j8;
  var p = first;
  var q = second;
  p += low4(residual[at]);                                          //#if residual
  q += high4(residual[at]);                                         //#if residual
  dx[at] = pack8(p, q);
}

// The tap of step k of the sum.
fn tapAt(task: Task, k: u32) -> vec2u {
  let tap = k / u.og;
  return vec2u(task.firstY + tap / max(task.tapsX, 1u) * u.stepH, task.firstX + tap % max(task.tapsX, 1u) * u.stepW);
}

fn fromA(task: Task, e: u32) -> vec3u { return pixelAt(min(task.i + e / 4u, task.pixels - 1u), task.lines, task.width); }
fn loadA(task: Task, home: vec3u, k0: u32, e: u32) -> vec4u {
  let k = k0 + e % 4u * 8u;
  let tap = tapAt(task, k);
  let oy = home.y + u32((i32(task.cy + u.padH) - i32(tap.x * u.dilationH)) / i32(u.strideH)); // exact; below zero it wraps
  let ox = home.z + u32((i32(task.cx + u.padW) - i32(tap.y * u.dilationW)) / i32(u.strideW));
  var v = vec4u();
  if (k < task.inner && oy < u.oh && ox < u.ow) { v = dy[(((home.x * u.oh + oy) * u.ow + ox) * u.co + task.g * u.og + k % u.og) / 8u]; }
  return v;
}
fn fromB(task: Task, e: u32) -> u32 { return min(task.j + e / 4u, u.cg - 1u); }
fn loadB(task: Task, home: u32, k0: u32, e: u32) -> vec4u {
  let k = k0 + e % 4u * 8u;
  let tap = tapAt(task, k);
  var v = vec4u();
  if (k < task.inner) { v = w[(((tap.x * u.fw + tap.y) * u.cg + home) * u.co + task.g * u.og + k % u.og) / 8u]; }
  return v;
}

fn placeA(e: u32) -> u32 { return placeRowsA(e); }
fn placeB(e: u32) -> u32 { return placeColumnsB(e); }
fn left(base: u32, i: u32, p: u32) -> L { return leftRows(base, i, p); }
fn right(base: u32, j: u32, p: u32) -> R { return rightColumns(base, j, p); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  var task: Task;
  task.i = wg.x * BM;
  task.j = wg.y * BN;
  task.g = wg.z % u.groups;
  task.cy = wg.z / u.groups / u.strideW;
  task.cx = wg.z / u.groups % u.strideW;
  task.lines = (u.ih - min(task.cy, u.ih) + u.strideH - 1u) / u.strideH;
  task.width = (u.iw - min(task.cx, u.iw) + u.strideW - 1u) / u.strideW;
  task.pixels = u.b * task.lines * task.width;
  if (task.i >= task.pixels) { return; }
  task.firstY = firstTap((task.cy + u.padH) % u.strideH, u.dilationH, u.strideH);
  task.firstX = firstTap((task.cx + u.padW) % u.strideW, u.dilationW, u.strideW);
  task.tapsX = (u.fw - min(task.firstX, u.fw) + u.stepW - 1u) / u.stepW;
  task.inner = (u.fh - min(task.firstY, u.fh) + u.stepH - 1u) / u.stepH * task.tapsX * u.og;
  makeTile(task, place, t, (task.inner + BK - 1u) / BK);
}

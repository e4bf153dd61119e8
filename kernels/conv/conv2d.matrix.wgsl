// y = act(x ∗ w + bias) + residual for f16 with subgroup matrices: rows of the product are pixels, columns the channels of a group, and
// the inner dimension is (ky, kx, c), in tiles of BM × BN (see lib/matrix-tile). Needs cg and og to be multiples of 8.
//#params
alias Elem = f32;
const BM = 64u;                                                     // pixels a workgroup makes
const BN = 64u;                                                     // channels
const WN = 32u;                                                     // of these a subgroup makes: 32 or 64
const STAGES = 2u;                                                  // slabs in workgroup memory: with two, one barrier a step
const SG = 32u;                                                     // width of the subgroup
//#end
//#use activation eight matrix matrixTile pixel
alias Elem8 = vec4u;                                                // eight halves
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem8>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> w: array<Elem8>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> y: array<Elem8>;     // [b, oh, ow, co]
@group(0) @binding(4) var<storage, read> bias: array<Elem8>;        // [co] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem8>;    // [b, oh, ow, co] //#if residual

struct Task { i: u32, j: u32, g: u32, pixels: u32, inner: u32 }

// Eight channels of a pixel.
fn finish(task: Task, first: vec4f, second: vec4f, pixel: u32, j8: u32) {
  if (pixel >= task.pixels || j8 >= u.og / 8u) { return; }
  let o8 = task.g * (u.og / 8u) + j8;
  let at = pixel * (u.co / 8u) + o8;
  var p = first;
  var q = second;
  p += low4(bias[o8]);                                              //#if bias
  q += high4(bias[o8]);                                             //#if bias
  p = relu4(p);                                                     //#if relu
  q = relu4(q);                                                     //#if relu
  p = gelu4(p);                                                     //#if gelu
  q = gelu4(q);                                                     //#if gelu
  p = silu4(p);                                                     //#if silu
  q = silu4(q);                                                     //#if silu
  p += low4(residual[at]);                                          //#if residual
  q += high4(residual[at]);                                         //#if residual
  y[at] = pack8(p, q);
}

// Where the filter begins for the pixel of vector e: first row of its image, row and column, which wrap above and left of it.
fn fromA(task: Task, e: u32) -> vec3u {
  let to = pixelAt(min(task.i + e / 4u, task.pixels - 1u), u.oh, u.ow);
  return vec3u(to.x * u.ih, to.y * u.strideH - u.padH, to.z * u.strideW - u.padW);
}
fn loadA(task: Task, home: vec3u, k0: u32, e: u32) -> vec4u {
  let k = k0 + e % 4u * 8u;
  let tap = k / u.cg;
  let iy = home.y + tap / u.fw * u.dilationH;
  let ix = home.z + tap % u.fw * u.dilationW;
  var v = vec4u();
  if (k < task.inner && iy < u.ih && ix < u.iw) { v = x[(((home.x + iy) * u.iw + ix) * u.ci + task.g * u.cg + k % u.cg) / 8u]; }
  return v;
}
fn fromB(task: Task, e: u32) -> u32 { return min(task.j / 8u + e % (BN / 8u), u.og / 8u - 1u) + task.g * (u.og / 8u); }
fn loadB(task: Task, home: u32, k0: u32, e: u32) -> vec4u { return w[min(k0 + e / (BN / 8u), task.inner - 1u) * (u.co / 8u) + home]; }

fn placeA(e: u32) -> u32 { return placeRowsA(e); }
fn placeB(e: u32) -> u32 { return placeRowsB(e); }
fn left(base: u32, i: u32, p: u32) -> L { return leftRows(base, i, p); }
fn right(base: u32, j: u32, p: u32) -> R { return rightRows(base, j, p); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let task = Task(wg.x * BM, wg.y * BN, wg.z, u.b * u.oh * u.ow, u.fh * u.fw * u.cg);
  makeTile(task, place, t, (task.inner + BK - 1u) / BK);
}

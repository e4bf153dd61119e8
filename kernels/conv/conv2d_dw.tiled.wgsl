// dw of y = x ∗ w in parts, each a product of matrices: rows are (ky, kx, c), columns the output channels of a group, and the
// inner dimension runs over the pixels of the part's share of the rows of dy.
//
//   workgroup   TILE × TILE of one part, 256 invocations
//   invocation  4 rows × 4 channels of that, in registers
//   step        DEPTH pixels, staged through workgroup memory
//
// Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
const TILE = 64u;
const DEPTH = 16u;
//#end
//#use pixel
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

var<workgroup> xs: array<vec4f, DEPTH * TILE / 4u>;                 // [DEPTH, TILE]
var<workgroup> ds: array<vec4f, DEPTH * TILE / 4u>;                 // [DEPTH, TILE]
const_assert TILE == 64u && DEPTH == 16u;                           // 256 invocations stage one vector of each a step

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let blocks = (u.og + TILE - 1u) / TILE;
  let g = wg.y / blocks;
  let og4 = u.og / 4u;
  let cg4 = u.cg / 4u;
  let co4 = u.co / 4u;
  let rows = u.fh * u.fw * cg4;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  let end = min(lines, (wg.z + 1u) * share) * u.ow;
  // Staging: this invocation brings four rows and four channels of one pixel.
  let row4 = wg.x * (TILE / 4u) + t % 16u;
  let c4 = g * cg4 + row4 % cg4;
  let down = row4 / cg4 / u.fw * u.dilationH - u.padH;              // wraps where it points above the image
  let right = row4 / cg4 % u.fw * u.dilationW - u.padW;
  let o4 = wg.y % blocks * (TILE / 4u) + t % 16u;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var k0 = wg.z * share * u.ow; k0 < end; k0 += DEPTH) {
    let k = k0 + t / 16u;
    let place = pixelAt(k, u.oh, u.ow);
    let iy = place.y * u.strideH + down;
    let ix = place.z * u.strideW + right;
    var v = vec4f(0.0);
    var d = vec4f(0.0);
    if (k < end && row4 < rows && iy < u.ih && ix < u.iw) { v = vec4f(x[((place.x * u.ih + iy) * u.iw + ix) * (u.ci / 4u) + c4]); }
    if (k < end && o4 < og4) { d = vec4f(dy[k * co4 + g * og4 + o4]); }
    workgroupBarrier();                                             // the step before has been read
    xs[t] = v;
    ds[t] = d;
    workgroupBarrier();                                             // this step has been written
    for (var i = 0u; i < DEPTH; i++) {
      let p = xs[i * (TILE / 4u) + t / 16u];
      let q = ds[i * (TILE / 4u) + t % 16u];
      a0 += p.x * q;
      a1 += p.y * q;
      a2 += p.z * q;
      a3 += p.w * q;
    }
  }
  let row = wg.x * (TILE / 4u) + t / 16u;
  if (row >= rows || o4 >= og4) { return; }
  let to = (wg.z * rows + row) * 4u * co4 + g * og4 + o4;
  parts[to] = a0;
  parts[to + co4] = a1;
  parts[to + 2u * co4] = a2;
  parts[to + 3u * co4] = a3;
}

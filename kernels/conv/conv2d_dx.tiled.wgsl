// dx of y = x ∗ w, class by class as in conv2d_dx.broadcast, as a product of matrices: rows are the pixels of a class, columns
// the channels of a group, and the inner dimension is (ky, kx, o) over the taps that the class meets.
//
//   workgroup   TILE × TILE of dx, 256 invocations
//   invocation  4 pixels × 4 channels of that, in registers
//   step        DEPTH of the inner dimension, staged through workgroup memory
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
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, stepH: u32, stepW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(2) var<storage, read> w: array<Elem4>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem4>;    // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem4>;    // [b, ih, iw, ci] //#if residual

fn finish(pixel: u32, c4: u32, sum: vec4f) {
  let at = pixel * (u.ci / 4u) + c4;
  var r = sum;
  r += vec4f(residual[at]);                                         //#if residual
  dx[at] = Elem4(r);
}

var<workgroup> ds: array<f32, DEPTH * (TILE + 1u)>;                 // [DEPTH, TILE], rows one longer: no bank conflicts
var<workgroup> ws: array<f32, DEPTH * (TILE + 1u)>;                 // [DEPTH, TILE], likewise
const_assert TILE == 64u && DEPTH == 16u;                           // 256 invocations stage one vector of each a step

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.groups / u.strideW;                             // the class
  let cx = wg.z / u.groups % u.strideW;
  let g = wg.z % u.groups;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let pixels = u.b * rows * columns;
  if (wg.x * TILE >= pixels) { return; }
  let firstY = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH);
  let firstX = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW);
  let tapsX = (u.fw - min(firstX, u.fw) + u.stepW - 1u) / u.stepW;
  let tapsY = (u.fh - min(firstY, u.fh) + u.stepH - 1u) / u.stepH;
  let inner = tapsY * tapsX * u.og;
  let co4 = u.co / 4u;
  // Staging: this invocation brings four inner indices of one pixel, and of one channel.
  let staged = t / 4u;
  let stagedDepth = t % 4u * 4u;
  let to = pixelAt(wg.x * TILE + staged, rows, columns);
  let c = wg.y * TILE + staged;
  let row = t / 16u * 4u;
  let column = t % 16u * 4u;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var k0 = 0u; k0 < inner; k0 += DEPTH) {
    let k = k0 + stagedDepth;
    let tap = k / u.og;
    let ky = firstY + tap / tapsX * u.stepH;
    let kx = firstX + tap % tapsX * u.stepW;
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));  // exact; below zero it wraps
    let ox = to.z + u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW));
    let o4 = (g * u.og + k % u.og) / 4u;
    var v = vec4f(0.0);
    var p = vec4f(0.0);
    if (k < inner && to.x < u.b && oy < u.oh && ox < u.ow) { v = vec4f(dy[((to.x * u.oh + oy) * u.ow + ox) * co4 + o4]); }
    if (k < inner && c < u.cg) { p = vec4f(w[((ky * u.fw + kx) * u.cg + c) * co4 + o4]); }
    workgroupBarrier();                                             // the step before has been read
    let at = stagedDepth * (TILE + 1u) + staged;
    ds[at] = v.x;
    ds[at + TILE + 1u] = v.y;
    ds[at + 2u * (TILE + 1u)] = v.z;
    ds[at + 3u * (TILE + 1u)] = v.w;
    ws[at] = p.x;
    ws[at + TILE + 1u] = p.y;
    ws[at + 2u * (TILE + 1u)] = p.z;
    ws[at + 3u * (TILE + 1u)] = p.w;
    workgroupBarrier();                                             // this step has been written
    for (var d = 0u; d < DEPTH; d++) {
      let atD = d * (TILE + 1u) + row;
      let atW = d * (TILE + 1u) + column;
      let q = vec4f(ws[atW], ws[atW + 1u], ws[atW + 2u], ws[atW + 3u]);
      a0 += ds[atD] * q;
      a1 += ds[atD + 1u] * q;
      a2 += ds[atD + 2u] * q;
      a3 += ds[atD + 3u] * q;
    }
  }
  if (wg.y * TILE + column >= u.cg) { return; }
  let c4 = (g * u.cg + wg.y * TILE + column) / 4u;
  let first = wg.x * TILE + row;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(a0, a1, a2, a3);
  for (var i = 0u; i < 4u; i++) {
    if (first + i < pixels) { finish(placeOf(first + i, rows, columns, cy, cx), c4, sums[i]); }
  }
}

// Flat index in the image batch of a pixel of the class.
fn placeOf(index: u32, rows: u32, columns: u32, cy: u32, cx: u32) -> u32 {
  let at = pixelAt(index, rows, columns);
  return (at.x * u.ih + cy + at.y * u.strideH) * u.iw + cx + at.z * u.strideW;
}

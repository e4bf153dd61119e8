// y = act(x ∗ w + bias) + residual as a product of matrices: rows are pixels, columns the channels of a group, and the
// inner dimension is (ky, kx, c).
//
//   workgroup   TILE × TILE of y, 256 invocations
//   invocation  4 pixels × 4 channels of that, in registers
//   step        DEPTH of the inner dimension, staged through workgroup memory
//
// Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
const TILE = 64u;
const DEPTH = 16u;
//#end
//#use activation pixel
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> w: array<Elem4>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> y: array<Elem4>;     // [b, oh, ow, co]
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [co] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [b, oh, ow, co] //#if residual

// Applies the epilogue to four channels from 4 · o4 on and stores them.
fn finish(pixel: u32, o4: u32, sum: vec4f) {
  let at = pixel * (u.co / 4u) + o4;
  var r = sum;
  r += vec4f(bias[o4]);                                             //#if bias
  r = relu4(r);                                                     //#if relu
  r = gelu4(r);                                                     //#if gelu
  r = silu4(r);                                                     //#if silu
  r += vec4f(residual[at]);                                         //#if residual
  y[at] = Elem4(r);
}

var<workgroup> xs: array<f32, DEPTH * (TILE + 1u)>;                 // [DEPTH, TILE], rows one longer: no bank conflicts
var<workgroup> ws: array<vec4f, DEPTH * TILE / 4u>;                 // [DEPTH, TILE]
const_assert TILE == 64u && DEPTH == 16u;                           // 256 invocations stage one vector of each a step

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let pixels = u.b * u.oh * u.ow;
  let inner = u.fh * u.fw * u.cg;
  let co4 = u.co / 4u;
  let og4 = u.og / 4u;
  // Staging: this invocation brings four inner indices of one pixel, and four channels of one inner index.
  let stagedPixel = t / 4u;
  let stagedDepth = t % 4u * 4u;
  let brought = wg.x * TILE + stagedPixel;
  let to = pixelAt(brought, u.oh, u.ow);
  let top = to.y * u.strideH - u.padH;
  let left = to.z * u.strideW - u.padW;
  let o4Staged = wg.y * (TILE / 4u) + t % 16u;
  let row = t / 16u * 4u;
  let column = t % 16u;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var k0 = 0u; k0 < inner; k0 += DEPTH) {
    let k = k0 + stagedDepth;
    let tap = k / u.cg;
    let iy = top + tap / u.fw * u.dilationH;                        // above the image: wraps, and is no longer < ih
    let ix = left + tap % u.fw * u.dilationW;
    var v = vec4f(0.0);
    if (k < inner && brought < pixels && iy < u.ih && ix < u.iw) {
      v = vec4f(x[(((to.x * u.ih + iy) * u.iw + ix) * u.ci + wg.z * u.cg + k % u.cg) / 4u]);
    }
    var p = vec4f(0.0);
    let kw = k0 + t / 16u;
    if (kw < inner && o4Staged < og4) { p = vec4f(w[kw * co4 + wg.z * og4 + o4Staged]); }
    workgroupBarrier();                                             // the step before has been read
    let atX = stagedDepth * (TILE + 1u) + stagedPixel;
    xs[atX] = v.x;
    xs[atX + TILE + 1u] = v.y;
    xs[atX + 2u * (TILE + 1u)] = v.z;
    xs[atX + 3u * (TILE + 1u)] = v.w;
    ws[t] = p;
    workgroupBarrier();                                             // this step has been written
    for (var d = 0u; d < DEPTH; d++) {
      let q = ws[d * (TILE / 4u) + column];
      let at = d * (TILE + 1u) + row;
      a0 += xs[at] * q;
      a1 += xs[at + 1u] * q;
      a2 += xs[at + 2u] * q;
      a3 += xs[at + 3u] * q;
    }
  }
  if (wg.y * (TILE / 4u) + column >= og4) { return; }
  let o4 = wg.z * og4 + wg.y * (TILE / 4u) + column;
  let pixel = wg.x * TILE + row;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(a0, a1, a2, a3);
  for (var i = 0u; i < 4u; i++) {
    if (pixel + i < pixels) { finish(pixel + i, o4, sums[i]); }
  }
}

// y = act(x ∗ w + bias) + residual as a product of matrices: rows are pixels, columns the channels of a group, and the
// inner dimension is (ky, kx, c).
//
//   workgroup   ROWS pixels × COLUMNS channels of y, 128 invocations
//   invocation  8 pixels 16 apart × 2 groups of 4 channels of that, in registers
//   step        DEPTH of the inner dimension, loaded while the step before is multiplied, staged through workgroup memory
//
// Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
const ROWS = 128u;
const COLUMNS = 64u;
const DEPTH = 16u;
const UNROLL = 0u;                                                  // 1: a step is multiplied whole, for compilers to unroll
//#end
//#use activation pixel tile
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

const_assert COLUMNS == 64u;                                        // what 128 invocations stage and multiply

// Four channels of x at a tap of a pixel, whose filter begins at `top`, `left`: zeros outside of the image, where these wrap.
fn loadX(image: u32, top: u32, left: u32, tap: vec2u, c: u32, inside: bool) -> vec4f {
  let iy = top + tap.y * u.dilationH;
  let ix = left + tap.x * u.dilationW;
  var v = vec4f();
  if (inside && iy < u.ih && ix < u.iw) { v = vec4f(x[(((image * u.ih + iy) * u.iw + ix) * u.ci + c) / 4u]); }
  return v;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let pixels = u.b * u.oh * u.ow;
  let inner = u.fh * u.fw * u.cg;
  let co4 = u.co / 4u;
  let og4 = u.og / 4u;
  // Staging: this invocation brings four inner indices of four pixels, 32 apart, and four channels of two inner indices.
  let place = placeInRow(t / 4u, t % 4u);
  let pixel0 = wg.x * ROWS + t / 4u + 0u;
  let to0 = pixelAt(min(pixel0, pixels - 1u), u.oh, u.ow);
  let pixel1 = wg.x * ROWS + t / 4u + 32u;
  let to1 = pixelAt(min(pixel1, pixels - 1u), u.oh, u.ow);
  let pixel2 = wg.x * ROWS + t / 4u + 64u;
  let to2 = pixelAt(min(pixel2, pixels - 1u), u.oh, u.ow);
  let pixel3 = wg.x * ROWS + t / 4u + 96u;
  let to3 = pixelAt(min(pixel3, pixels - 1u), u.oh, u.ow);
  let column = min(wg.y * COLUMNS4 + t % 16u, og4 - 1u) + wg.z * og4;
  let ty = t / 8u;
  let tx = t % 8u;
  var tile = Tile();
  for (var k0 = 0u; k0 < inner + DEPTH; k0 += DEPTH) {
    // The step at k0 is loaded while the staged one, before it, is multiplied.
    let k = k0 + t % 4u * 4u;
    let tap = vec2u(k / u.cg % u.fw, k / u.cg / u.fw);
    let c = wg.z * u.cg + k % u.cg;
    let x0 = loadX(to0.x, to0.y * u.strideH - u.padH, to0.z * u.strideW - u.padW, tap, c, k < inner);
    let x1 = loadX(to1.x, to1.y * u.strideH - u.padH, to1.z * u.strideW - u.padW, tap, c, k < inner);
    let x2 = loadX(to2.x, to2.y * u.strideH - u.padH, to2.z * u.strideW - u.padW, tap, c, k < inner);
    let x3 = loadX(to3.x, to3.y * u.strideH - u.padH, to3.z * u.strideW - u.padW, tap, c, k < inner);
    let w0 = vec4f(w[min(k0 + t / 16u, inner - 1u) * co4 + column]); // past the end it meets zeros of x
    let w1 = vec4f(w[min(k0 + t / 16u + 8u, inner - 1u) * co4 + column]);
    if (k0 > 0u) {
      let count = select(min(K4, (inner + DEPTH - k0) / 4u), K4, UNROLL == 1u);
      tile = multiplyStep(tile, ty, tx, count);
    }
    workgroupBarrier();                                             // the step before has been read
    tileRows[place + 0u * K4] = x0;
    tileRows[place + 32u * K4] = x1;
    tileRows[place + 64u * K4] = x2;
    tileRows[place + 96u * K4] = x3;
    tileColumns[t] = w0;
    tileColumns[t + 128u] = w1;
    workgroupBarrier();                                             // this step has been written
  }
  // A loop over copies, so that the epilogue is compiled once.
  var sums = sumsOf(tile);
  for (var r = 0u; r < 16u; r++) {
    let pixel = wg.x * ROWS + ty + 16u * (r % 8u);
    let o4 = wg.y * COLUMNS4 + tx + 8u * (r / 8u);
    if (pixel < pixels && o4 < og4) { finish(pixel, wg.z * og4 + o4, sums[r]); }
  }
}

// y = act(x ∗ w + bias) + residual where every channel has a filter of its own: an invocation computes 8 neighbouring pixels × 4
// channels. They share most of their inputs: a window of 8 slides along each row, and every input of the row is read once.
// Needs cg = og = 1, a multiple of 4 channels, and neither stride nor dilation along rows.
//#params
alias Elem = f32;
const WIDTH = 32u;
const FW = 3u;                                                      // width of the filter
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

// Four channels of the input in a column, zeros outside of the image.
fn input(line: u32, column: u32, c4: u32) -> vec4f {
  let ok = column < u.iw;                                           // left of the image it wraps
  return select(vec4f(), vec4f(x[select(0u, (line + column) * (u.co / 4u) + c4, ok)]), ok);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let c4s = u.co / 4u;
  let index = wg.x * WIDTH + t;
  let c4 = index % c4s;
  let strip = index / c4s;
  let across = (u.ow + 7u) / 8u;
  if (strip >= u.b * u.oh * across) { return; }
  let to = pixelAt(strip, u.oh, across) * vec3u(1u, 1u, 8u);        // image, row, first column
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f(); var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky * u.dilationH - u.padH;          // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    let line = (to.x * u.ih + iy) * u.iw;
    let ix = to.z - u.padW;
    var v0 = input(line, ix, c4);
    var v1 = input(line, ix + 1u, c4);
    var v2 = input(line, ix + 2u, c4);
    var v3 = input(line, ix + 3u, c4);
    var v4 = input(line, ix + 4u, c4);
    var v5 = input(line, ix + 5u, c4);
    var v6 = input(line, ix + 6u, c4);
    for (var kx = 0u; kx < FW; kx++) {
      let v7 = input(line, ix + kx + 7u, c4);
      let p = vec4f(w[(ky * FW + kx) * c4s + c4]);
      s0 += v0 * p;
      s1 += v1 * p;
      s2 += v2 * p;
      s3 += v3 * p;
      s4 += v4 * p;
      s5 += v5 * p;
      s6 += v6 * p;
      s7 += v7 * p;
      v0 = v1;
      v1 = v2;
      v2 = v3;
      v3 = v4;
      v4 = v5;
      v5 = v6;
      v6 = v7;
    }
  }
  let pixel = (to.x * u.oh + to.y) * u.ow + to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var i = 0u; i < min(u.ow - to.z, 8u); i++) { finish(pixel + i, c4, sums[i]); }
}

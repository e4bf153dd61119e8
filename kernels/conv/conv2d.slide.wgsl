// y = act(x ∗ w + bias) + residual where every channel has a filter of its own: an invocation computes 8 neighbouring pixels × 4
// channels, with a window that slides along each row (lib/slide).
// Needs cg = og = 1, a multiple of 4 channels, and neither stride nor dilation along rows.
//#params
alias Elem = f32;
const WIDTH = 32u;
const FW = 3u;                                                      // width of the filter
//#end
//#use activation pixel slide
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

fn inputAt(line: u32, column: u32, c4: u32) -> vec4f {
  let ok = column < u.iw;                                           // left of the image it wraps
  return select(vec4f(), vec4f(x[select(0u, (line + column) * (u.co / 4u) + c4, ok)]), ok);
}

fn weightAt(ky: u32, k: u32, c4: u32) -> vec4f { return vec4f(w[(ky * FW + k) * (u.co / 4u) + c4]); }

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
  var s = Eight();
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky * u.dilationH - u.padH;          // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    s = slideRow(s, (to.x * u.ih + iy) * u.iw, to.z - u.padW, ky, c4);
  }
  let pixel = (to.x * u.oh + to.y) * u.ow + to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h);
  for (var i = 0u; i < min(u.ow - to.z, 8u); i++) { finish(pixel + i, c4, sums[i]); }
}

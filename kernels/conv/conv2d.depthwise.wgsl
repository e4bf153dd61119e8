// y = act(x ∗ w + bias) + residual where every channel has a filter of its own: an invocation computes 4 neighbouring
// pixels × 4 channels. Needs cg = og = 1 and a multiple of 4 channels.
//#params
alias Elem = f32;
const WIDTH = 32u;
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

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let c4s = u.co / 4u;
  let index = wg.x * WIDTH + t;
  let c4 = index % c4s;
  let strip = index / c4s;
  if (strip >= u.b * u.oh * ((u.ow + 3u) / 4u)) { return; }
  let to = stripAt(strip, u.oh, u.ow);
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky * u.dilationH - u.padH;          // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    let line = (to.x * u.ih + iy) * u.iw;
    for (var kx = 0u; kx < u.fw; kx++) {
      let ix = to.z * u.strideW + kx * u.dilationW - u.padW;
      let columns = vec4u(ix, ix + u.strideW, ix + 2u * u.strideW, ix + 3u * u.strideW);
      let ok = columns < vec4u(u.iw);
      let at = select(vec4u(0u), (line + columns) * c4s + c4, ok);
      let p = vec4f(w[(ky * u.fw + kx) * c4s + c4]);
      a0 += select(vec4f(0.0), vec4f(x[at.x]), ok.x) * p;
      a1 += select(vec4f(0.0), vec4f(x[at.y]), ok.y) * p;
      a2 += select(vec4f(0.0), vec4f(x[at.z]), ok.z) * p;
      a3 += select(vec4f(0.0), vec4f(x[at.w]), ok.w) * p;
    }
  }
  let pixel = (to.x * u.oh + to.y) * u.ow + to.z;
  let count = u.ow - to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(a0, a1, a2, a3);
  for (var i = 0u; i < min(count, 4u); i++) { finish(pixel + i, c4, sums[i]); }
}

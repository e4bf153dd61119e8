// y = act(x ∗ w + bias) + residual, one invocation per element of y: the readable specification.
//#params
alias Elem = f32;
//#end
//#use activation pixel
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> w: array<Elem>;            // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;      // [b, oh, ow, co]
@group(0) @binding(4) var<storage, read> bias: array<Elem>;         // [co] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem>;     // [b, oh, ow, co] //#if residual

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let o = wg.x * 8u + local.x;
  let pixel = wg.y * 8u + local.y;
  if (o >= u.co || pixel >= u.b * u.oh * u.ow) { return; }
  let to = pixelAt(pixel, u.oh, u.ow);
  let first = o / u.og * u.cg;                                      // of the group's input channels
  var sum = 0.0;
  for (var ky = 0u; ky < u.fh; ky++) {
    for (var kx = 0u; kx < u.fw; kx++) {
      let iy = to.y * u.strideH + ky * u.dilationH - u.padH;        // above the image: wraps, and is no longer < ih
      let ix = to.z * u.strideW + kx * u.dilationW - u.padW;
      if (iy >= u.ih || ix >= u.iw) { continue; }
      let atX = ((to.x * u.ih + iy) * u.iw + ix) * u.ci + first;
      let atW = (ky * u.fw + kx) * u.cg * u.co + o;
      for (var c = 0u; c < u.cg; c++) { sum += f32(x[atX + c]) * f32(w[atW + c * u.co]); }
    }
  }
  sum += f32(bias[o]);                                              //#if bias
  sum = relu(sum);                                                  //#if relu
  sum = gelu(sum);                                                  //#if gelu
  sum = silu(sum);                                                  //#if silu
  sum += f32(residual[pixel * u.co + o]);                           //#if residual
  y[pixel * u.co + o] = Elem(sum);
}

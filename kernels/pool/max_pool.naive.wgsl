// y = the largest x of each window, one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
//#use pixel
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, c: u32, oh: u32, ow: u32, fh: u32, fw: u32,
  strideH: u32, strideW: u32, padH: u32, padW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, c]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [b, oh, ow, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  if (at >= u.b * u.oh * u.ow * u.c) { return; }
  let c = at % u.c;
  let to = pixelAt(at / u.c, u.oh, u.ow);
  var best = -0x1.fffffep+127f;                                 // padding never wins: a window has a pixel of the image
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky - u.padH;                        // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    for (var kx = 0u; kx < u.fw; kx++) {
      let ix = to.z * u.strideW + kx - u.padW;
      if (ix < u.iw) { best = max(best, f32(x[((to.x * u.ih + iy) * u.iw + ix) * u.c + c])); }
    }
  }
  y[at] = Elem(best);
}

// dx of y = x ∗ w, one invocation per element: gathers every dy that this element of x went into.
//#params
alias Elem = f32;
//#end
//#use pixel
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, stepH: u32, stepW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;           // [b, oh, ow, co]
@group(0) @binding(2) var<storage, read> w: array<Elem>;            // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem>;     // [b, ih, iw, ci] //#if residual

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let c = wg.x * 8u + local.x;
  let pixel = wg.y * 8u + local.y;
  if (c >= u.ci || pixel >= u.b * u.ih * u.iw) { return; }
  let at = pixelAt(pixel, u.ih, u.iw);
  let first = c / u.cg * u.og;                                      // of the group's output channels
  var sum = 0.0;
  for (var ky = 0u; ky < u.fh; ky++) {
    for (var kx = 0u; kx < u.fw; kx++) {
      // oy · strideH + ky · dilationH − padH = iy
      let sy = i32(at.y + u.padH) - i32(ky * u.dilationH);
      let sx = i32(at.z + u.padW) - i32(kx * u.dilationW);
      if (sy < 0 || sx < 0) { continue; }
      let oy = u32(sy) / u.strideH;
      let ox = u32(sx) / u.strideW;
      if (oy * u.strideH != u32(sy) || ox * u.strideW != u32(sx) || oy >= u.oh || ox >= u.ow) { continue; }
      let atY = ((at.x * u.oh + oy) * u.ow + ox) * u.co + first;
      let atW = ((ky * u.fw + kx) * u.cg + c % u.cg) * u.co + first;
      for (var o = 0u; o < u.og; o++) { sum += f32(dy[atY + o]) * f32(w[atW + o]); }
    }
  }
  sum += f32(residual[pixel * u.ci + c]);                           //#if residual
  dx[pixel * u.ci + c] = Elem(sum);
}

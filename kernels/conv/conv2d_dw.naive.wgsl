// dw of y = x ∗ w, one invocation per weight and split; split s sums over its share of the rows of dy.
//#params
alias Elem = f32;
//#end
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem>;           // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;   // [splits, fh, fw, cg, co]

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let o = wg.x * 8u + local.x;
  let row = wg.y * 8u + local.y;                                    // (ky, kx, c)
  let rows = u.fh * u.fw * u.cg;
  if (o >= u.co || row >= rows) { return; }
  let c = o / u.og * u.cg + row % u.cg;
  let kx = row / u.cg % u.fw;
  let ky = row / u.cg / u.fw;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var sum = 0.0;
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let iy = line % u.oh * u.strideH + ky * u.dilationH - u.padH;   // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    for (var ox = 0u; ox < u.ow; ox++) {
      let ix = ox * u.strideW + kx * u.dilationW - u.padW;
      if (ix >= u.iw) { continue; }
      sum += f32(x[((line / u.oh * u.ih + iy) * u.iw + ix) * u.ci + c]) * f32(dy[(line * u.ow + ox) * u.co + o]);
    }
  }
  parts[(wg.z * rows + row) * u.co + o] = sum;
}

// dw of y = x ∗ w in parts where every channel has a filter of its own: part s sums over its share of the rows of dy; an
// invocation computes one tap × 4 channels. Needs cg = og = 1 and a multiple of 4 channels.
//#params
alias Elem = f32;
const WIDTH = 32u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let c4s = u.co / 4u;
  let index = wg.x * WIDTH + t;                                     // (ky, kx, c / 4)
  if (index >= u.fh * u.fw * c4s) { return; }
  let c4 = index % c4s;
  let kx = index / c4s % u.fw;
  let ky = index / c4s / u.fw;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var sum = vec4f(0.0);
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let iy = line % u.oh * u.strideH + ky * u.dilationH - u.padH;   // above the image: wraps, and is no longer < ih
    if (iy >= u.ih) { continue; }
    let base = (line / u.oh * u.ih + iy) * u.iw;
    for (var ox = 0u; ox < u.ow; ox++) {
      let ix = ox * u.strideW + kx * u.dilationW - u.padW;
      let ok = ix < u.iw;
      let v = vec4f(x[select(0u, (base + ix) * c4s + c4, ok)]) * vec4f(dy[(line * u.ow + ox) * c4s + c4]);
      sum += select(vec4f(0.0), v, ok);
    }
  }
  parts[wg.z * u.fh * u.fw * c4s + index] = sum;
}

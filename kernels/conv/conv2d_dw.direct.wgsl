// dw of y = x ∗ w in parts: part s sums over its share of the rows of dy. An invocation computes four rows (ky, kx, c) of dw
// × 8 output channels in registers, and reads x element by element, so that it takes any number of input channels.
// Needs og to be a multiple of 4.
//#params
alias Elem = f32;
const WIDTH = 8u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let rows = u.fh * u.fw * u.cg;
  let first = (wg.x * WIDTH + t) * 4u;
  if (first >= rows) { return; }
  let blocks = (u.og + 7u) / 8u;
  let g = wg.y / blocks;
  let o = wg.y % blocks * 8u;
  let second = select(0u, 1u, o + 4u < u.og);                       // 0 where the group has no further 4 channels
  let co4 = u.co / 4u;
  let o4 = (g * u.og + o) / 4u;
  let row = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u));
  let c = g * u.cg + row % u.cg;
  let down = row / u.cg / u.fw * u.dilationH - u.padH;              // wraps where it points above the image
  let right = row / u.cg % u.fw * u.dilationW - u.padW;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let iy = line % u.oh * u.strideH + down;
    let inside = iy < vec4u(u.ih);
    let base = (line / u.oh * u.ih + iy) * u.iw;
    for (var ox = 0u; ox < u.ow; ox++) {
      let ix = ox * u.strideW + right;
      let ok = inside & (ix < vec4u(u.iw));
      let at = select(vec4u(0u), (base + ix) * u.ci + c, ok);
      let v = select(vec4f(0.0), vec4f(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w])), ok);
      let atY = (line * u.ow + ox) * co4 + o4;
      let p = vec4f(dy[atY]);
      let q = vec4f(dy[atY + second]);
      a0 += v.x * p; a1 += v.y * p; a2 += v.z * p; a3 += v.w * p;
      b0 += v.x * q; b1 += v.y * q; b2 += v.z * q; b3 += v.w * q;
    }
  }
  let to = (wg.z * rows + first) * co4 + o4;
  let count = rows - first;
  parts[to] = a0;
  if (count > 1u) { parts[to + co4] = a1; }
  if (count > 2u) { parts[to + 2u * co4] = a2; }
  if (count > 3u) { parts[to + 3u * co4] = a3; }
  if (second == 0u) { return; }
  parts[to + 1u] = b0;
  if (count > 1u) { parts[to + co4 + 1u] = b1; }
  if (count > 2u) { parts[to + 2u * co4 + 1u] = b2; }
  if (count > 3u) { parts[to + 3u * co4 + 1u] = b3; }
}

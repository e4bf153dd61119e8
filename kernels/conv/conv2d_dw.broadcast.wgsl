// dw of y = x ∗ w in parts: part s sums over its share of the rows of dy. An invocation computes 4 input channels at one tap
// × 8 output channels in registers, four pixels a step; the eight vectors of dy that a step takes are read by a subgroup
// together, one or two a lane, and handed round. No workgroup memory and no barrier.
// Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SUBGROUP = 8u;
const WIDTH = 8u;
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
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let blocks = (u.og + 7u) / 8u;
  let g = wg.y / blocks;
  let o = wg.y % blocks * 8u;
  let second = select(0u, 1u, o + 4u < u.og);                       // 0 where the group has no further 4 channels
  let ci4 = u.ci / 4u;
  let co4 = u.co / 4u;
  let cg4 = u.cg / 4u;
  let o4 = (g * u.og + o) / 4u;
  let rows = u.fh * u.fw * cg4;
  let index = wg.x * WIDTH + t;
  let row = select(0u, index, index < rows);                        // (ky, kx, c / 4); who has none works on the first
  let c4 = g * cg4 + row % cg4;
  let kx = row / cg4 % u.fw;
  let ky = row / cg4 / u.fw;
  let mine = lane % 2u * second + o4;                               // this lane's part of four pixels × 8 channels
  let step = vec4u(0u, 1u, 2u, 3u) * u.strideW;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let iy = line % u.oh * u.strideH + ky * u.dilationH - u.padH;   // above the image: wraps, and is no longer < ih
    let base = (line / u.oh * u.ih + iy) * u.iw;
    for (var ox = 0u; ox < u.ow; ox += 4u) {
      let columns = ox * u.strideW + kx * u.dilationW - u.padW + step;
      let ok = (columns < vec4u(u.iw)) & vec4<bool>(iy < u.ih);
      let at = select(vec4u(0u), (base + columns) * ci4 + c4, ok);
      let v0 = select(vec4f(0.0), vec4f(x[at.x]), ok.x);
      let v1 = select(vec4f(0.0), vec4f(x[at.y]), ok.y);
      let v2 = select(vec4f(0.0), vec4f(x[at.z]), ok.z);
      let v3 = select(vec4f(0.0), vec4f(x[at.w]), ok.w);
      let near = ox + lane / 2u % 4u;
      let low = select(vec4f(0.0), vec4f(dy[(line * u.ow + min(near, u.ow - 1u)) * co4 + mine]), near < u.ow);
      var high = low;
      if (SUBGROUP == 4u) {
        high = select(vec4f(0.0), vec4f(dy[(line * u.ow + min(near + 2u, u.ow - 1u)) * co4 + mine]), near + 2u < u.ow);
      }
      var p = subgroupBroadcast(low, 0u);
      var q = subgroupBroadcast(low, 1u);
      a0 += v0.x * p; a1 += v0.y * p; a2 += v0.z * p; a3 += v0.w * p;
      b0 += v0.x * q; b1 += v0.y * q; b2 += v0.z * q; b3 += v0.w * q;
      p = subgroupBroadcast(low, 2u);
      q = subgroupBroadcast(low, 3u);
      a0 += v1.x * p; a1 += v1.y * p; a2 += v1.z * p; a3 += v1.w * p;
      b0 += v1.x * q; b1 += v1.y * q; b2 += v1.z * q; b3 += v1.w * q;
      p = subgroupBroadcast(high, 4u % SUBGROUP);
      q = subgroupBroadcast(high, 5u % SUBGROUP);
      a0 += v2.x * p; a1 += v2.y * p; a2 += v2.z * p; a3 += v2.w * p;
      b0 += v2.x * q; b1 += v2.y * q; b2 += v2.z * q; b3 += v2.w * q;
      p = subgroupBroadcast(high, 6u % SUBGROUP);
      q = subgroupBroadcast(high, 7u % SUBGROUP);
      a0 += v3.x * p; a1 += v3.y * p; a2 += v3.z * p; a3 += v3.w * p;
      b0 += v3.x * q; b1 += v3.y * q; b2 += v3.z * q; b3 += v3.w * q;
    }
  }
  if (index >= rows) { return; }
  let to = (wg.z * rows + row) * 4u * co4 + o4;
  parts[to] = a0;
  parts[to + co4] = a1;
  parts[to + 2u * co4] = a2;
  parts[to + 3u * co4] = a3;
  if (second == 0u) { return; }
  parts[to + 1u] = b0;
  parts[to + co4 + 1u] = b1;
  parts[to + 2u * co4 + 1u] = b2;
  parts[to + 3u * co4 + 1u] = b3;
}

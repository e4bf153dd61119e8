// dw of y = x ∗ w in parts, for any number of input channels: part s sums over its share of the rows of dy. An invocation
// computes four rows (ky, kx, c) of dw × 8 output channels in registers, four pixels a step; the eight vectors of dy that a
// step takes are read by a subgroup together, one or two a lane, and handed round. No workgroup memory and no barrier.
// Needs og to be a multiple of 4 and subgroups of one known size, at least 4.
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
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

// x for four rows of dw where ok, else zero.
fn four(at: vec4u, ok: vec4<bool>) -> vec4f {
  let i = select(vec4u(0u), at, ok);
  return select(vec4f(0.0), vec4f(f32(x[i.x]), f32(x[i.y]), f32(x[i.z]), f32(x[i.w])), ok);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let blocks = (u.og + 7u) / 8u;
  let g = wg.y / blocks;
  let o = wg.y % blocks * 8u;
  let second = select(0u, 1u, o + 4u < u.og);                       // 0 where the group has no further 4 channels
  let co4 = u.co / 4u;
  let o4 = (g * u.og + o) / 4u;
  let rows = u.fh * u.fw * u.cg;
  let first = (wg.x * WIDTH + t) * 4u;
  let row = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(rows - 1u));   // rows past the end repeat the last and are not stored
  let c = g * u.cg + row % u.cg;
  let down = row / u.cg / u.fw * u.dilationH - u.padH;              // wraps where it points above the image
  let right = row / u.cg % u.fw * u.dilationW - u.padW;
  let mine = lane % 2u * second + o4;                               // this lane's part of four pixels × 8 channels
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let iy = line % u.oh * u.strideH + down;
    let inside = iy < vec4u(u.ih);
    let base = (line / u.oh * u.ih + iy) * u.iw;
    for (var ox = 0u; ox < u.ow; ox += 4u) {
      let ix0 = ox * u.strideW + right;
      let ix1 = ix0 + u.strideW;
      let ix2 = ix1 + u.strideW;
      let ix3 = ix2 + u.strideW;
      let v0 = four((base + ix0) * u.ci + c, inside & (ix0 < vec4u(u.iw)));
      let v1 = four((base + ix1) * u.ci + c, inside & (ix1 < vec4u(u.iw)));
      let v2 = four((base + ix2) * u.ci + c, inside & (ix2 < vec4u(u.iw)));
      let v3 = four((base + ix3) * u.ci + c, inside & (ix3 < vec4u(u.iw)));
      let pixel = ox + lane / 2u % 4u;
      let low = select(vec4f(0.0), vec4f(dy[(line * u.ow + min(pixel, u.ow - 1u)) * co4 + mine]), pixel < u.ow);
      var high = low;
      if (SUBGROUP == 4u) {
        high = select(vec4f(0.0), vec4f(dy[(line * u.ow + min(pixel + 2u, u.ow - 1u)) * co4 + mine]), pixel + 2u < u.ow);
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
  if (first >= rows) { return; }
  let to = (wg.z * rows + first) * co4 + o4;
  // A loop over copies: rows past the end are left out.
  var near = array(a0, a1, a2, a3);
  var far = array(b0, b1, b2, b3);
  for (var i = 0u; i < min(rows - first, 4u); i++) {
    parts[to + i * co4] = near[i];
    if (second == 1u) { parts[to + i * co4 + 1u] = far[i]; }
  }
}

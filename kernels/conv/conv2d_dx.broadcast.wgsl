// dx of y = x ∗ w. Pixels whose row and column leave the same remainders when divided by the strides meet the same taps:
// each such class is a convolution of stride 1 over dy, so that no tap is visited in vain. An invocation computes
// 4 neighbouring pixels of a class × 8 channels of a group in registers; the eight vectors of an 8 × 4 block of w are read by
// a subgroup together, one or two a lane, and handed round. No workgroup memory and no barrier.
// Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SUBGROUP = 8u;
const WIDTH = 32u;
//#end
//#use pixel
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, stepH: u32, stepW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(2) var<storage, read> w: array<Elem4>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem4>;    // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem4>;    // [b, ih, iw, ci] //#if residual

fn finish(pixel: u32, c4: u32, sum: vec4f) {
  let at = pixel * (u.ci / 4u) + c4;
  var r = sum;
  r += vec4f(residual[at]);                                         //#if residual
  dx[at] = Elem4(r);
}

// A row of the tile gains its dot products with four rows of w, whose columns are given.
fn gain(sum: vec4f, d: vec4f, columns: mat4x4f) -> vec4f {
  return sum + d.x * columns[0] + d.y * columns[1] + d.z * columns[2] + d.w * columns[3];
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.groups / u.strideW;                             // the class
  let cx = wg.z / u.groups % u.strideW;
  let g = wg.z % u.groups;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let strips = u.b * rows * ((columns + 3u) / 4u);
  if (wg.x * WIDTH >= strips) { return; }
  let strip = wg.x * WIDTH + t;
  // Invocations without a strip work on the first one: the subgroup stays whole.
  let to = stripAt(select(0u, strip, strip < strips), rows, columns);
  let co4 = u.co / 4u;
  let og4 = u.og / 4u;
  let c0 = wg.y * 8u;
  let second = c0 + 4u < u.cg;
  // The lane's row of an 8 × 4 block, and for narrow subgroups one 4 rows further on; kept inside the group.
  let low = min(c0 + lane % 8u % SUBGROUP, u.cg - 1u) * co4 + g * og4;
  let high = min(c0 + 4u + lane % 4u, u.cg - 1u) * co4 + g * og4;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh; ky += u.stepH) {
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));  // exact; below zero it wraps
    let line = (to.x * u.oh + oy) * u.ow;
    for (var kx = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW); kx < u.fw; kx += u.stepW) {
      let ox = to.z + u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW)) + vec4u(0u, 1u, 2u, 3u);
      let ok = (ox < vec4u(u.ow)) & vec4<bool>(oy < u.oh);
      let at = select(vec4u(0u), (line + ox) * co4 + g * og4, ok);
      let atW = (ky * u.fw + kx) * u.cg * co4;
      for (var o = 0u; o < og4; o++) {
        let v0 = select(vec4f(0.0), vec4f(dy[at.x + o]), ok.x);
        let v1 = select(vec4f(0.0), vec4f(dy[at.y + o]), ok.y);
        let v2 = select(vec4f(0.0), vec4f(dy[at.z + o]), ok.z);
        let v3 = select(vec4f(0.0), vec4f(dy[at.w + o]), ok.w);
        let m = vec4f(w[atW + low + o]);
        var n = m;
        if (SUBGROUP == 4u) { n = vec4f(w[atW + high + o]); }
        let p = transpose(mat4x4f(subgroupBroadcast(m, 0u), subgroupBroadcast(m, 1u), subgroupBroadcast(m, 2u), subgroupBroadcast(m, 3u)));
        a0 = gain(a0, v0, p);
        a1 = gain(a1, v1, p);
        a2 = gain(a2, v2, p);
        a3 = gain(a3, v3, p);
        let q = transpose(mat4x4f(
          subgroupBroadcast(n, 4u % SUBGROUP), subgroupBroadcast(n, 5u % SUBGROUP), subgroupBroadcast(n, 6u % SUBGROUP), subgroupBroadcast(n, 7u % SUBGROUP),
        ));
        b0 = gain(b0, v0, q);
        b1 = gain(b1, v1, q);
        b2 = gain(b2, v2, q);
        b3 = gain(b3, v3, q);
      }
    }
  }
  if (strip >= strips) { return; }
  let pixel = (to.x * u.ih + cy + to.y * u.strideH) * u.iw + cx + to.z * u.strideW;
  let count = columns - to.z;
  let c4 = (g * u.cg + c0) / 4u;
  // A loop over copies, so that the epilogue is compiled once.
  var near = array(a0, a1, a2, a3);
  var far = array(b0, b1, b2, b3);
  for (var i = 0u; i < min(count, 4u); i++) {
    finish(pixel + i * u.strideW, c4, near[i]);
    if (second) { finish(pixel + i * u.strideW, c4 + 1u, far[i]); }
  }
}

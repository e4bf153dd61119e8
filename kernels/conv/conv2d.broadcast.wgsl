// y = act(x ∗ w + bias) + residual, an invocation computing 4 neighbouring pixels × 8 channels of a group in registers.
// The eight vectors of a 4 × 8 block of w are read by a subgroup together, one or two a lane, and handed round.
// No workgroup memory and no barrier. Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SUBGROUP = 8u;
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
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let strips = u.b * u.oh * ((u.ow + 3u) / 4u);
  let strip = wg.x * WIDTH + t;
  // Invocations without a strip work on the first one: the subgroup stays whole.
  let to = stripAt(select(0u, strip, strip < strips), u.oh, u.ow);
  let o4 = wg.z * (u.og / 4u) + wg.y * 2u;
  let second = select(0u, 1u, wg.y * 8u + 4u < u.og);               // 0 where the group has no further 4 channels
  let ci4 = u.ci / 4u;
  let co4 = u.co / 4u;
  let cg4 = u.cg / 4u;
  let mine = (lane / 2u % 4u) * co4 + lane % 2u * second + o4;      // this lane's part of a 4 × 8 block
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky * u.dilationH - u.padH;          // above the image: wraps, and is no longer < ih
    let line = (to.x * u.ih + iy) * u.iw;
    for (var kx = 0u; kx < u.fw; kx++) {
      let ix = to.z * u.strideW + kx * u.dilationW - u.padW;
      let columns = vec4u(ix, ix + u.strideW, ix + 2u * u.strideW, ix + 3u * u.strideW);
      let ok = (columns < vec4u(u.iw)) & vec4<bool>(iy < u.ih);
      var at = select(vec4u(0u), (line + columns) * ci4 + wg.z * cg4, ok);
      var atW = (ky * u.fw + kx) * u.cg * co4 + mine;
      for (var c = 0u; c < cg4; c++) {
        let v0 = select(vec4f(0.0), vec4f(x[at.x + c]), ok.x);
        let v1 = select(vec4f(0.0), vec4f(x[at.y + c]), ok.y);
        let v2 = select(vec4f(0.0), vec4f(x[at.z + c]), ok.z);
        let v3 = select(vec4f(0.0), vec4f(x[at.w + c]), ok.w);
        let low = vec4f(w[atW]);
        var high = low;
        if (SUBGROUP == 4u) { high = vec4f(w[atW + 2u * co4]); }
        atW += 4u * co4;
        var p = subgroupBroadcast(low, 0u);
        var q = subgroupBroadcast(low, 1u);
        a0 += v0.x * p; a1 += v1.x * p; a2 += v2.x * p; a3 += v3.x * p;
        b0 += v0.x * q; b1 += v1.x * q; b2 += v2.x * q; b3 += v3.x * q;
        p = subgroupBroadcast(low, 2u);
        q = subgroupBroadcast(low, 3u);
        a0 += v0.y * p; a1 += v1.y * p; a2 += v2.y * p; a3 += v3.y * p;
        b0 += v0.y * q; b1 += v1.y * q; b2 += v2.y * q; b3 += v3.y * q;
        p = subgroupBroadcast(high, 4u % SUBGROUP);
        q = subgroupBroadcast(high, 5u % SUBGROUP);
        a0 += v0.z * p; a1 += v1.z * p; a2 += v2.z * p; a3 += v3.z * p;
        b0 += v0.z * q; b1 += v1.z * q; b2 += v2.z * q; b3 += v3.z * q;
        p = subgroupBroadcast(high, 6u % SUBGROUP);
        q = subgroupBroadcast(high, 7u % SUBGROUP);
        a0 += v0.w * p; a1 += v1.w * p; a2 += v2.w * p; a3 += v3.w * p;
        b0 += v0.w * q; b1 += v1.w * q; b2 += v2.w * q; b3 += v3.w * q;
      }
    }
  }
  if (strip >= strips) { return; }
  let pixel = (to.x * u.oh + to.y) * u.ow + to.z;
  let count = u.ow - to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var near = array(a0, a1, a2, a3);
  var far = array(b0, b1, b2, b3);
  for (var i = 0u; i < min(count, 4u); i++) {
    finish(pixel + i, o4, near[i]);
    if (second == 1u) { finish(pixel + i, o4 + 1u, far[i]); }
  }
}

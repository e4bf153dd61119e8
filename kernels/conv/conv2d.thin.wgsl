// y = act(x ∗ w + bias) + residual for few input channels, an invocation computing 4 neighbouring pixels × 8 channels in
// registers. The taps and channels (kx, c) that one row of the filter meets lie one after another in x and in w: four of
// them make a step, wherever one tap ends and the next begins. The eight vectors of a 4 × 8 block of w are read by a subgroup
// together, one or two a lane, and handed round. No workgroup memory and no barrier.
// Needs one group, no horizontal dilation, og a multiple of 4 and subgroups of one known size, at least 4.
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
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, ih, iw, ci]
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

// Elements at to at + 3 of a row of the image that begins at line; zero where mask is false.
fn four(line: u32, at: u32, mask: vec4<bool>, length: u32) -> vec4f {
  let i = at + vec4u(0u, 1u, 2u, 3u);
  let ok = mask & (i < vec4u(length));
  let j = select(vec4u(0u), line + i, ok);
  return select(vec4f(0.0), vec4f(f32(x[j.x]), f32(x[j.y]), f32(x[j.z]), f32(x[j.w])), ok);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let strips = u.b * u.oh * ((u.ow + 3u) / 4u);
  let strip = wg.x * WIDTH + t;
  // Invocations without a strip work on the first one: the subgroup stays whole.
  let to = stripAt(select(0u, strip, strip < strips), u.oh, u.ow);
  let o4 = wg.y * 2u;
  let second = select(0u, 1u, wg.y * 8u + 4u < u.og);               // 0 where there are no further 4 channels
  let co4 = u.co / 4u;
  let length = u.iw * u.ci;
  let reach = u.fw * u.ci;
  let left = (to.z * u.strideW - u.padW) * u.ci;                    // left of the image: wraps, and is no longer < length
  let step = u.strideW * u.ci;
  let mine = lane % 2u * second + o4;                               // this lane's part of a 4 × 8 block
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  var b0 = vec4f(0.0); var b1 = vec4f(0.0); var b2 = vec4f(0.0); var b3 = vec4f(0.0);
  for (var ky = 0u; ky < u.fh; ky++) {
    let iy = to.y * u.strideH + ky * u.dilationH - u.padH;          // above the image: wraps, and is no longer < ih
    let line = (to.x * u.ih + iy) * length;
    for (var k = 0u; k < reach; k += 4u) {
      let mask = (k + vec4u(0u, 1u, 2u, 3u) < vec4u(reach)) & vec4<bool>(iy < u.ih);
      let v0 = four(line, left + k, mask, length);
      let v1 = four(line, left + step + k, mask, length);
      let v2 = four(line, left + 2u * step + k, mask, length);
      let v3 = four(line, left + 3u * step + k, mask, length);
      let row = k + lane / 2u % 4u;
      let low = vec4f(w[(ky * reach + min(row, reach - 1u)) * co4 + mine]);
      var high = low;
      if (SUBGROUP == 4u) { high = vec4f(w[(ky * reach + min(row + 2u, reach - 1u)) * co4 + mine]); }
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

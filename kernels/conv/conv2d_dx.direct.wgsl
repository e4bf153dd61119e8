// dx of y = x ∗ w, class by class as in conv2d_dx.broadcast, without subgroups: an invocation computes 4 neighbouring pixels
// of a class × 4 channels of a group in registers. Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
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

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.groups / u.strideW;                             // the class
  let cx = wg.z / u.groups % u.strideW;
  let g = wg.z % u.groups;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let strip = wg.x * WIDTH + t;
  if (strip >= u.b * rows * ((columns + 3u) / 4u)) { return; }
  let to = stripAt(strip, rows, columns);
  let co4 = u.co / 4u;
  let og4 = u.og / 4u;
  let mine = wg.y * 4u * co4 + g * og4;
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh; ky += u.stepH) {
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));  // exact; below zero it wraps
    if (oy >= u.oh) { continue; }
    let line = (to.x * u.oh + oy) * u.ow;
    for (var kx = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW); kx < u.fw; kx += u.stepW) {
      let ox = to.z + u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW)) + vec4u(0u, 1u, 2u, 3u);
      let ok = ox < vec4u(u.ow);
      let at = select(vec4u(0u), (line + ox) * co4 + g * og4, ok);
      let atW = (ky * u.fw + kx) * u.cg * co4 + mine;
      for (var o = 0u; o < og4; o++) {
        let v0 = select(vec4f(0.0), vec4f(dy[at.x + o]), ok.x);
        let v1 = select(vec4f(0.0), vec4f(dy[at.y + o]), ok.y);
        let v2 = select(vec4f(0.0), vec4f(dy[at.z + o]), ok.z);
        let v3 = select(vec4f(0.0), vec4f(dy[at.w + o]), ok.w);
        let p = vec4f(w[atW + o]);
        let q = vec4f(w[atW + co4 + o]);
        let r = vec4f(w[atW + 2u * co4 + o]);
        let s = vec4f(w[atW + 3u * co4 + o]);
        a0 += vec4f(dot(v0, p), dot(v0, q), dot(v0, r), dot(v0, s));
        a1 += vec4f(dot(v1, p), dot(v1, q), dot(v1, r), dot(v1, s));
        a2 += vec4f(dot(v2, p), dot(v2, q), dot(v2, r), dot(v2, s));
        a3 += vec4f(dot(v3, p), dot(v3, q), dot(v3, r), dot(v3, s));
      }
    }
  }
  let pixel = (to.x * u.ih + cy + to.y * u.strideH) * u.iw + cx + to.z * u.strideW;
  let count = columns - to.z;
  let c4 = g * u.cg / 4u + wg.y;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(a0, a1, a2, a3);
  for (var i = 0u; i < min(count, 4u); i++) { finish(pixel + i * u.strideW, c4, sums[i]); }
}

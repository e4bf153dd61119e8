// dx of y = x ∗ w where every channel has a filter of its own, class by class as in conv2d_dx.broadcast: an invocation
// computes 4 neighbouring pixels of a class × 4 channels. Needs cg = og = 1 and a multiple of 4 channels.
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
  let cy = wg.z / u.strideW;                                        // the class
  let cx = wg.z % u.strideW;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let c4s = u.ci / 4u;
  let index = wg.x * WIDTH + t;
  let c4 = index % c4s;
  let strip = index / c4s;
  if (strip >= u.b * rows * ((columns + 3u) / 4u)) { return; }
  let to = stripAt(strip, rows, columns);
  var a0 = vec4f(0.0); var a1 = vec4f(0.0); var a2 = vec4f(0.0); var a3 = vec4f(0.0);
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh; ky += u.stepH) {
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));  // exact; below zero it wraps
    if (oy >= u.oh) { continue; }
    let line = (to.x * u.oh + oy) * u.ow;
    for (var kx = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW); kx < u.fw; kx += u.stepW) {
      let ox = to.z + u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW)) + vec4u(0u, 1u, 2u, 3u);
      let ok = ox < vec4u(u.ow);
      let at = select(vec4u(0u), (line + ox) * c4s + c4, ok);
      let p = vec4f(w[(ky * u.fw + kx) * c4s + c4]);
      a0 += select(vec4f(0.0), vec4f(dy[at.x]), ok.x) * p;
      a1 += select(vec4f(0.0), vec4f(dy[at.y]), ok.y) * p;
      a2 += select(vec4f(0.0), vec4f(dy[at.z]), ok.z) * p;
      a3 += select(vec4f(0.0), vec4f(dy[at.w]), ok.w) * p;
    }
  }
  let pixel = (to.x * u.ih + cy + to.y * u.strideH) * u.iw + cx + to.z * u.strideW;
  let count = columns - to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(a0, a1, a2, a3);
  for (var i = 0u; i < min(count, 4u); i++) { finish(pixel + i * u.strideW, c4, sums[i]); }
}

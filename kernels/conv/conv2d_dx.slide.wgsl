// dx of y = x ∗ w where every channel has a filter of its own, rows class by class as in conv2d_dx.broadcast: an invocation computes 8 neighbouring
// pixels × 4 channels, with a window over dy that slides along each row, the filter reversed (lib/slide).
// Needs cg = og = 1, a multiple of 4 channels, and neither stride nor dilation along rows.
//#params
alias Elem = f32;
const WIDTH = 32u;
const FW = 3u;                                                      // width of the filter
//#end
//#use pixel slide
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

fn inputAt(line: u32, column: u32, c4: u32) -> vec4f {
  let ok = column < u.ow;                                           // left of the image it wraps
  return select(vec4f(), vec4f(dy[select(0u, (line + column) * (u.ci / 4u) + c4, ok)]), ok);
}

fn weightAt(ky: u32, k: u32, c4: u32) -> vec4f { return vec4f(w[(ky * FW + FW - 1u - k) * (u.ci / 4u) + c4]); }

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let cy = wg.z;                                                    // the class
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let c4s = u.ci / 4u;
  let index = wg.x * WIDTH + t;
  let c4 = index % c4s;
  let strip = index / c4s;
  let across = (u.iw + 7u) / 8u;
  if (strip >= u.b * rows * across) { return; }
  let to = pixelAt(strip, rows, across) * vec3u(1u, 1u, 8u);        // image, row of the class, first column
  var s = Eight();
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh; ky += u.stepH) {
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));  // exact; below zero it wraps
    if (oy >= u.oh) { continue; }
    s = slideRow(s, (to.x * u.oh + oy) * u.ow, to.z + u.padW - (FW - 1u), ky, c4);
  }
  let pixel = (to.x * u.ih + cy + to.y * u.strideH) * u.iw + to.z;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h);
  for (var i = 0u; i < min(u.iw - to.z, 8u); i++) { finish(pixel + i, c4, sums[i]); }
}

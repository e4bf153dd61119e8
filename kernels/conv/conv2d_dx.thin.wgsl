// dx of y = x ∗ w for one to four input channels, class by class as in conv2d_dx.broadcast: an invocation computes 8 neighbouring pixels of a class
// in all their channels. Neighbouring taps meet neighbouring results, so a window of 8 vectors of dy slides along each row.
// Needs one group, og a multiple of 4, and a horizontal stride that the dilation divides.
//#params
alias Elem = f32;
const WIDTH = 32u;
const CI = 3u;                                                      // channels of the image
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
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem>;     // [b, ih, iw, ci] //#if residual

fn finish(pixel: u32, sum: vec4f) {
  for (var c = 0u; c < CI; c++) {
    var r = sum[c];
    r += f32(residual[pixel * CI + c]);                             //#if residual
    dx[pixel * CI + c] = Elem(r);
  }
}

// Four channels of dy, zeros outside of it: left of it the column wraps.
fn input(line: u32, column: u32, o: u32) -> vec4f {
  let ok = column < u.ow;
  return select(vec4f(), vec4f(dy[select(0u, (line + column) * (u.co / 4u) + o, ok)]), ok);
}

// Four output channels of the filter for each input channel.
struct Tap { a: vec4f, b: vec4f, c: vec4f, d: vec4f }

fn tapAt(at: u32) -> Tap {
  let co4 = u.co / 4u;
  var p = Tap();
  p.a = vec4f(w[at]);
  if (CI > 1u) { p.b = vec4f(w[at + co4]); }
  if (CI > 2u) { p.c = vec4f(w[at + 2u * co4]); }
  if (CI > 3u) { p.d = vec4f(w[at + 3u * co4]); }
  return p;
}

fn multiply(v: vec4f, p: Tap) -> vec4f {
  if (CI == 1u) { return vec4f(dot(v, p.a), 0.0, 0.0, 0.0); }
  if (CI == 2u) { return vec4f(dot(v, p.a), dot(v, p.b), 0.0, 0.0); }
  if (CI == 3u) { return vec4f(dot(v, p.a), dot(v, p.b), dot(v, p.c), 0.0); }
  return vec4f(dot(v, p.a), dot(v, p.b), dot(v, p.c), dot(v, p.d));
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.strideW;                                        // the class
  let cx = wg.z % u.strideW;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let strip = wg.x * WIDTH + t;
  let across = (columns + 7u) / 8u;
  if (strip >= u.b * rows * across) { return; }
  let to = pixelAt(strip, rows, across) * vec3u(1u, 1u, 8u);        // image, row and first column of the class
  let co4 = u.co / 4u;
  let kx0 = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW);
  let column = to.z + u32((i32(cx + u.padW) - i32(kx0 * u.dilationW)) / i32(u.strideW));  // exact; below zero it wraps
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f(); var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh && kx0 < u.fw; ky += u.stepH) {
    let oy = to.y + u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH));
    if (oy >= u.oh) { continue; }
    let line = (to.x * u.oh + oy) * u.ow;
    for (var o = 0u; o < co4; o++) {
      var v1 = input(line, column + 1u, o);
      var v2 = input(line, column + 2u, o);
      var v3 = input(line, column + 3u, o);
      var v4 = input(line, column + 4u, o);
      var v5 = input(line, column + 5u, o);
      var v6 = input(line, column + 6u, o);
      var v7 = input(line, column + 7u, o);
      var at = column;
      for (var kx = kx0; kx < u.fw; kx += u.stepW) {
        let v0 = input(line, at, o);
        let p = tapAt((ky * u.fw + kx) * CI * co4 + o);
        s0 += multiply(v0, p);
        s1 += multiply(v1, p);
        s2 += multiply(v2, p);
        s3 += multiply(v3, p);
        s4 += multiply(v4, p);
        s5 += multiply(v5, p);
        s6 += multiply(v6, p);
        s7 += multiply(v7, p);
        v7 = v6;
        v6 = v5;
        v5 = v4;
        v4 = v3;
        v3 = v2;
        v2 = v1;
        v1 = v0;
        at--;                                                       // the next tap meets the result before
      }
    }
  }
  let pixel = (to.x * u.ih + cy + to.y * u.strideH) * u.iw + cx + to.z * u.strideW;
  // A loop over copies, so that the epilogue is compiled once.
  var sums = array(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var i = 0u; i < min(columns - to.z, 8u); i++) { finish(pixel + i * u.strideW, sums[i]); }
}

// dx of y = x ∗ w, class by class as in conv2d_dx.broadcast, as a product of matrices: rows are the pixels of a class, columns
// the channels of a group, and the inner dimension is (ky, kx, o) over the taps that the class meets.
//
//   workgroup   ROWS pixels × COLUMNS channels of dx, 128 invocations
//   invocation  8 pixels 16 apart × 2 groups of 4 channels of that, in registers
//   step        DEPTH of the inner dimension, loaded while the step before is multiplied, staged through workgroup memory
//
// Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
const ROWS = 128u;
const COLUMNS = 64u;
const DEPTH = 16u;
const UNROLL = 0u;                                                  // 1: a step is multiplied whole, for compilers to unroll
//#end
//#use pixel tile
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

const_assert COLUMNS == 64u;                                        // what 128 invocations stage and multiply

// Four channels of dy that a pixel of the class meets through a tap, which shifts it by `shift`: zeros outside, where it wraps.
fn loadDy(to: vec3u, shift: vec2u, o4: u32, inside: bool) -> vec4f {
  let oy = to.y + shift.y;
  let ox = to.z + shift.x;
  var v = vec4f();
  if (inside && oy < u.oh && ox < u.ow) { v = vec4f(dy[((to.x * u.oh + oy) * u.ow + ox) * (u.co / 4u) + o4]); }
  return v;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.groups / u.strideW;                             // the class
  let cx = wg.z / u.groups % u.strideW;
  let g = wg.z % u.groups;
  let lines = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let width = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let pixels = u.b * lines * width;
  if (wg.x * ROWS >= pixels) { return; }
  let firstY = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH);
  let firstX = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW);
  let tapsX = (u.fw - min(firstX, u.fw) + u.stepW - 1u) / u.stepW;
  let tapsY = (u.fh - min(firstY, u.fh) + u.stepH - 1u) / u.stepH;
  let inner = tapsY * tapsX * u.og;
  let co4 = u.co / 4u;
  // Staging: this invocation brings four inner indices of four pixels, 32 apart; every second one those of four channels, too.
  let place = placeInRow(t / 4u, t % 4u);
  let to0 = pixelAt(min(wg.x * ROWS + t / 4u + 0u, pixels - 1u), lines, width);
  let to1 = pixelAt(min(wg.x * ROWS + t / 4u + 32u, pixels - 1u), lines, width);
  let to2 = pixelAt(min(wg.x * ROWS + t / 4u + 64u, pixels - 1u), lines, width);
  let to3 = pixelAt(min(wg.x * ROWS + t / 4u + 96u, pixels - 1u), lines, width);
  let c4 = t / 8u;                                                  // of the filters' block, at depth t / 2 % 4
  let c = wg.y * COLUMNS + 4u * c4;
  let ty = t / 8u;
  let tx = t % 8u;
  var tile = Tile();
  for (var k0 = 0u; k0 < inner + DEPTH; k0 += DEPTH) {
    // The step at k0 is loaded while the staged one, before it, is multiplied.
    let k = k0 + t % 4u * 4u;
    let tap = k / u.og;
    let ky = firstY + tap / max(tapsX, 1u) * u.stepH;
    let kx = firstX + tap % max(tapsX, 1u) * u.stepW;
    let shift = vec2u(
      u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW)), // exact; below zero it wraps
      u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH)));
    let o4 = (g * u.og + k % u.og) / 4u;
    let x0 = loadDy(to0, shift, o4, k < inner);
    let x1 = loadDy(to1, shift, o4, k < inner);
    let x2 = loadDy(to2, shift, o4, k < inner);
    let x3 = loadDy(to3, shift, o4, k < inner);
    var block = mat4x4f();                                          // four channels by four inner indices
    let kw = k0 + t / 2u % 4u * 4u;
    if (t % 2u == 0u && kw < inner && c < u.cg) {
      let tapW = kw / u.og;
      let at = (((firstY + tapW / tapsX * u.stepH) * u.fw + firstX + tapW % tapsX * u.stepW) * u.cg + c) * co4 + (g * u.og + kw % u.og) / 4u;
      block = transpose(mat4x4f(vec4f(w[at]), vec4f(w[at + co4]), vec4f(w[at + 2u * co4]), vec4f(w[at + 3u * co4])));
    }
    if (k0 > 0u) {
      let count = select(min(K4, (inner + DEPTH - k0) / 4u), K4, UNROLL == 1u);
      tile = multiplyStep(tile, ty, tx, count);
    }
    workgroupBarrier();                                             // the step before has been read
    tileRows[place + 0u * K4] = x0;
    tileRows[place + 32u * K4] = x1;
    tileRows[place + 64u * K4] = x2;
    tileRows[place + 96u * K4] = x3;
    if (t % 2u == 0u) {
      let at = t / 2u % 4u * 4u * COLUMNS4 + c4;
      tileColumns[at + 0u * COLUMNS4] = block[0];
      tileColumns[at + 1u * COLUMNS4] = block[1];
      tileColumns[at + 2u * COLUMNS4] = block[2];
      tileColumns[at + 3u * COLUMNS4] = block[3];
    }
    workgroupBarrier();                                             // this step has been written
  }
  // A loop over copies, so that the epilogue is compiled once.
  var sums = sumsOf(tile);
  for (var r = 0u; r < 16u; r++) {
    let pixel = wg.x * ROWS + ty + 16u * (r % 8u);
    let column = wg.y * COLUMNS + 4u * (tx + 8u * (r / 8u));
    if (pixel < pixels && column < u.cg) { finish(placeOf(pixel, lines, width, cy, cx), (g * u.cg + column) / 4u, sums[r]); }
  }
}

// Flat index in the image batch of a pixel of the class.
fn placeOf(index: u32, lines: u32, width: u32, cy: u32, cx: u32) -> u32 {
  let at = pixelAt(index, lines, width);
  return (at.x * u.ih + cy + at.y * u.strideH) * u.iw + cx + at.z * u.strideW;
}

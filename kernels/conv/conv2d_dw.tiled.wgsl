// dw of y = x ∗ w in parts, each a product of matrices: rows are (ky, kx, c), columns the output channels of a group, and the
// inner dimension runs over the pixels of the part's share of the rows of dy.
//
//   workgroup   ROWS × COLUMNS of one part, 128 invocations
//   invocation  2 groups of 4 rows × 2 groups of 4 channels of that, in registers
//   step        DEPTH pixels, loaded while the step before is multiplied, staged through workgroup memory
//
// Needs cg and og to be multiples of 4.
//#params
alias Elem = f32;
const ROWS = 128u;
const COLUMNS = 64u;
const DEPTH = 16u;
const UNROLL = 0u;                                                  // 1: a step is multiplied whole, for compilers to unroll
//#end
//#use pixel
alias Elem4 = vec4<Elem>;
const ROWS4 = ROWS / 4u;
const COLUMNS4 = COLUMNS / 4u;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

var<workgroup> rows: array<vec4f, DEPTH * ROWS4>;                   // [DEPTH, ROWS4]
var<workgroup> columns: array<vec4f, DEPTH * COLUMNS4>;             // [DEPTH, COLUMNS4]
const_assert ROWS == 128u && COLUMNS == 64u && DEPTH == 16u;        // what 128 invocations stage and multiply

// Four channels of x at pixel k of dy, through a tap that reaches `down` and `right`: zeros outside of the image, where it wraps.
fn loadX(k: u32, down: u32, right: u32, c4: u32, inside: bool) -> vec4f {
  let place = pixelAt(k, u.oh, u.ow);
  let iy = place.y * u.strideH + down;
  let ix = place.z * u.strideW + right;
  var v = vec4f();
  if (inside && iy < u.ih && ix < u.iw) { v = vec4f(x[((place.x * u.ih + iy) * u.iw + ix) * (u.ci / 4u) + c4]); }
  return v;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let blocks = (u.og + COLUMNS - 1u) / COLUMNS;
  let g = wg.y / blocks;
  let og4 = u.og / 4u;
  let cg4 = u.cg / 4u;
  let co4 = u.co / 4u;
  let height = u.fh * u.fw * cg4;
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  let end = min(lines, (wg.z + 1u) * share) * u.ow;
  let start = min(wg.z * share * u.ow, end);
  // Staging: this invocation brings four rows of four pixels, 4 apart, and four channels of two pixels, 8 apart.
  let row4 = wg.x * ROWS4 + t % 32u;
  let c4 = g * cg4 + row4 % cg4;
  let down = row4 / cg4 / u.fw * u.dilationH - u.padH;              // wraps where it points above the image
  let right = row4 / cg4 % u.fw * u.dilationW - u.padW;
  let column = min(wg.y % blocks * COLUMNS4 + t % 16u, og4 - 1u) + g * og4;
  let last = lines * u.ow - 1u;
  let ty = t / 8u;
  let tx = t % 8u;
  var s0a = vec4f(); var s0b = vec4f();
  var s1a = vec4f(); var s1b = vec4f();
  var s2a = vec4f(); var s2b = vec4f();
  var s3a = vec4f(); var s3b = vec4f();
  var s4a = vec4f(); var s4b = vec4f();
  var s5a = vec4f(); var s5b = vec4f();
  var s6a = vec4f(); var s6b = vec4f();
  var s7a = vec4f(); var s7b = vec4f();
  for (var at = start; at < end + DEPTH; at += DEPTH) {
    // The step at this pixel is loaded while the staged one, before it, is multiplied.
    let k0 = at + t / 32u;
    let x0 = loadX(k0, down, right, c4, k0 < end && row4 < height);
    let k1 = at + t / 32u + 4u;
    let x1 = loadX(k1, down, right, c4, k1 < end && row4 < height);
    let k2 = at + t / 32u + 8u;
    let x2 = loadX(k2, down, right, c4, k2 < end && row4 < height);
    let k3 = at + t / 32u + 12u;
    let x3 = loadX(k3, down, right, c4, k3 < end && row4 < height);
    let d0 = vec4f(dy[min(at + t / 16u, last) * co4 + column]);     // past the end it meets zeros of x
    let d1 = vec4f(dy[min(at + t / 16u + 8u, last) * co4 + column]);
    if (at > start) {
      let count = select(min(DEPTH, end + DEPTH - at), DEPTH, UNROLL == 1u);
      for (var i = 0u; i < count; i++) {
        let p = rows[i * ROWS4 + ty];
        let q = rows[i * ROWS4 + ty + 16u];
        let a = columns[i * COLUMNS4 + tx];
        let b = columns[i * COLUMNS4 + tx + 8u];
        s0a = fma(vec4f(p.x), a, s0a);
        s0b = fma(vec4f(p.x), b, s0b);
        s1a = fma(vec4f(p.y), a, s1a);
        s1b = fma(vec4f(p.y), b, s1b);
        s2a = fma(vec4f(p.z), a, s2a);
        s2b = fma(vec4f(p.z), b, s2b);
        s3a = fma(vec4f(p.w), a, s3a);
        s3b = fma(vec4f(p.w), b, s3b);
        s4a = fma(vec4f(q.x), a, s4a);
        s4b = fma(vec4f(q.x), b, s4b);
        s5a = fma(vec4f(q.y), a, s5a);
        s5b = fma(vec4f(q.y), b, s5b);
        s6a = fma(vec4f(q.z), a, s6a);
        s6b = fma(vec4f(q.z), b, s6b);
        s7a = fma(vec4f(q.w), a, s7a);
        s7b = fma(vec4f(q.w), b, s7b);
      }
    }
    workgroupBarrier();                                             // the step before has been read
    rows[t + 0u] = x0;
    rows[t + 128u] = x1;
    rows[t + 256u] = x2;
    rows[t + 384u] = x3;
    columns[t] = d0;
    columns[t + 128u] = d1;
    workgroupBarrier();                                             // this step has been written
  }
  var sums = array<vec4f, 16>(s0a, s1a, s2a, s3a, s4a, s5a, s6a, s7a, s0b, s1b, s2b, s3b, s4b, s5b, s6b, s7b);
  for (var r = 0u; r < 16u; r++) {
    let row = wg.x * ROWS4 + ty + r % 8u / 4u * 16u;
    let o4 = wg.y % blocks * COLUMNS4 + tx + r / 8u * 8u;
    if (row < height && o4 < og4) { parts[((wg.z * height + row) * 4u + r % 4u) * co4 + g * og4 + o4] = sums[r]; }
  }
}

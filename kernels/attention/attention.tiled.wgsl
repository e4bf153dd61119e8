// out = softmax(q kᵀ · scale) v: a workgroup takes ROWS queries, one an invocation with query and sum in registers, and stages STEP rows of
// k and v at a time in workgroup memory. Sizes d that are
// multiples of 4; rows beyond the last are the last again.
//#params
alias Elem = f32;
const D4 = 16u;
const ROWS = 64u;
const STEP = 16u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem4>;           // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem4>;           // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem4>;           // [b, m, h, d]
@group(0) @binding(4) var<storage, read_write> out: array<Elem4>;   // [b, n, h, d]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;     // [b, h, n]

var<workgroup> tileA: array<vec4f, STEP * D4>;
var<workgroup> tileB: array<vec4f, STEP * D4>;

fn query(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(q[((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * D4 + c]); }
fn key(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(k[((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * D4 + c]); }
fn value(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(v[((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * D4 + c]); }

@compute @workgroup_size(ROWS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * ROWS + t;
  var mine: array<vec4f, D4>;
  var acc: array<vec4f, D4>;
  for (var c = 0u; c < D4; c++) { mine[c] = query(wg, i, c) * u.scale; }
  var highest = -3.0e38;
  var sum = 0.0;
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();
    for (var e = t; e < STEP * D4; e += ROWS) {
      tileA[e] = key(wg, j + e / D4, e % D4);
      tileB[e] = value(wg, j + e / D4, e % D4);
    }
    workgroupBarrier();
    for (var r = 0u; r < min(STEP, u.m - j); r++) {
      var s4 = vec4f(0.0);
      for (var c = 0u; c < D4; c++) { s4 += mine[c] * tileA[r * D4 + c]; }
      let s = (s4.x + s4.y) + (s4.z + s4.w);
      let before = highest;
      highest = max(highest, s);
      let shrink = exp(before - highest);
      let p = exp(s - highest);
      sum = sum * shrink + p;
      for (var c = 0u; c < D4; c++) { acc[c] = acc[c] * shrink + p * tileB[r * D4 + c]; }
    }
  }
  if (i < u.n) {
    let at = ((wg.z * u.n + i) * u.h + wg.y) * D4;
    for (var c = 0u; c < D4; c++) { out[at + c] = Elem4(acc[c] / sum); }
    lse[(wg.z * u.h + wg.y) * u.n + i] = highest + log(sum);
  }
}

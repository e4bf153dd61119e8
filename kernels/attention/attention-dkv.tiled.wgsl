// dv_j = Σ_i p_ij dOut_i and dk_j = scale Σ_i p_ij (dOut_i · v_j − delta_i) q_i with p_ij = exp(scale q_i · k_j − lse_i): a workgroup takes
// ROWS keys, one an invocation, and stages STEP rows of q and dOut at a time in workgroup memory. It passes over the queries twice, for dv
// and for dk: both sums at once would not fit into the registers of GPUs. Sizes d that are
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
@group(0) @binding(4) var<storage, read> dOut: array<Elem4>;        // [b, n, h, d]
@group(0) @binding(5) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(6) var<storage, read> delta: array<f32>;         // [b, h, n]
@group(0) @binding(7) var<storage, read_write> dk: array<Elem4>;    // [b, m, h, d]
@group(0) @binding(8) var<storage, read_write> dv: array<Elem4>;    // [b, m, h, d]

var<workgroup> tileA: array<vec4f, STEP * D4>;
var<workgroup> tileB: array<vec4f, STEP * D4>;

fn query(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(q[((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * D4 + c]); }
fn slope(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(dOut[((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * D4 + c]); }
fn key(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(k[((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * D4 + c]); }
fn value(wg: vec3u, i: u32, c: u32) -> vec4f { return vec4f(v[((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * D4 + c]); }

@compute @workgroup_size(ROWS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * ROWS + t;
  let row = (wg.z * u.h + wg.y) * u.n;
  let at = ((wg.z * u.m + i) * u.h + wg.y) * D4;
  var mine: array<vec4f, D4>;
  var acc: array<vec4f, D4>;
  for (var c = 0u; c < D4; c++) { mine[c] = key(wg, i, c) * u.scale; }
  for (var j = 0u; j < u.n; j += STEP) {
    workgroupBarrier();
    for (var e = t; e < STEP * D4; e += ROWS) {
      tileA[e] = query(wg, j + e / D4, e % D4);
      tileB[e] = slope(wg, j + e / D4, e % D4);
    }
    workgroupBarrier();
    for (var r = 0u; r < min(STEP, u.n - j); r++) {
      var s4 = vec4f(0.0);
      for (var c = 0u; c < D4; c++) { s4 += mine[c] * tileA[r * D4 + c]; }
      let p = exp((s4.x + s4.y) + (s4.z + s4.w) - lse[row + j + r]);
      for (var c = 0u; c < D4; c++) { acc[c] += p * tileB[r * D4 + c]; }
    }
  }
  if (i < u.m) {
    for (var c = 0u; c < D4; c++) { dv[at + c] = Elem4(acc[c]); }
  }
  var values: array<vec4f, D4>;
  for (var c = 0u; c < D4; c++) {
    values[c] = value(wg, i, c);
    acc[c] = vec4f(0.0);
  }
  for (var j = 0u; j < u.n; j += STEP) {
    workgroupBarrier();
    for (var e = t; e < STEP * D4; e += ROWS) {
      tileA[e] = query(wg, j + e / D4, e % D4);
      tileB[e] = slope(wg, j + e / D4, e % D4);
    }
    workgroupBarrier();
    for (var r = 0u; r < min(STEP, u.n - j); r++) {
      var s4 = vec4f(0.0);
      var dp4 = vec4f(0.0);
      for (var c = 0u; c < D4; c++) {
        s4 += mine[c] * tileA[r * D4 + c];
        dp4 += values[c] * tileB[r * D4 + c];
      }
      let p = exp((s4.x + s4.y) + (s4.z + s4.w) - lse[row + j + r]);
      let ds = p * ((dp4.x + dp4.y) + (dp4.z + dp4.w) - delta[row + j + r]) * u.scale;
      for (var c = 0u; c < D4; c++) { acc[c] += ds * tileA[r * D4 + c]; }
    }
  }
  if (i < u.m) {
    for (var c = 0u; c < D4; c++) { dk[at + c] = Elem4(acc[c]); }
  }
}

// dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j with p_ij = exp(scale q_i · k_j − lse_i): a workgroup takes ROWS queries, one an
// invocation with its rows in registers, and stages STEP rows of k and v at a time in workgroup memory. Sizes d that are
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
@group(0) @binding(7) var<storage, read_write> dq: array<Elem4>;    // [b, n, h, d]

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
  let row = (wg.z * u.h + wg.y) * u.n + min(i, u.n - 1u);
  let shift = lse[row];
  let offset = delta[row];
  var mine: array<vec4f, D4>;
  var slopes: array<vec4f, D4>;
  var acc: array<vec4f, D4>;
  for (var c = 0u; c < D4; c++) {
    mine[c] = query(wg, i, c) * u.scale;
    slopes[c] = slope(wg, i, c);
  }
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();
    for (var e = t; e < STEP * D4; e += ROWS) {
      tileA[e] = key(wg, j + e / D4, e % D4);
      tileB[e] = value(wg, j + e / D4, e % D4);
    }
    workgroupBarrier();
    for (var r = 0u; r < min(STEP, u.m - j); r++) {
      var s4 = vec4f(0.0);
      var dp4 = vec4f(0.0);
      for (var c = 0u; c < D4; c++) {
        s4 += mine[c] * tileA[r * D4 + c];
        dp4 += slopes[c] * tileB[r * D4 + c];
      }
      let p = exp((s4.x + s4.y) + (s4.z + s4.w) - shift);
      let ds = p * ((dp4.x + dp4.y) + (dp4.z + dp4.w) - offset) * u.scale;
      for (var c = 0u; c < D4; c++) { acc[c] += ds * tileA[r * D4 + c]; }
    }
  }
  if (i < u.n) {
    let at = ((wg.z * u.n + i) * u.h + wg.y) * D4;
    for (var c = 0u; c < D4; c++) { dq[at + c] = Elem4(acc[c]); }
  }
}

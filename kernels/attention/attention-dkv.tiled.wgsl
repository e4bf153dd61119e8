// dv_j = Σ_i p_ij dOut_i and dk_j = scale Σ_i p_ij (dOut_i · v_j − delta_i) q_i with p_ij = exp(scale q_i · k_j − lse_i): a workgroup takes
// ROWS keys, one an invocation, and stages STEP rows of q and dOut at a time in workgroup memory. It passes over the queries twice, for dv
// and for dk: both sums at once would not fit into the registers of GPUs. Any d.
//#params
alias Elem = f32;
const D4 = 16u;
const ROWS = 64u;
const STEP = 16u;
//#end
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem>;            // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem>;            // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem>;            // [b, m, h, d]
@group(0) @binding(4) var<storage, read> dOut: array<Elem>;         // [b, n, h, d]
@group(0) @binding(5) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(6) var<storage, read> delta: array<f32>;         // [b, h, n]
@group(0) @binding(7) var<storage, read_write> dk: array<Elem>;     // [b, m, h, d]
@group(0) @binding(8) var<storage, read_write> dv: array<Elem>;     // [b, m, h, d]

var<workgroup> tileA: array<vec4f, STEP * D4>;
var<workgroup> tileB: array<vec4f, STEP * D4>;

// Columns 4c to 4c + 3 of row i of q; zeros beyond its edges.
fn query(wg: vec3u, i: u32, c: u32) -> vec4f {
  let at = ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * u.d;
  let x = vec4f(f32(q[at + min(4u * c, u.d - 1u)]), f32(q[at + min(4u * c + 1u, u.d - 1u)]),
                f32(q[at + min(4u * c + 2u, u.d - 1u)]), f32(q[at + min(4u * c + 3u, u.d - 1u)]));
  return select(vec4f(0.0), x, 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(select(0u, u.d, i < u.n)));
}
// Columns 4c to 4c + 3 of row i of dOut; zeros beyond its edges.
fn slope(wg: vec3u, i: u32, c: u32) -> vec4f {
  let at = ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * u.d;
  let x = vec4f(f32(dOut[at + min(4u * c, u.d - 1u)]), f32(dOut[at + min(4u * c + 1u, u.d - 1u)]),
                f32(dOut[at + min(4u * c + 2u, u.d - 1u)]), f32(dOut[at + min(4u * c + 3u, u.d - 1u)]));
  return select(vec4f(0.0), x, 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(select(0u, u.d, i < u.n)));
}
// Columns 4c to 4c + 3 of row i of k; zeros beyond its edges.
fn key(wg: vec3u, i: u32, c: u32) -> vec4f {
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * u.d;
  let x = vec4f(f32(k[at + min(4u * c, u.d - 1u)]), f32(k[at + min(4u * c + 1u, u.d - 1u)]),
                f32(k[at + min(4u * c + 2u, u.d - 1u)]), f32(k[at + min(4u * c + 3u, u.d - 1u)]));
  return select(vec4f(0.0), x, 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(select(0u, u.d, i < u.m)));
}
// Columns 4c to 4c + 3 of row i of v; zeros beyond its edges.
fn value(wg: vec3u, i: u32, c: u32) -> vec4f {
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * u.d;
  let x = vec4f(f32(v[at + min(4u * c, u.d - 1u)]), f32(v[at + min(4u * c + 1u, u.d - 1u)]),
                f32(v[at + min(4u * c + 2u, u.d - 1u)]), f32(v[at + min(4u * c + 3u, u.d - 1u)]));
  return select(vec4f(0.0), x, 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(select(0u, u.d, i < u.m)));
}

@compute @workgroup_size(ROWS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * ROWS + t;
  let row = (wg.z * u.h + wg.y) * u.n;
  let at = ((wg.z * u.m + i) * u.h + wg.y) * u.d;
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
    for (var c = 0u; c < D4; c++) {
      let x = acc[c];
      dv[at + 4u * c] = Elem(x.x);
      if (4u * c + 1u < u.d) { dv[at + 4u * c + 1u] = Elem(x.y); }
      if (4u * c + 2u < u.d) { dv[at + 4u * c + 2u] = Elem(x.z); }
      if (4u * c + 3u < u.d) { dv[at + 4u * c + 3u] = Elem(x.w); }
    }
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
    for (var c = 0u; c < D4; c++) {
      let x = acc[c];
      dk[at + 4u * c] = Elem(x.x);
      if (4u * c + 1u < u.d) { dk[at + 4u * c + 1u] = Elem(x.y); }
      if (4u * c + 2u < u.d) { dk[at + 4u * c + 2u] = Elem(x.z); }
      if (4u * c + 3u < u.d) { dk[at + 4u * c + 3u] = Elem(x.w); }
    }
  }
}

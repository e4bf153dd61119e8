// dv_j = Σ_i p_ij dOut_i and dk_j = scale Σ_i p_ij (dOut_i · v_j − delta_i) q_i with p_ij = exp(scale q_i · k_j − lse_i): a subgroup takes as
// many keys as it has lanes. While multiplying, a lane holds a share of the columns of every row; between, one key's weight.
enable subgroups;
//#params
alias Elem = f32;
const WIDTH = 8u;
const PARTS = 2u;
//#end
//#use rows
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

fn query(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.n + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(q[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(q[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(q[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(q[at + within(lane + 3u * WIDTH)]); }
  return r;
}
fn slope(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.n + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(dOut[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(dOut[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(dOut[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(dOut[at + within(lane + 3u * WIDTH)]); }
  return r;
}
fn key(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(k[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(k[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(k[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(k[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn value(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(v[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(v[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(v[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(v[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn storeDk(wg: vec3u, i: u32, lane: u32, r: Row) {
  let d4 = u.d / 4u;
  let at = ((wg.z * u.m + i) * u.h + wg.y) * d4;
  if (lane < d4) { dk[at + lane] = Elem4(r.a); }
  if (PARTS > 1u && lane + WIDTH < d4) { dk[at + lane + WIDTH] = Elem4(r.b); }
  if (PARTS > 2u && lane + 2u * WIDTH < d4) { dk[at + lane + 2u * WIDTH] = Elem4(r.c); }
  if (PARTS > 3u && lane + 3u * WIDTH < d4) { dk[at + lane + 3u * WIDTH] = Elem4(r.d); }
}
fn storeDv(wg: vec3u, i: u32, lane: u32, r: Row) {
  let d4 = u.d / 4u;
  let at = ((wg.z * u.m + i) * u.h + wg.y) * d4;
  if (lane < d4) { dv[at + lane] = Elem4(r.a); }
  if (PARTS > 1u && lane + WIDTH < d4) { dv[at + lane + WIDTH] = Elem4(r.b); }
  if (PARTS > 2u && lane + 2u * WIDTH < d4) { dv[at + lane + 2u * WIDTH] = Elem4(r.c); }
  if (PARTS > 3u && lane + 3u * WIDTH < d4) { dv[at + lane + 3u * WIDTH] = Elem4(r.d); }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let i = wg.x * WIDTH;
  let count = min(WIDTH, u.m - i);
  var keys: Rows;
  var values: Rows;
  for (var l = 0u; l < count; l++) {
    keys = put(keys, l, times(key(wg, i + l, lane), u.scale));
    values = put(values, l, value(wg, i + l, lane));
  }
  let row = (wg.z * u.h + wg.y) * u.n;
  var accK: Rows;
  var accV: Rows;
  for (var j = 0u; j < u.n; j++) {
    let x = query(wg, j, lane);
    let y = slope(wg, j, lane);
    let p = exp(products(keys, x, lane) - lse[row + j]);
    accV = spread(accV, p, y);
    accK = spread(accK, p * (products(values, y, lane) - delta[row + j]) * u.scale, x);
  }
  for (var l = 0u; l < count; l++) {
    storeDk(wg, i + l, lane, pick(accK, l));
    storeDv(wg, i + l, lane, pick(accV, l));
  }
}

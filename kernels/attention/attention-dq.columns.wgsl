// dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j with p_ij = exp(scale q_i · k_j − lse_i): a subgroup takes as many queries as it has
// lanes. While multiplying, a lane holds a share of the columns of every row; between the products it holds one query's weight.
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
@group(0) @binding(7) var<storage, read_write> dq: array<Elem4>;    // [b, n, h, d]

fn query(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.n + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(q[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(q[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(q[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(q[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn slope(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.n + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(dOut[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(dOut[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(dOut[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(dOut[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn key(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(k[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(k[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(k[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(k[at + within(lane + 3u * WIDTH)]); }
  return r;
}
fn value(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(v[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(v[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(v[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(v[at + within(lane + 3u * WIDTH)]); }
  return r;
}
fn store(wg: vec3u, i: u32, lane: u32, r: Row) {
  let d4 = u.d / 4u;
  let at = ((wg.z * u.n + i) * u.h + wg.y) * d4;
  if (lane < d4) { dq[at + lane] = Elem4(r.a); }
  if (PARTS > 1u && lane + WIDTH < d4) { dq[at + lane + WIDTH] = Elem4(r.b); }
  if (PARTS > 2u && lane + 2u * WIDTH < d4) { dq[at + lane + 2u * WIDTH] = Elem4(r.c); }
  if (PARTS > 3u && lane + 3u * WIDTH < d4) { dq[at + lane + 3u * WIDTH] = Elem4(r.d); }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let i = wg.x * WIDTH;
  let count = min(WIDTH, u.n - i);
  var mine: Rows;
  var slopes: Rows;
  for (var l = 0u; l < count; l++) {
    mine = put(mine, l, times(query(wg, i + l, lane), u.scale));
    slopes = put(slopes, l, slope(wg, i + l, lane));
  }
  let row = (wg.z * u.h + wg.y) * u.n + min(i + lane, u.n - 1u);
  let shift = lse[row];
  let offset = delta[row];
  var acc: Rows;
  for (var j = 0u; j < u.m; j++) {
    let x = key(wg, j, lane);
    let p = exp(products(mine, x, lane) - shift);
    acc = spread(acc, p * (products(slopes, value(wg, j, lane), lane) - offset) * u.scale, x);
  }
  for (var l = 0u; l < count; l++) {
    store(wg, i + l, lane, pick(acc, l));
  }
}

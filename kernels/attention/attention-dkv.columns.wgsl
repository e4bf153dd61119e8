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
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(k[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(k[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(k[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(k[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn value(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(v[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(v[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(v[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(v[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn storeDk(wg: vec3u, i: u32, lane: u32, r: Row) {
  let d4 = select(0u, u.d / 4u, i < u.m);
  let at = ((wg.z * u.m + i) * u.h + wg.y) * d4;
  if (lane < d4) { dk[at + lane] = Elem4(r.a); }
  if (PARTS > 1u && lane + WIDTH < d4) { dk[at + lane + WIDTH] = Elem4(r.b); }
  if (PARTS > 2u && lane + 2u * WIDTH < d4) { dk[at + lane + 2u * WIDTH] = Elem4(r.c); }
  if (PARTS > 3u && lane + 3u * WIDTH < d4) { dk[at + lane + 3u * WIDTH] = Elem4(r.d); }
}
fn storeDv(wg: vec3u, i: u32, lane: u32, r: Row) {
  let d4 = select(0u, u.d / 4u, i < u.m);
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
  var keys: Rows;
  keys.r0 = times(key(wg, i, lane), u.scale);
  keys.r1 = times(key(wg, i + 1u, lane), u.scale);
  keys.r2 = times(key(wg, i + 2u, lane), u.scale);
  keys.r3 = times(key(wg, i + 3u, lane), u.scale);
  if (WIDTH == 8u) {
    keys.r4 = times(key(wg, i + 4u, lane), u.scale);
    keys.r5 = times(key(wg, i + 5u, lane), u.scale);
    keys.r6 = times(key(wg, i + 6u, lane), u.scale);
    keys.r7 = times(key(wg, i + 7u, lane), u.scale);
  }
  var values: Rows;
  values.r0 = value(wg, i, lane);
  values.r1 = value(wg, i + 1u, lane);
  values.r2 = value(wg, i + 2u, lane);
  values.r3 = value(wg, i + 3u, lane);
  if (WIDTH == 8u) {
    values.r4 = value(wg, i + 4u, lane);
    values.r5 = value(wg, i + 5u, lane);
    values.r6 = value(wg, i + 6u, lane);
    values.r7 = value(wg, i + 7u, lane);
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
  storeDk(wg, i, lane, accK.r0);
  storeDk(wg, i + 1u, lane, accK.r1);
  storeDk(wg, i + 2u, lane, accK.r2);
  storeDk(wg, i + 3u, lane, accK.r3);
  if (WIDTH == 8u) {
    storeDk(wg, i + 4u, lane, accK.r4);
    storeDk(wg, i + 5u, lane, accK.r5);
    storeDk(wg, i + 6u, lane, accK.r6);
    storeDk(wg, i + 7u, lane, accK.r7);
  }
  storeDv(wg, i, lane, accV.r0);
  storeDv(wg, i + 1u, lane, accV.r1);
  storeDv(wg, i + 2u, lane, accV.r2);
  storeDv(wg, i + 3u, lane, accV.r3);
  if (WIDTH == 8u) {
    storeDv(wg, i + 4u, lane, accV.r4);
    storeDv(wg, i + 5u, lane, accV.r5);
    storeDv(wg, i + 6u, lane, accV.r6);
    storeDv(wg, i + 7u, lane, accV.r7);
  }
}

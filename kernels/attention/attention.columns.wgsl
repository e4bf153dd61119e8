// out = softmax(q kᵀ · scale) v: a subgroup takes as many queries as it has lanes. While multiplying, a lane holds a share of the
// columns of every row; between the products it holds the weights of one query. Two keys share one rescaling of the sums.
// No workgroup memory, no barrier, and few loads: a row of k or v is read once for all the queries. Sizes d that are multiples of 4.
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
@group(0) @binding(4) var<storage, read_write> out: array<Elem4>;   // [b, n, h, d]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;     // [b, h, n]

fn query(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.n + i) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(q[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(q[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(q[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(q[at + within(lane + 3u * WIDTH)]); }
  return masked(r, lane);
}
fn key(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * (u.d / 4u);
  var r: Row;
  r.a = vec4f(k[at + within(lane)]);
  if (PARTS > 1u) { r.b = vec4f(k[at + within(lane + WIDTH)]); }
  if (PARTS > 2u) { r.c = vec4f(k[at + within(lane + 2u * WIDTH)]); }
  if (PARTS > 3u) { r.d = vec4f(k[at + within(lane + 3u * WIDTH)]); }
  return r;
}
fn value(wg: vec3u, i: u32, lane: u32) -> Row {
  let at = ((wg.z * u.m + min(i, u.m - 1u)) * u.h + wg.y) * (u.d / 4u);
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
  if (lane < d4) { out[at + lane] = Elem4(r.a); }
  if (PARTS > 1u && lane + WIDTH < d4) { out[at + lane + WIDTH] = Elem4(r.b); }
  if (PARTS > 2u && lane + 2u * WIDTH < d4) { out[at + lane + 2u * WIDTH] = Elem4(r.c); }
  if (PARTS > 3u && lane + 3u * WIDTH < d4) { out[at + lane + 3u * WIDTH] = Elem4(r.d); }
}

// Each row of x times lane l's factor for row l.
fn scaleRows(x: Rows, f: f32) -> Rows {
  var z = x;
  z.r0 = times(z.r0, subgroupBroadcast(f, 0u));
  z.r1 = times(z.r1, subgroupBroadcast(f, 1u));
  z.r2 = times(z.r2, subgroupBroadcast(f, 2u));
  z.r3 = times(z.r3, subgroupBroadcast(f, 3u));
  if (WIDTH == 8u) {
    z.r4 = times(z.r4, subgroupBroadcast(f, 4u));
    z.r5 = times(z.r5, subgroupBroadcast(f, 5u));
    z.r6 = times(z.r6, subgroupBroadcast(f, 6u));
    z.r7 = times(z.r7, subgroupBroadcast(f, 7u));
  }
  return z;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let i = wg.x * WIDTH;
  let count = min(WIDTH, u.n - i);
  var mine: Rows;
  for (var l = 0u; l < count; l++) {
    mine = put(mine, l, times(query(wg, i + l, lane), u.scale));
  }
  var acc: Rows;
  var highest = -3.0e38;
  var sum = 0.0;
  for (var j = 0u; j < u.m; j += 2u) {
    // An odd last key stands in for its missing neighbour, which gets no weight.
    var s = vec2f(products(mine, key(wg, j, lane), lane), products(mine, key(wg, j + 1u, lane), lane));
    s.y = select(s.y, -3.0e38, j + 1u >= u.m);
    let before = highest;
    highest = max(highest, max(s.x, s.y));
    let shrink = exp(before - highest);
    let p = exp(s - highest);
    sum = sum * shrink + (p.x + p.y);
    acc = scaleRows(acc, shrink);
    acc = spread(acc, p.x, value(wg, j, lane));
    acc = spread(acc, p.y, value(wg, j + 1u, lane));
  }
  acc = scaleRows(acc, 1.0 / sum);
  for (var l = 0u; l < count; l++) {
    store(wg, i + l, lane, pick(acc, l));
  }
  if (i + lane < u.n) { lse[(wg.z * u.h + wg.y) * u.n + i + lane] = highest + log(sum); }
}

// C = act(A · B + bias) + residual for f16 with subgroup matrices, sums in f32, in tiles of BM × BN (see lib/matrix-tile). Sizes in
// eights (see `legal`).
//#params
alias Elem = f32;
const BM = 64u;                                                     // rows and columns of C a workgroup makes
const BN = 64u;
const WN = 32u;                                                     // columns of C a subgroup makes: 32 or 64
const STAGES = 2u;                                                  // slabs in workgroup memory: with two, one barrier a step
const SG = 32u;                                                     // width of the subgroup
//#end
//#use activation eight share matrix matrixTile
alias Elem8 = vec4u;                                                // eight halves
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem8>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem8>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem8>;     // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem8>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem8>;    // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<vec4f>; // [splits, batch, m, n] //#if parts

struct Task { i: u32, j: u32, z: u32, own: Share }

// Eight neighbours of C.
fn finish(task: Task, first: vec4f, second: vec4f, row: u32, j8: u32) {
  if (row >= u.m || j8 >= u.n / 8u) { return; }
  let at = (task.z * u.m + row) * (u.n / 8u) + j8;
  var x = first;
  var y = second;
  x += low4(bias[j8]);                                              //#if bias
  y += high4(bias[j8]);                                             //#if bias
  x = relu4(x);                                                     //#if relu
  y = relu4(y);                                                     //#if relu
  x = gelu4(x);                                                     //#if gelu
  y = gelu4(y);                                                     //#if gelu
  x = silu4(x);                                                     //#if silu
  y = silu4(y);                                                     //#if silu
  x += low4(residual[at]);                                          //#if residual
  y += high4(residual[at]);                                         //#if residual
  c[at] = pack8(x, y);                                              //#if !parts
  parts[2u * at] = x;                                               //#if parts
  parts[2u * at + 1u] = y;                                          //#if parts
}

// The first vector of a row of A, or the place in a row of its transpose.
fn fromA(task: Task, e: u32) -> u32 {
  var at = (task.own.za * u.m + min(task.i + e / 4u, u.m - 1u)) * (u.k / 8u);
  at = min(task.i / 8u + e % (BM / 8u), u.m / 8u - 1u);             //#if ta
  return at;
}
fn loadA(task: Task, home: u32, k0: u32, e: u32) -> vec4u {
  let p8 = (task.own.start + k0) / 8u + e % 4u;
  var at = home + p8;
  var inside = p8 < u.k / 8u;
  let p = task.own.start + k0 + e / (BM / 8u);                      //#if ta
  at = (task.own.za * u.k + p) * (u.m / 8u) + home;                 //#if ta
  inside = p < u.k;                                                 //#if ta
  var x = vec4u();
  if (inside) { x = a[at]; }
  return x;
}

// The place in a row of B, or the first vector of a row of its transpose.
fn fromB(task: Task, e: u32) -> u32 {
  var at = min(task.j / 8u + e % (BN / 8u), u.n / 8u - 1u);
  at = (task.own.zb * u.n + min(task.j + e / 4u, u.n - 1u)) * (u.k / 8u); //#if tb
  return at;
}
fn loadB(task: Task, home: u32, k0: u32, e: u32) -> vec4u {
  var at = (task.own.zb * u.k + min(task.own.start + k0 + e / (BN / 8u), u.k - 1u)) * (u.n / 8u) + home;
  at = home + min((task.own.start + k0) / 8u + e % 4u, u.k / 8u - 1u); //#if tb
  return b[at];
}

fn placeA(e: u32) -> u32 {
  var at = placeRowsA(e);
  at = placeColumnsA(e);                                            //#if ta
  return at;
}
fn placeB(e: u32) -> u32 {
  var at = placeRowsB(e);
  at = placeColumnsB(e);                                            //#if tb
  return at;
}
fn left(base: u32, i: u32, p: u32) -> L {
  var l: L;
  l = leftRows(base, i, p);                                         //#if !ta
  l = leftColumns(base, i, p);                                      //#if ta
  return l;
}
fn right(base: u32, j: u32, p: u32) -> R {
  var r: R;
  r = rightRows(base, j, p);                                        //#if !tb
  r = rightColumns(base, j, p);                                     //#if tb
  return r;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let own = shareOf(wg.z);
  makeTile(Task(wg.y * BM, wg.x * BN, wg.z, own), place, t, (own.end - own.start + BK - 1u) / BK);
}

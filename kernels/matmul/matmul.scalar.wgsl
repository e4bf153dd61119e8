// C = act(A · B + bias) + residual for sizes that are not in fours: loads one element at a time.
//
//   workgroup   32 × 32 of C
//   invocation  4 rows of that, 4 columns 8 apart, in registers
//
// Indices past the end are clamped to the last row or column, whose results are then not stored. Sums in f32.
//#params
alias Elem = f32;
//#end
//#use activation share
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem>;            // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem>;            // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem>;      // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem>;         // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem>;     // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;   // [splits, batch, m, n] //#if parts

fn loadA(z: u32, i: u32, p: u32) -> f32 {
  var at = (z * u.m + i) * u.k + p;
  at = (z * u.k + p) * u.m + i;                                     //#if ta
  return f32(a[at]);
}
fn loadB(z: u32, p: u32, j: u32) -> f32 {
  var at = (z * u.k + p) * u.n + j;
  at = (z * u.n + j) * u.k + p;                                     //#if tb
  return f32(b[at]);
}
fn store(sum: f32, z: u32, i: u32, j: u32) {
  if (i >= u.m || j >= u.n) { return; }
  let at = (z * u.m + i) * u.n + j;
  var y = sum;
  y += f32(bias[j]);                                                //#if bias
  y = relu(y);                                                      //#if relu
  y = gelu(y);                                                      //#if gelu
  y = silu(y);                                                      //#if silu
  y += f32(residual[at]);                                           //#if residual
  c[at] = Elem(y);                                                  //#if !parts
  parts[at] = y;                                                    //#if parts
}
@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let own = shareOf(wg.z);
  let i = wg.y * 32u + local.y * 4u;
  let j = wg.x * 32u + local.x;
  if (i >= u.m || j >= u.n) { return; }
  let rows = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(u.m - 1u));
  let columns = min(vec4u(j, j + 8u, j + 16u, j + 24u), vec4u(u.n - 1u));
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var p = own.start; p < own.end; p++) {
    let y = vec4f(loadB(own.zb, p, columns.x), loadB(own.zb, p, columns.y), loadB(own.zb, p, columns.z), loadB(own.zb, p, columns.w));
    s0 = fma(vec4f(loadA(own.za, rows.x, p)), y, s0);
    s1 = fma(vec4f(loadA(own.za, rows.y, p)), y, s1);
    s2 = fma(vec4f(loadA(own.za, rows.z, p)), y, s2);
    s3 = fma(vec4f(loadA(own.za, rows.w, p)), y, s3);
  }
  // A loop, so that the compiler meets one epilogue and not one for each row.
  var sums = array<vec4f, 4>(s0, s1, s2, s3);
  for (var r = 0u; r < 16u; r++) { store(sums[r / 4u][r % 4u], wg.z, i + r / 4u, j + 8u * (r % 4u)); }
}

// The gradient of SpatialNCE's rows in registers: an invocation takes four rows and passes over all columns, four at a time.
//
//   step   a 4 × 4 tile of similarities, recomputed from vec4 loads; its 16 weights; then four rows of dz get four columns added
//
// Both halves of the gradient (row i as anchor, row j as anchor) come from the two saved log-sums, so nobody else writes a row.
//#params
alias Elem = f32;
const LANES = 8u;
const ROWS = 4u;
//#end
//#use ncePair
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;               // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read> lse: array<f32>;              // [n]
@group(0) @binding(6) var<storage, read> mass: array<f32>;             // [n]
@group(0) @binding(7) var<storage, read_write> dz: array<Elem4>;        // [splits, n, d]
const_assert ROWS == 4u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = (wg.x * LANES + t) * ROWS;
  if (i >= u.n) { return; }
  let last = u.n - 1u;
  let width = u.d / 4u;
  let rows = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(last));
  let a = rows * width;
  let to = a + wg.z * u.n * width;
  let there4 = (rows == vec4u(i, i + 1u, i + 2u, i + 3u));             // past the end, a row adds nothing to the last one
  let scale = select(vec4f(0.0), vec4f(u.invTau), there4);
  let here0 = placeOf(rows.x);
  let here1 = placeOf(rows.y);
  let here2 = placeOf(rows.z);
  let here3 = placeOf(rows.w);
  let lseOwn = vec4f(lse[rows.x], lse[rows.y], lse[rows.z], lse[rows.w]);
  let inverseOwn = inversesOf(vec4f(mass[rows.x], mass[rows.y], mass[rows.z], mass[rows.w]));
  for (var k = 0u; k < width; k++) {
    dz[to.x + k] = Elem4(0.0);
    dz[to.y + k] = Elem4(0.0);
    dz[to.z + k] = Elem4(0.0);
    dz[to.w + k] = Elem4(0.0);
  }
  let range = columnsOf(wg.z);
  for (var j = range.x; j < range.y; j += 4u) {
    let columns = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(last));
    let b = columns * width;
    var s0 = vec4f(0.0);
    var s1 = vec4f(0.0);
    var s2 = vec4f(0.0);
    var s3 = vec4f(0.0);
    for (var k = 0u; k < width; k++) {
      let b0 = vec4f(z[b.x + k]);
      let b1 = vec4f(z[b.y + k]);
      let b2 = vec4f(z[b.z + k]);
      let b3 = vec4f(z[b.w + k]);
      let a0 = vec4f(z[a.x + k]);
      s0 += vec4f(dot(a0, b0), dot(a0, b1), dot(a0, b2), dot(a0, b3));
      let a1 = vec4f(z[a.y + k]);
      s1 += vec4f(dot(a1, b0), dot(a1, b1), dot(a1, b2), dot(a1, b3));
      let a2 = vec4f(z[a.z + k]);
      s2 += vec4f(dot(a2, b0), dot(a2, b1), dot(a2, b2), dot(a2, b3));
      let a3 = vec4f(z[a.w + k]);
      s3 += vec4f(dot(a3, b0), dot(a3, b1), dot(a3, b2), dot(a3, b3));
    }
    let there = placesOf(columns);
    let lses = vec4f(lse[columns.x], lse[columns.y], lse[columns.z], lse[columns.w]);
    let inverses = inversesOf(vec4f(mass[columns.x], mass[columns.y], mass[columns.z], mass[columns.w]));
    let w0 = scale.x * weightsOf(s0 * u.invTau, pairsOf(i, here0, j, there, u.n), lseOwn.x, inverseOwn.x, lses, inverses);
    let w1 = scale.y * weightsOf(s1 * u.invTau, pairsOf(i + 1u, here1, j, there, u.n), lseOwn.y, inverseOwn.y, lses, inverses);
    let w2 = scale.z * weightsOf(s2 * u.invTau, pairsOf(i + 2u, here2, j, there, u.n), lseOwn.z, inverseOwn.z, lses, inverses);
    let w3 = scale.w * weightsOf(s3 * u.invTau, pairsOf(i + 3u, here3, j, there, u.n), lseOwn.w, inverseOwn.w, lses, inverses);
    for (var k = 0u; k < width; k++) {
      let b0 = vec4f(z[b.x + k]);
      let b1 = vec4f(z[b.y + k]);
      let b2 = vec4f(z[b.z + k]);
      let b3 = vec4f(z[b.w + k]);
      dz[to.x + k] += Elem4(w0.x * b0 + w0.y * b1 + w0.z * b2 + w0.w * b3);
      dz[to.y + k] += Elem4(w1.x * b0 + w1.y * b1 + w1.z * b2 + w1.w * b3);
      dz[to.z + k] += Elem4(w2.x * b0 + w2.y * b1 + w2.z * b2 + w2.w * b3);
      dz[to.w + k] += Elem4(w3.x * b0 + w3.y * b1 + w3.z * b2 + w3.w * b3);
    }
  }
}

// The gradient of SpatialNCE's rows in registers, columns shared by a subgroup: an invocation takes four rows, eight columns at a time.
//
//   workgroup  one subgroup of WIDTH lanes, 4 · WIDTH rows, passing over all columns
//   step       4 × 8 similarities, recomputed; their weights; then four rows of dz get eight columns added
//              each lane loads one column (two where WIDTH is 4), all get it by broadcast
//
// Both halves of the gradient (row i as anchor, row j as anchor) come from the two saved log-sums, so nobody else writes a row.
enable subgroups;
//#params
alias Elem = f32;
const WIDTH = 8u;
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
const_assert WIDTH == 4u || WIDTH == 8u;
// On eight lanes columns 4 to 7 lie in the later lanes of the one load; on four, in a second load, from lane 0 on.
const HALF = WIDTH == 4u;
const SECOND = select(4u, 0u, HALF);

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let first = (wg.x * WIDTH + lane) * ROWS;
  let last = u.n - 1u;
  let width = u.d / 4u;
  let i = vec4u(first, first + 1u, first + 2u, first + 3u);
  let rows = min(i, vec4u(last));                                      // a row past the end is computed, so that all lanes serve, but not stored
  let a = rows * width;
  let to = a + wg.z * u.n * width;
  let stored = i <= vec4u(last);
  let here0 = placeOf(rows.x);
  let here1 = placeOf(rows.y);
  let here2 = placeOf(rows.z);
  let here3 = placeOf(rows.w);
  let lseOwn = vec4f(lse[rows.x], lse[rows.y], lse[rows.z], lse[rows.w]);
  let inverseOwn = inversesOf(vec4f(mass[rows.x], mass[rows.y], mass[rows.z], mass[rows.w]));
  let range = columnsOf(wg.z);
  if (range.x >= range.y) {                                            // a part without columns
    for (var k = 0u; k < width; k++) {
      if (stored.x) { dz[to.x + k] = Elem4(0.0); }
      if (stored.y) { dz[to.y + k] = Elem4(0.0); }
      if (stored.z) { dz[to.z + k] = Elem4(0.0); }
      if (stored.w) { dz[to.w + k] = Elem4(0.0); }
    }
  }
  for (var j = range.x; j < range.y; j += 8u) {
    let mine = min(vec2u(j + lane, j + lane + 4u), vec2u(last)) * width;
    var s0 = vec4f(0.0);
    var t0 = vec4f(0.0);
    var s1 = vec4f(0.0);
    var t1 = vec4f(0.0);
    var s2 = vec4f(0.0);
    var t2 = vec4f(0.0);
    var s3 = vec4f(0.0);
    var t3 = vec4f(0.0);
    for (var k = 0u; k < width; k++) {
      let v = vec4f(z[mine.x + k]);
      var v2 = v;
      if (HALF) { v2 = vec4f(z[mine.y + k]); }
      let b0 = subgroupBroadcast(v, 0u);
      let b1 = subgroupBroadcast(v, 1u);
      let b2 = subgroupBroadcast(v, 2u);
      let b3 = subgroupBroadcast(v, 3u);
      let b4 = subgroupBroadcast(v2, SECOND + 0u);
      let b5 = subgroupBroadcast(v2, SECOND + 1u);
      let b6 = subgroupBroadcast(v2, SECOND + 2u);
      let b7 = subgroupBroadcast(v2, SECOND + 3u);
      let a0 = vec4f(z[a.x + k]);
      s0 += vec4f(dot(a0, b0), dot(a0, b1), dot(a0, b2), dot(a0, b3));
      t0 += vec4f(dot(a0, b4), dot(a0, b5), dot(a0, b6), dot(a0, b7));
      let a1 = vec4f(z[a.y + k]);
      s1 += vec4f(dot(a1, b0), dot(a1, b1), dot(a1, b2), dot(a1, b3));
      t1 += vec4f(dot(a1, b4), dot(a1, b5), dot(a1, b6), dot(a1, b7));
      let a2 = vec4f(z[a.z + k]);
      s2 += vec4f(dot(a2, b0), dot(a2, b1), dot(a2, b2), dot(a2, b3));
      t2 += vec4f(dot(a2, b4), dot(a2, b5), dot(a2, b6), dot(a2, b7));
      let a3 = vec4f(z[a.w + k]);
      s3 += vec4f(dot(a3, b0), dot(a3, b1), dot(a3, b2), dot(a3, b3));
      t3 += vec4f(dot(a3, b4), dot(a3, b5), dot(a3, b6), dot(a3, b7));
    }
    let left = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(last));
    let right = min(vec4u(j + 4u, j + 5u, j + 6u, j + 7u), vec4u(last));
    let there = placesOf(left);
    let beyond = placesOf(right);
    let lses = vec4f(lse[left.x], lse[left.y], lse[left.z], lse[left.w]);
    let inverses = inversesOf(vec4f(mass[left.x], mass[left.y], mass[left.z], mass[left.w]));
    let lses2 = vec4f(lse[right.x], lse[right.y], lse[right.z], lse[right.w]);
    let inverses2 = inversesOf(vec4f(mass[right.x], mass[right.y], mass[right.z], mass[right.w]));
    let w0 = u.invTau * weightsOf(s0 * u.invTau, pairsOf(i.x, here0, j, there, u.n), lseOwn.x, inverseOwn.x, lses, inverses);
    let x0 = u.invTau * weightsOf(t0 * u.invTau, pairsOf(i.x, here0, j + 4u, beyond, u.n), lseOwn.x, inverseOwn.x, lses2, inverses2);
    let w1 = u.invTau * weightsOf(s1 * u.invTau, pairsOf(i.y, here1, j, there, u.n), lseOwn.y, inverseOwn.y, lses, inverses);
    let x1 = u.invTau * weightsOf(t1 * u.invTau, pairsOf(i.y, here1, j + 4u, beyond, u.n), lseOwn.y, inverseOwn.y, lses2, inverses2);
    let w2 = u.invTau * weightsOf(s2 * u.invTau, pairsOf(i.z, here2, j, there, u.n), lseOwn.z, inverseOwn.z, lses, inverses);
    let x2 = u.invTau * weightsOf(t2 * u.invTau, pairsOf(i.z, here2, j + 4u, beyond, u.n), lseOwn.z, inverseOwn.z, lses2, inverses2);
    let w3 = u.invTau * weightsOf(s3 * u.invTau, pairsOf(i.w, here3, j, there, u.n), lseOwn.w, inverseOwn.w, lses, inverses);
    let x3 = u.invTau * weightsOf(t3 * u.invTau, pairsOf(i.w, here3, j + 4u, beyond, u.n), lseOwn.w, inverseOwn.w, lses2, inverses2);
    let begun = j > range.x;                                                // the first columns write dz, the others add to it
    for (var k = 0u; k < width; k++) {
      let v = vec4f(z[mine.x + k]);
      var v2 = v;
      if (HALF) { v2 = vec4f(z[mine.y + k]); }
      let b0 = subgroupBroadcast(v, 0u);
      let b1 = subgroupBroadcast(v, 1u);
      let b2 = subgroupBroadcast(v, 2u);
      let b3 = subgroupBroadcast(v, 3u);
      let b4 = subgroupBroadcast(v2, SECOND + 0u);
      let b5 = subgroupBroadcast(v2, SECOND + 1u);
      let b6 = subgroupBroadcast(v2, SECOND + 2u);
      let b7 = subgroupBroadcast(v2, SECOND + 3u);
      if (stored.x) {
        let sum = w0.x * b0 + w0.y * b1 + w0.z * b2 + w0.w * b3 + x0.x * b4 + x0.y * b5 + x0.z * b6 + x0.w * b7;
        dz[to.x + k] = Elem4(select(vec4f(0.0), vec4f(dz[to.x + k]), begun) + sum);
      }
      if (stored.y) {
        let sum = w1.x * b0 + w1.y * b1 + w1.z * b2 + w1.w * b3 + x1.x * b4 + x1.y * b5 + x1.z * b6 + x1.w * b7;
        dz[to.y + k] = Elem4(select(vec4f(0.0), vec4f(dz[to.y + k]), begun) + sum);
      }
      if (stored.z) {
        let sum = w2.x * b0 + w2.y * b1 + w2.z * b2 + w2.w * b3 + x2.x * b4 + x2.y * b5 + x2.z * b6 + x2.w * b7;
        dz[to.z + k] = Elem4(select(vec4f(0.0), vec4f(dz[to.z + k]), begun) + sum);
      }
      if (stored.w) {
        let sum = w3.x * b0 + w3.y * b1 + w3.z * b2 + w3.w * b3 + x3.x * b4 + x3.y * b5 + x3.z * b6 + x3.w * b7;
        dz[to.w + k] = Elem4(select(vec4f(0.0), vec4f(dz[to.w + k]), begun) + sum);
      }
    }
  }
}

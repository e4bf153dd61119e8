// The rows of SpatialNCE in registers, columns shared by a subgroup: an invocation takes four rows, eight columns at a time.
//
//   workgroup  one subgroup of WIDTH lanes, 4 · WIDTH rows, passing over all columns
//   step       each lane loads one column (two where WIDTH is 4), all get it by broadcast: 1 load for 4 × 8 products, not 8
//
// No workgroup memory and no barrier: what processors that emulate a GPU do best.
enable subgroups;
//#params
alias Elem = f32;
const WIDTH = 8u;
const ROWS = 4u;
//#end
//#use ncePair nceStore
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;              // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;        // [n] //#if !parts
@group(0) @binding(6) var<storage, read_write> mass: array<f32>;       // [n] //#if !parts
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;       // [n] //#if !parts
@group(0) @binding(8) var<storage, read_write> entropy: array<f32>;    // [n] //#if !parts
@group(0) @binding(9) var<storage, read_write> parts: array<f32>;      // [splits, 5, n] //#if parts
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
  let here0 = placeOf(rows.x);
  let here1 = placeOf(rows.y);
  let here2 = placeOf(rows.z);
  let here3 = placeOf(rows.w);
  var row0 = Row(NOTHING, 0.0, 0.0, 0.0, 0.0);
  var row1 = row0;
  var row2 = row0;
  var row3 = row0;
  var range = vec2u(0u, u.n);
  range = columnsOf(wg.z);                                             //#if parts
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
    row0 = foldPairs(row0, s0 * u.invTau, pairsOf(i.x, here0, j, there, u.n));
    row0 = foldPairs(row0, t0 * u.invTau, pairsOf(i.x, here0, j + 4u, beyond, u.n));
    row1 = foldPairs(row1, s1 * u.invTau, pairsOf(i.y, here1, j, there, u.n));
    row1 = foldPairs(row1, t1 * u.invTau, pairsOf(i.y, here1, j + 4u, beyond, u.n));
    row2 = foldPairs(row2, s2 * u.invTau, pairsOf(i.z, here2, j, there, u.n));
    row2 = foldPairs(row2, t2 * u.invTau, pairsOf(i.z, here2, j + 4u, beyond, u.n));
    row3 = foldPairs(row3, s3 * u.invTau, pairsOf(i.w, here3, j, there, u.n));
    row3 = foldPairs(row3, t3 * u.invTau, pairsOf(i.w, here3, j + 4u, beyond, u.n));
  }
  store(i.x, wg.z, row0);
  store(i.y, wg.z, row1);
  store(i.z, wg.z, row2);
  store(i.w, wg.z, row3);
}

// The rows of SpatialNCE in registers: an invocation takes four rows and passes over all columns, four at a time.
//
//   step   a 4 × 4 tile of similarities, from vec4 loads of eight embeddings; then four online log-sum-exps
//
// No workgroup memory and no barrier: what processors that emulate a GPU do best.
//#params
alias Elem = f32;
const LANES = 8u;
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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = (wg.x * LANES + t) * ROWS;
  if (i >= u.n) { return; }
  let last = u.n - 1u;
  let width = u.d / 4u;
  let rows = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(last));
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
    row0 = foldPairs(row0, s0 * u.invTau, pairsOf(i, here0, j, there, u.n));
    row1 = foldPairs(row1, s1 * u.invTau, pairsOf(i + 1u, here1, j, there, u.n));
    row2 = foldPairs(row2, s2 * u.invTau, pairsOf(i + 2u, here2, j, there, u.n));
    row3 = foldPairs(row3, s3 * u.invTau, pairsOf(i + 3u, here3, j, there, u.n));
  }
  store(i, wg.z, row0);
  store(i + 1u, wg.z, row1);
  store(i + 2u, wg.z, row2);
  store(i + 3u, wg.z, row3);
}

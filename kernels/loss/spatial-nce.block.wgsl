// The rows of SpatialNCE, tiled through workgroup memory.
//
//   workgroup   ROWS = 32 rows, passing over all columns, COLUMNS = 128 at a time
//   invocation  4 rows × 4 columns of similarities in registers, and an online log-sum-exp of its part of each row
//   step        a slab of 16 of the d components of rows and columns in workgroup memory
//
// At the end the 32 invocations of a row join their parts, in an order that never changes.
//#params
alias Elem = f32;
const ROWS = 32u;
const COLUMNS = 128u;
//#end
//#use ncePair
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;              // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;        // [n]
@group(0) @binding(6) var<storage, read_write> mass: array<f32>;       // [n]
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;       // [n]
@group(0) @binding(8) var<storage, read_write> entropy: array<f32>;    // [n]

const SLAB = 4u;                                                       // vec4s of the d components in workgroup memory
const WIDE = COLUMNS / 4u;                                             // invocations along a row
const INVOCATIONS = WIDE * ROWS / 4u;
const_assert INVOCATIONS == 256u;
const_assert COLUMNS == 128u;
var<workgroup> rowSlab: array<vec4f, SLAB * ROWS>;
var<workgroup> columnSlab: array<vec4f, SLAB * COLUMNS>;
var<workgroup> parts: array<Row, INVOCATIONS>;

fn load(i: u32, k: u32) -> vec4f {
  if (i >= u.n || k >= u.d / 4u) { return vec4f(0.0); }
  return vec4f(z[i * (u.d / 4u) + k]);
}

// An invocation takes four neighbouring columns, so that places and masks come in vectors; in the slab they lie WIDE apart,
// so that neighbouring invocations read neighbouring words.
fn columnAt(q: u32, c: u32) -> u32 { return q * COLUMNS + (c % 4u) * WIDE + c / 4u; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let first = (group.x + u.origin.x) * ROWS;
  let across = t % WIDE;
  let down = (t / WIDE) * 4u;
  let last = u.n - 1u;
  var here: array<Place, 4>;
  var rows: array<Row, 4>;
  for (var r = 0u; r < 4u; r++) {
    here[r] = placeOf(min(first + down + r, last));
    rows[r] = Row(NOTHING, 0.0, 0.0, 0.0, 0.0);
  }
  for (var j = 0u; j < u.n; j += COLUMNS) {
    var s: array<vec4f, 4>;
    s[0] = vec4f(0.0);
    s[1] = vec4f(0.0);
    s[2] = vec4f(0.0);
    s[3] = vec4f(0.0);
    for (var k = 0u; k < u.d / 4u; k += SLAB) {
      for (var at = t; at < SLAB * ROWS; at += INVOCATIONS) { rowSlab[(at % SLAB) * ROWS + at / SLAB] = load(first + at / SLAB, k + at % SLAB); }
      for (var at = t; at < SLAB * COLUMNS; at += INVOCATIONS) { columnSlab[columnAt(at % SLAB, at / SLAB)] = load(j + at / SLAB, k + at % SLAB); }
      workgroupBarrier();                                              // slabs are full before anyone reads them
      for (var q = 0u; q < SLAB; q++) {
        let at = q * COLUMNS + across;
        let b0 = columnSlab[at];
        let b1 = columnSlab[at + WIDE];
        let b2 = columnSlab[at + 2u * WIDE];
        let b3 = columnSlab[at + 3u * WIDE];
        for (var r = 0u; r < 4u; r++) {
          let a = rowSlab[q * ROWS + down + r];
          s[r] += vec4f(dot(a, b0), dot(a, b1), dot(a, b2), dot(a, b3));
        }
      }
      workgroupBarrier();                                              // everyone has read before the slabs are refilled
    }
    let c = j + across * 4u;
    let there = placesOf(min(vec4u(c, c + 1u, c + 2u, c + 3u), vec4u(last)));
    for (var r = 0u; r < 4u; r++) {
      rows[r] = foldPairs(rows[r], s[r] * u.invTau, pairsOf(first + down + r, here[r], c, there, u.n));
    }
  }
  for (var r = 0u; r < 4u; r++) {
    parts[t] = rows[r];
    workgroupBarrier();                                                // parts are there before they are joined
    for (var stride = WIDE / 2u; stride > 0u; stride /= 2u) {
      if (across < stride) { parts[t] = joinRows(parts[t], parts[t + stride]); }
      workgroupBarrier();                                              // one level is done before the next reads it
    }
    let i = first + down + r;
    if (across == 0u && i < u.n) {
      let result = finishRow(parts[t]);
      lse[i] = result.x;
      mass[i] = result.y;
      loss[i] = result.z;
      entropy[i] = result.w;
    }
    // No barrier: an invocation overwrites next what nobody but itself has read since the last one.
  }
}

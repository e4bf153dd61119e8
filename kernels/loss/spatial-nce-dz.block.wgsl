// The gradient of SpatialNCE's rows, tiled through workgroup memory.
//
//   workgroup   ROWS = 32 rows, passing over all columns, COLUMNS = 64 at a time
//   invocation  2 rows × 4 columns of similarities; then 2 rows × every 16th vec4 of dz, in registers to the end
//   step        slabs of 16 of the d components make the similarities; their weights go through workgroup memory to dz
//#params
alias Elem = f32;
const ROWS = 32u;
const COLUMNS = 64u;
const CHUNKS = 1u;                                                     // dz is CHUNKS times 64 components wide at most
//#end
//#use ncePair
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;               // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read> lse: array<f32>;              // [n]
@group(0) @binding(6) var<storage, read> mass: array<f32>;             // [n]
@group(0) @binding(7) var<storage, read_write> dz: array<Elem4>;        // [n, d]

const SLAB = 4u;                                                       // vec4s of the d components in workgroup memory
const WIDE = 16u;                                                      // invocations along a row
const INVOCATIONS = 256u;
const_assert COLUMNS == 4u * WIDE && 2u * INVOCATIONS == ROWS * WIDE;
var<workgroup> rowSlab: array<vec4f, SLAB * ROWS>;
var<workgroup> columnSlab: array<vec4f, SLAB * COLUMNS>;
var<workgroup> weights: array<vec4f, ROWS * WIDE>;                     // [ROWS, COLUMNS / 4]

fn load(i: u32, k: u32) -> vec4f {
  if (i >= u.n || k >= u.d / 4u) { return vec4f(0.0); }
  return vec4f(z[i * (u.d / 4u) + k]);
}
// Four neighbouring columns of an invocation lie WIDE apart, so that neighbouring invocations read neighbouring words.
fn columnAt(q: u32, c: u32) -> u32 { return q * COLUMNS + (c % 4u) * WIDE + c / 4u; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let first = (group.x + u.origin.x) * ROWS;
  let width = u.d / 4u;
  let across = t % WIDE;
  let down = (t / WIDE) * 2u;
  let i = first + down;
  let last = u.n - 1u;
  let own = min(vec2u(i, i + 1u), vec2u(last));
  let here0 = placeOf(own.x);
  let here1 = placeOf(own.y);
  var dz0: array<vec4f, CHUNKS>;
  var dz1: array<vec4f, CHUNKS>;
  for (var chunk = 0u; chunk < CHUNKS; chunk++) {
    dz0[chunk] = vec4f(0.0);
    dz1[chunk] = vec4f(0.0);
  }
  for (var j = 0u; j < u.n; j += COLUMNS) {
    var s0 = vec4f(0.0);
    var s1 = vec4f(0.0);
    for (var k = 0u; k < width; k += SLAB) {
      for (var at = t; at < SLAB * ROWS; at += INVOCATIONS) { rowSlab[(at % SLAB) * ROWS + at / SLAB] = load(first + at / SLAB, k + at % SLAB); }
      for (var at = t; at < SLAB * COLUMNS; at += INVOCATIONS) { columnSlab[columnAt(at % SLAB, at / SLAB)] = load(j + at / SLAB, k + at % SLAB); }
      workgroupBarrier();                                              // slabs are full before anyone reads them
      for (var q = 0u; q < SLAB; q++) {
        let at = q * COLUMNS + across;
        let b0 = columnSlab[at];
        let b1 = columnSlab[at + WIDE];
        let b2 = columnSlab[at + 2u * WIDE];
        let b3 = columnSlab[at + 3u * WIDE];
        let a0 = rowSlab[q * ROWS + down];
        s0 += vec4f(dot(a0, b0), dot(a0, b1), dot(a0, b2), dot(a0, b3));
        let a1 = rowSlab[q * ROWS + down + 1u];
        s1 += vec4f(dot(a1, b0), dot(a1, b1), dot(a1, b2), dot(a1, b3));
      }
      workgroupBarrier();                                              // everyone has read before the slabs are refilled
    }
    let c = j + across * 4u;
    let columns = min(vec4u(c, c + 1u, c + 2u, c + 3u), vec4u(last));
    let there = placesOf(columns);
    let lses = vec4f(lse[columns.x], lse[columns.y], lse[columns.z], lse[columns.w]);
    let masses = vec4f(mass[columns.x], mass[columns.y], mass[columns.z], mass[columns.w]);
    weights[down * WIDE + across] = weightsOf(s0 * u.invTau, pairsOf(i, here0, c, there, u.n), lse[own.x], mass[own.x], lses, masses);
    weights[(down + 1u) * WIDE + across] = weightsOf(s1 * u.invTau, pairsOf(i + 1u, here1, c, there, u.n), lse[own.y], mass[own.y], lses, masses);
    workgroupBarrier();                                                // weights are there before dz takes them
    for (var q = 0u; q < WIDE; q++) {
      let w0 = weights[down * WIDE + q];
      let w1 = weights[(down + 1u) * WIDE + q];
      let b = min(vec4u(j + 4u * q, j + 4u * q + 1u, j + 4u * q + 2u, j + 4u * q + 3u), vec4u(last)) * width;
      for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        let k = min(chunk * WIDE + across, width - 1u);
        let b0 = vec4f(z[b.x + k]);
        let b1 = vec4f(z[b.y + k]);
        let b2 = vec4f(z[b.z + k]);
        let b3 = vec4f(z[b.w + k]);
        dz0[chunk] += w0.x * b0 + w0.y * b1 + w0.z * b2 + w0.w * b3;
        dz1[chunk] += w1.x * b0 + w1.y * b1 + w1.z * b2 + w1.w * b3;
      }
    }
    workgroupBarrier();                                                // weights are used before the next columns replace them
  }
  for (var chunk = 0u; chunk < CHUNKS; chunk++) {
    let k = chunk * WIDE + across;
    if (k >= width) { continue; }
    if (i < u.n) { dz[i * width + k] = Elem4(u.invTau * dz0[chunk]); }
    if (i + 1u < u.n) { dz[(i + 1u) * width + k] = Elem4(u.invTau * dz1[chunk]); }
  }
}
